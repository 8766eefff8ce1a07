package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Client is who is at the other end of a connection that an assembly makes itself: it has
// proven who she is in another way, such as at an API, and speaks the protocol for her.
// Everything else about the connection is as with any other client.
type Client struct {
	// Identity is who she is. Before a session opens she is asked about again, as for the
	// sessions that are open when something about people has changed.
	Identity *Identity
	// Via is how she came, for records: a word, such as "console".
	Via string

	// Undo says what she undoes; nil: she works as anybody does.
	Undo *Undo

	// What follows is told of the connection's session; each may be nil. They must return
	// quickly, and change nothing; Held may put a function around the Pending's Wait.

	// Opened is told of the session once it may connect.
	Opened func(s *Session)
	// Held is told of each operation that waits for an approval, Connect too.
	Held func(op Op, p *Pending)
	// Noted is told of each note, after it is on record.
	Noted func(op Op, n *Note)
	// Refused is told of each operation that does not run, Connect too, and why.
	Refused func(op Op, v *Verdict)
}

// ErrParked is the cause with which a client ends the context of a [Pending]'s Wait when she leaves and comes back
// later with the same operation: the request goes on, and the approval is used then.
var ErrParked = errors.New("the client comes back when it is decided")

// ServeClient serves one connection of a client that is known already, and returns when it
// has ended. Shutdown lets it end as the connections of [Gateway.Serve]; when ctx ends it is
// cut, with the cause. Like Serve it fails at once when interceptors leave notes that nobody
// records.
func (g *Gateway) ServeClient(ctx context.Context, c net.Conn, h Handler, client *Client) error {
	if err := g.recorded(g.Revision()); err != nil {
		c.Close()
		return err
	}
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	drained := make(chan struct{})
	defer close(drained)
	stop := context.AfterFunc(g.draining(), func() {
		t := time.NewTimer(or(g.DrainTimeout, defaultDrainTimeout))
		defer t.Stop()
		select {
		case <-t.C:
			cut(ErrShutdown)
		case <-drained:
		}
	})
	defer stop()
	g.serveConn(ctx, c, h, client)
	return nil
}

// Known returns who the client is where the assembly has proven that before, as she is now;
// nil where she has to prove it here. The error wraps ErrUnauthenticated where her login has
// ended meanwhile. A connection of a client that is known is inside of the gateway's own
// process: a handler asks for no TLS.
func (c *Conn) Known(ctx context.Context) (*Identity, error) {
	if c.client == nil {
		return nil, nil
	}
	rev, rechecks := c.gateway.Revision(), c.gateway.rechecks.Load()
	id := c.client.Identity
	if id == nil || id.Subject == "" {
		return nil, ErrUnauthenticated
	}
	id, err := refreshed(ctx, rev, id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	c.mu.Lock()
	c.proven, c.rechecks = rev, rechecks
	c.mu.Unlock()
	c.gateway.authenticated(c)
	return id, nil
}

// IsKnown reports whether the client has proven who she is before.
func (c *Conn) IsKnown() bool { return c.client != nil }
