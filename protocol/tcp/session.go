package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Note is what people are told of every such connection.
const Note = "The gateway records that this connection is made, and how many bytes are sent. It does not see what is sent: nothing is masked, and no guardrail applies."

// serve opens the session, has both operations decided about, connects to the resource and passes on what flows until that ends.
func (h *Handler) serve(ctx context.Context, c *proxy.Conn, cl *client) error {
	name, err := h.resource(cl)
	if err != nil {
		return err
	}
	who, err := h.authenticate(ctx, c, cl)
	if err != nil {
		return err
	}
	r, err := c.Lookup(ctx, name)
	if err != nil {
		return err
	}
	set, err := settingsOf(r)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	hold := func(p *proxy.Pending) { cl.hold(c, p, leave) }
	c.OnHold = hold
	s, connect, err := c.Open(ctx, who, proxy.Target{Resource: r, Account: proxy.Account{Name: cl.login.Account}}, nil)
	if err != nil {
		return err
	}
	s.Done(connect, &proxy.Outcome{})
	s.Handle(func(_ proxy.Op, p *proxy.Pending) { hold(p) }, nil)
	defer context.AfterFunc(s.Context(), func() { leave(s.Err()) })()
	op := forward(s.Target.Resource)
	if v := s.Ask(ctx, op); v.Refuses() {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return &proxy.RefusedError{Verdict: *v}
	}
	up, err := h.dial(ctx, s)
	if err == nil {
		if err = cl.welcome(c); err != nil {
			up.close()
			err = proxy.ErrClientLeft
		}
	}
	if err != nil {
		s.Done(op, &proxy.Outcome{Err: err})
		return err
	}
	x := splice{session: s, client: side{cl.conn, c.Conn}, upstream: *up, ahead: cl.ahead, idle: set.Idle}
	out := x.run()
	s.Done(op, &out)
	return s.Err()
}

// forward is the operation that a session is for.
func forward(r *proxy.Resource) *proxy.Forward {
	op := &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: r.Address, Opaque: true}
	if path, ok := strings.CutPrefix(r.Address, "unix:"); ok {
		op.Network, op.Host = "unix", path
		return op
	}
	if host, port, err := net.SplitHostPort(r.Address); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			op.Host, op.Port = host, uint16(n)
		}
	}
	return op
}

// Operation returns the operation that opens a connection to a target. Nothing else can be asked for there: text is empty, or "connect".
func Operation(t proxy.Target, text string) (proxy.Op, error) {
	if t.Resource == nil {
		return nil, errors.New("explaining a connection: the target has no resource")
	}
	if text = strings.TrimSpace(text); text != "" && text != "connect" {
		return nil, fmt.Errorf("explaining a connection to %s: got %q, want \"connect\": what is sent over it is not seen, so that nothing else can be explained", t.Resource.Name, text)
	}
	return forward(t.Resource), nil
}

// Reach connects to the resource of a session, with TLS where it has that, and leaves.
func Reach(ctx context.Context, s *proxy.Session) error {
	up, err := (&Handler{}).dial(ctx, s)
	if err != nil {
		return err
	}
	return up.close()
}

// dial connects to the session's resource, and protects the connection as its TLS says.
func (h *Handler) dial(ctx context.Context, s *proxy.Session) (*side, error) {
	raw, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	r := s.Target.Resource
	config := r.TLS.Config(r.Address)
	if config == nil {
		return &side{raw, raw}, nil
	}
	limit := h.LoginTimeout
	if limit <= 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := tls.Client(raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("resource %s: TLS with it: %w", r.Name, err)
	}
	return &side{t, raw}, nil
}
