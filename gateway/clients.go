package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/duplex"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// inside are the clients of the gateway's own, which people work with in a browser: they connect
// within the process, to handlers of the protocols, and are served as those that listeners accept.
type inside struct {
	mu       sync.Mutex
	handlers map[string]proxy.Handler
	start    func(serve func(ctx context.Context)) // nil: nobody is served
}

// begin has clients of the gateway's own served by start until stop is called. Those that
// shutdown has not ended by then are cut after the time of patience.
func (n *inside) begin(start func(serve func()), patience time.Duration) (stop func()) {
	ctx, cut := context.WithCancelCause(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.start = func(serve func(context.Context)) { start(func() { serve(ctx) }) }
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.start = nil
		time.AfterFunc(patience, func() { cut(proxy.ErrShutdown) })
	}
}

// insideExtra is how much longer clients of the gateway's own may take to end than those that
// listeners have accepted.
const insideExtra = 2 * time.Second

// handler returns the handler of a service for clients of the gateway's own.
func (n *inside) handler(s *service) (proxy.Handler, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.handlers[s.Name]; h != nil {
		return h, nil
	}
	h, err := s.Handler("")
	if err != nil {
		return nil, err
	}
	if n.handlers == nil {
		n.handlers = make(map[string]proxy.Handler)
	}
	n.handlers[s.Name] = h
	return h, nil
}

// serve has a connection served.
func (n *inside) serve(serve func(ctx context.Context)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.start == nil {
		return proxy.ErrShutdown
	}
	n.start(serve)
	return nil
}

// clients opens what people work with in a browser.
type clients struct{ *Gateway }

// Terminal implements [control.Clients].
func (c clients) Terminal(ctx context.Context, client *proxy.Client, t control.ClientTarget, q protocol.TerminalRequest) (protocol.Terminal, error) {
	s, conn, err := c.connect(ctx, client, t, "has no terminals", func(s *service) bool { return s.Clients.Terminal != nil })
	if err != nil {
		return nil, err
	}
	q.User = loginOf(client, t)
	return s.Clients.Terminal(ctx, conn, q)
}

// Files implements [control.Clients].
func (c clients) Files(ctx context.Context, client *proxy.Client, t control.ClientTarget, q protocol.FilesRequest) (protocol.Files, error) {
	s, conn, err := c.connect(ctx, client, t, "has no files", func(s *service) bool { return s.Clients.Files != nil })
	if err != nil {
		return nil, err
	}
	q.User = loginOf(client, t)
	return s.Clients.Files(ctx, conn, q)
}

// Database implements [control.Clients].
func (c clients) Database(ctx context.Context, client *proxy.Client, t control.ClientTarget, q protocol.DatabaseRequest) (protocol.Database, error) {
	s, dial, err := c.reach(client, t)
	if err != nil {
		return nil, err
	}
	if s.Clients.Database == nil {
		return nil, fmt.Errorf("%w: %s is not a database", proxy.ErrNotFound, t.Resource)
	}
	q.User = loginOf(client, t)
	return s.Clients.Database(ctx, dial, q)
}

// Command implements [control.Clients].
func (c clients) Command(ctx context.Context, client *proxy.Client, t control.ClientTarget, q protocol.CommandRequest) (int, error) {
	s, conn, err := c.connect(ctx, client, t, "runs no commands", func(s *service) bool { return s.Clients.Command != nil })
	if err != nil {
		return 0, err
	}
	q.User = loginOf(client, t)
	return s.Clients.Command(ctx, conn, q)
}

// UndoText implements [control.Clients].
func (c clients) UndoText(resource string, i *proxy.Image) (string, error) {
	r, err := c.parts().resources.Lookup(context.Background(), resource)
	if err != nil {
		return "", err
	}
	if s := c.service(r.Type); s != nil && s.Clients.UndoText != nil {
		if text := s.Clients.UndoText(i); text != "" {
			return text, nil
		}
	}
	return "", control.NotFound("what is kept does not undo anything at " + resource)
}

// loginOf is what a client logs in as. Who that is, is known.
func loginOf(client *proxy.Client, t control.ClientTarget) string {
	name := control.LoginName(client.Identity) + "+" + t.Resource
	if t.Account != "" {
		name += "+" + t.Account
	}
	return name
}

// connect connects a client to a resource whose service can what she wants. Otherwise the error says what the resource lacks.
func (c clients) connect(ctx context.Context, client *proxy.Client, t control.ClientTarget, lacks string, can func(*service) bool) (*service, net.Conn, error) {
	s, dial, err := c.reach(client, t)
	if err != nil {
		return nil, nil, err
	}
	if !can(s) {
		return nil, nil, fmt.Errorf("%w: %s %s", proxy.ErrNotFound, t.Resource, lacks)
	}
	conn, err := dial(ctx)
	return s, conn, err
}

// reach returns the service of a resource, and how a client connects to it. That she may use it
// is for the chain to say.
func (c clients) reach(client *proxy.Client, t control.ClientTarget) (*service, protocol.Dial, error) {
	r, err := c.parts().resources.Lookup(context.Background(), t.Resource)
	if err != nil {
		return nil, nil, err
	}
	s := c.service(r.Type)
	if s == nil {
		return nil, nil, errors.New("the protocol of the resource is not served")
	}
	h, err := c.inside.handler(s)
	if err != nil {
		return nil, nil, err
	}
	return s, func(context.Context) (net.Conn, error) {
		near, far := duplex.Pair(t.Remote)
		err := c.inside.serve(func(ctx context.Context) {
			// What keeps it from being served is told to who listens, too.
			if err := c.gateway.ServeClient(ctx, far, h, client); err != nil {
				c.log.Error("a client of the console is not served", "resource", t.Resource, "err", err)
			}
		})
		if err != nil {
			return nil, err
		}
		return near, nil
	}, nil
}
