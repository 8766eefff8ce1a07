package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/duplex"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// knowing is lines for clients that may be known.
type knowing struct{ lines }

func (k knowing) ServeConn(ctx context.Context, c *proxy.Conn) error {
	if !c.IsKnown() {
		return k.lines.ServeConn(ctx, c)
	}
	id, err := c.Known(ctx)
	if err != nil {
		fmt.Fprintln(c, "no")
		return err
	}
	r, err := c.Lookup(ctx, "shop")
	if err != nil {
		return err
	}
	s, connect, err := c.Open(ctx, id, proxy.Target{Resource: r}, nil)
	if err != nil {
		fmt.Fprintln(c, "refused")
		return err
	}
	s.Done(connect, &proxy.Outcome{})
	if err := c.Established(); err != nil {
		return err
	}
	fmt.Fprintln(c, "hello "+s.Identity.Subject)
	defer context.AfterFunc(s.Context(), func() { c.SetDeadline(time.Unix(1, 0)) })()
	defer context.AfterFunc(s.Draining(), func() { s.Kill(proxy.ErrShutdown) })()
	in := bufio.NewReader(c)
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return nil
		}
		if s.Ask(ctx, proxytest.Statement("SELECT 1", proxy.EffectRead)).Refuses() {
			fmt.Fprintln(c, "refused")
		} else {
			fmt.Fprintln(c, "ran")
		}
	}
}

// changing is an authenticator whose people can be gone.
type changing struct {
	everybody
	gone atomic.Bool
}

func (a *changing) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	if a.gone.Load() {
		return nil, errors.New("the user is disabled")
	}
	return id, nil
}

var browser = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}

// attend has a client served that is known, and returns her end of the connection.
func attend(t *testing.T, ctx context.Context, g *proxy.Gateway, client *proxy.Client) (net.Conn, <-chan error) {
	t.Helper()
	near, far := duplex.Pair(browser)
	t.Cleanup(func() { near.Close() })
	require.NoError(t, near.SetDeadline(time.Now().Add(30*time.Second)))
	served := make(chan error, 1)
	go func() { served <- g.ServeClient(ctx, far, knowing{}, client) }()
	return near, served
}

// A client that is known is asked for no proof, and everything else is as ever.
func TestServeClient(t *testing.T) {
	g := gateway()
	var opened atomic.Pointer[proxy.Session]
	c, served := attend(t, t.Context(), g, &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}, Via: "console", Opened: func(s *proxy.Session) { opened.Store(s) }})
	proxytest.Expect(t, c, []byte("hello alice\n"))
	say(t, c, "SELECT 1", "ran")
	s := g.Sessions()[0]
	require.Same(t, s, opened.Load())
	require.Equal(t, "console", s.Via)
	require.Equal(t, browser.String(), s.Remote.String())
	c.Close()
	require.NoError(t, <-served)
	require.Empty(t, g.Sessions())

	// Her session is killed as others'.
	c, served = attend(t, t.Context(), g, &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}})
	proxytest.Expect(t, c, []byte("hello alice\n"))
	g.Sessions()[0].Kill(errors.New("enough"))
	_, err := io.ReadAll(c)
	require.NoError(t, err)
	require.NoError(t, <-served)

	// A connection that a listener has accepted is of nobody who is known.
	say(t, dial(t, proxytest.Serve(t, g, knowing{})), "mallory", "no")
}

// Who is gone by now is not let in, however she was proven before.
func TestServeClientRefreshed(t *testing.T) {
	g := gateway()
	people := &changing{}
	g.Authenticator = people
	people.gone.Store(true)
	c, served := attend(t, t.Context(), g, &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}})
	proxytest.Expect(t, c, []byte("no\n"))
	require.NoError(t, <-served)
	people.gone.Store(false)
	c, served = attend(t, t.Context(), g, &proxy.Client{})
	proxytest.Expect(t, c, []byte("no\n"))
	require.NoError(t, <-served, "nobody is not somebody")

	c, served = attend(t, t.Context(), g, &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}})
	proxytest.Expect(t, c, []byte("hello alice\n"))
	people.gone.Store(true)
	g.Recheck(func(*proxy.Session) bool { return true })
	_, err := io.ReadAll(c)
	require.NoError(t, err)
	require.NoError(t, <-served)
}

// Shutdown ends clients that are known, and no further ones come in; so does the end of the context.
func TestServeClientDrains(t *testing.T) {
	g := gateway()
	ctx, stop := context.WithCancel(t.Context())
	ln := proxytest.NewListener()
	listened := make(chan error, 1)
	go func() { listened <- g.Serve(ctx, ln, knowing{}) }()
	alice := &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}}
	cut, cutIt := context.WithCancelCause(t.Context())
	c, served := attend(t, cut, g, alice)
	proxytest.Expect(t, c, []byte("hello alice\n"))
	cutIt(errors.New("the tab was closed"))
	require.NoError(t, <-served)

	c, served = attend(t, t.Context(), g, alice)
	proxytest.Expect(t, c, []byte("hello alice\n"))
	stop()
	require.NoError(t, <-listened)
	_, err := io.ReadAll(c)
	require.NoError(t, err)
	require.NoError(t, <-served)
	c, served = attend(t, t.Context(), g, alice)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Empty(t, b)
	require.NoError(t, <-served)
}

// What the session's interceptors hold and note is told to who speaks for the client.
func TestServeClientTells(t *testing.T) {
	g := gateway()
	g.Unrecorded = true
	g.Interceptors = append(g.Interceptors, asking{})
	g.Reviewer = approving{}
	held, noted := make(chan string, 10), make(chan proxy.NoteKind, 10)
	c, _ := attend(t, t.Context(), g, &proxy.Client{
		Identity: &proxy.Identity{Subject: "alice"},
		Held:     func(_ proxy.Op, p *proxy.Pending) { held <- p.ID },
		Noted:    func(_ proxy.Op, n *proxy.Note) { noted <- n.Kind },
	})
	proxytest.Expect(t, c, []byte("hello alice\n"))
	say(t, c, "SELECT 1", "ran")
	require.Equal(t, "r1", <-held)
	require.Equal(t, proxy.NoteObserved, <-noted)
}

type asking struct{}

func (asking) Name() string { return "asking" }

func (asking) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Pass()
		}
		if err := s.Note(ctx, op, &proxy.Note{Kind: proxy.NoteObserved, By: "asking", Rule: "look"}); err != nil {
			return proxy.Verdict{}
		}
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"ask"}, Approvers: [][]string{{"admins"}}, For: time.Minute}}
	}}, nil
}

type approving struct{}

func (approving) Request(context.Context, *proxy.Session, proxy.Op, *proxy.Hold) (*proxy.Pending, error) {
	return &proxy.Pending{ID: "r1", Wait: func(context.Context) proxy.Verdict { return proxy.Allow("ask") }}, nil
}
