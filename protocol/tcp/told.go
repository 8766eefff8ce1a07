package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/proxy"
)

// toldTime is how long a client may take to read what it is told.
const toldTime = 2 * time.Second

// say tells the client something about its connection, where it listens.
func (cl *client) say(a answer) error {
	if !cl.spoken || cl.open {
		return nil
	}
	a.Message = terminal.Visible(a.Message)
	if err := cl.conn.SetWriteDeadline(time.Now().Add(toldTime)); err != nil {
		return err
	}
	return writeLine(cl.conn, a)
}

// welcome tells the client that what follows is the resource's, and lifts the handshake's deadline.
func (cl *client) welcome(c *proxy.Conn) error {
	if err := cl.say(answer{State: stateOpen, Message: Note}); err != nil {
		return err
	}
	cl.open = true
	return c.Established()
}

// refuse tells the client why it gets no connection, or closes it.
func (cl *client) refuse(err error) {
	if cl.say(answer{State: stateRefused, Message: message(err)}) != nil || cl.open {
		return
	}
	// What is written must not be lost to a reset, which a close with something unread is. A client that has said
	// more than it was asked for is not waited for.
	if w, ok := cl.conn.(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil || cl.conn.SetReadDeadline(time.Now().Add(toldTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, cl.conn, maxAsk)
}

// maxAhead is how much is read of a client that waits for an approval, in bytes.
const maxAhead = 16 << 10

// hold tells the client that it waits, and notices when it leaves, with leave. A program that is not told waits as for a slow
// server.
func (cl *client) hold(c *proxy.Conn, p *proxy.Pending, leave context.CancelCauseFunc) {
	if c.SetDeadline(p.Deadline) != nil || cl.say(answer{State: stateWaits, Message: p.Message, Link: p.Link}) != nil {
		leave(proxy.ErrClientLeft)
		return
	}
	wait := p.Wait
	p.Wait = func(ctx context.Context) proxy.Verdict {
		defer cl.readAhead(leave)()
		return wait(ctx)
	}
}

// readAhead reads what the client sends until stop is called, so that it is seen when it leaves: a client that ends what it sends
// while it waits for a decision has left.
func (cl *client) readAhead(leave context.CancelCauseFunc) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [1 << 10]byte
		for len(cl.ahead) < maxAhead {
			n, err := cl.conn.Read(b[:])
			cl.ahead = append(cl.ahead, b[:n]...)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return
			case err != nil:
				leave(proxy.ErrClientLeft)
				return
			}
		}
	}()
	return func() {
		if cl.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
			leave(proxy.ErrClientLeft)
		}
		<-done
		if cl.conn.SetReadDeadline(time.Time{}) != nil {
			leave(proxy.ErrClientLeft)
		}
	}
}

// message is what the user is told of err: nothing of where the resource is, and nothing that only operators may know.
func message(err error) string {
	var (
		refused    *proxy.RefusedError
		credential *proxy.CredentialError
		intercept  *proxy.InterceptError
		network    net.Error
	)
	const ask = " Ask the gateway's operator, whose log says why."
	switch {
	case errors.As(err, &refused):
		text := refused.Verdict.Message()
		if refused.Verdict.Remedy != "" {
			text += ". " + refused.Verdict.Remedy
		}
		return text
	case errors.Is(err, errNoProof), errors.Is(err, proxy.ErrTooManyFailures):
		return err.Error()
	case errors.Is(err, proxy.ErrUnauthenticated):
		return "authentication failed: log in again"
	case errors.Is(err, errAsk), errors.Is(err, errAmbiguous), errors.Is(err, errNoResource), errors.Is(err, proxy.ErrNotFound), errors.Is(err, proxy.ErrTooMany):
		return err.Error()
	case errors.As(err, &credential):
		return credential.Error()
	case errors.As(err, &intercept):
		return intercept.Error()
	case errors.Is(err, proxy.ErrShutdown), errors.Is(err, proxy.ErrDeadline), errors.Is(err, proxy.ErrIdle), errors.Is(err, proxy.ErrStuck):
		return err.Error()
	case errors.As(err, &network):
		return "the resource cannot be reached." + ask
	}
	return "the connection to the resource could not be opened." + ask
}
