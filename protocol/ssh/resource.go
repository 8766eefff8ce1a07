package ssh

import (
	"context"
	"io"

	gossh "golang.org/x/crypto/ssh"
)

// resourceChannel is a channel at the resource. Once the session has ended nothing goes
// there any more.
type resourceChannel struct {
	gossh.Channel
	session context.Context
}

// openChannel opens a channel at the resource.
func (s *session) openChannel(kind string, data []byte) (gossh.Channel, <-chan *gossh.Request, error) {
	ch, requests, err := s.upstream.OpenChannel(kind, data)
	if err != nil {
		return nil, nil, err
	}
	return resourceChannel{ch, s.ctx}, requests, nil
}

func (c resourceChannel) Write(b []byte) (int, error) {
	if c.session.Err() != nil {
		return 0, io.EOF // as of a channel that is closed
	}
	return c.Channel.Write(b)
}

func (c resourceChannel) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	if c.session.Err() != nil {
		return false, io.EOF // as of a channel that is closed
	}
	return c.Channel.SendRequest(name, wantReply, payload)
}
