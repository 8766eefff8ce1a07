// Package sshconn holds what golang.org/x/crypto/ssh leaves out of its connections.
package sshconn

import (
	"io"

	"golang.org/x/crypto/ssh"
)

// Ending returns c, whose OpenChannel fails with io.EOF when ended is closed. The package's own waits forever for an
// answer where the connection ends just before it asks. ended is to be closed when c has ended, and may be closed before.
func Ending(c ssh.Conn, ended <-chan struct{}) ssh.Conn { return ending{c, ended} }

// UntilWait is Ending, with a goroutine that waits for the end of c.
func UntilWait(c ssh.Conn) ssh.Conn {
	ended := make(chan struct{})
	go func() {
		_ = c.Wait() // why it has ended is for who uses it
		close(ended)
	}()
	return Ending(c, ended)
}

type ending struct {
	ssh.Conn
	ended <-chan struct{}
}

type opened struct {
	channel  ssh.Channel
	requests <-chan *ssh.Request
	err      error
}

func (c ending) OpenChannel(name string, data []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	answer := make(chan opened)
	go func() {
		ch, requests, err := c.Conn.OpenChannel(name, data)
		select {
		case answer <- opened{ch, requests, err}:
		case <-c.ended:
			if err == nil { // nobody wants it any more
				ch.Close()
				ssh.DiscardRequests(requests)
			}
		}
	}()
	select {
	case a := <-answer:
		return a.channel, a.requests, a.err
	case <-c.ended:
		return nil, nil, io.EOF
	}
}
