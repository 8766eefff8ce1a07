package ssh

import (
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// side is one end of a forwarded connection.
type side struct {
	gossh.Channel
	requests <-chan *gossh.Request
}

// drainTime is how long what one side sent before it closed may take to be
// accepted by the other.
const drainTime = 10 * time.Second

// relay moves bytes both ways until both sides have closed, and returns how
// many. Each direction ends by itself, as TCP's do.
func (s *session) relay(client, up side) (in, out uint64) {
	ended := make(chan struct{}, 4)
	s.spawn("ssh forward up", func() error { return s.relayOne(client, up, &in, ended) })
	s.spawn("ssh forward down", func() error { return s.relayOne(up, client, &out, ended) })
	<-ended
	<-ended
	return in, out
}

// relayOne moves src's bytes to dst, and closes dst when src closed.
func (s *session) relayOne(src, dst side, count *uint64, ended chan<- struct{}) error {
	p := &pump{src: src, dst: dst, held: func() { s.proxied.Await(s.ctx) }, done: make(chan struct{})}
	s.spawn("ssh forward pump", func() error {
		if p.run() == nil {
			dst.CloseWrite()
		} else { // a side is gone, which ends the other
			src.Close()
			dst.Close()
		}
		return nil
	})
	defer func() { ended <- struct{}{} }()
	for r := range src.requests { // none has a meaning here
		s.countRefusal()
		r.Reply(false, nil)
	}
	select {
	case <-p.done:
	case <-time.After(drainTime):
	}
	dst.Close()
	<-p.done
	*count = p.count.Load()
	return nil
}
