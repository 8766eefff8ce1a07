package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// linked is a handler whose clients log in by a link. The first line is the user's name.
type linked struct{ failed chan error }

func (linked) Protocol() string { return "test" }

func (h linked) ServeConn(ctx context.Context, c *proxy.Conn) error {
	in := bufio.NewReader(c)
	name, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	next := make(chan string, 1)
	go func() {
		line, err := in.ReadString('\n')
		if err != nil {
			leave(proxy.ErrClientLeft)
		}
		next <- line
	}()
	id, err := c.Link(ctx, proxy.Login{User: strings.TrimSpace(name)}, "shop", func(l proxy.Link) error {
		_, err := fmt.Fprintln(c, l.URL)
		return err
	})
	if err != nil {
		h.failed <- err
		fmt.Fprintln(c, "no")
		return err
	}
	r, err := c.Lookup(ctx, "shop")
	if err != nil {
		return err
	}
	s, connect, err := c.Open(ctx, id, proxy.Target{Resource: r}, nil)
	if err != nil {
		return err
	}
	s.Done(connect, &proxy.Outcome{})
	fmt.Fprintln(c, "hello "+s.Identity.Subject)
	<-next
	return nil
}

// linker offers links to all but nobody, at which confirm says who has logged in.
type linker struct {
	confirm chan *proxy.Identity
	life    time.Duration
	closed  atomic.Int32
}

func (l *linker) Offer(_ context.Context, q proxy.LinkRequest) (proxy.Link, error) {
	switch q.Login.User {
	case "nobody":
		return proxy.Link{}, proxy.ErrNoLink
	case "many":
		return proxy.Link{}, proxy.ErrTooManyLinks
	case "broken":
		return proxy.Link{}, errors.New("dial db.internal: refused")
	}
	return proxy.Link{
		URL: q.Protocol + ":" + q.Resource, Expires: time.Now().Add(l.life), Close: func() { l.closed.Add(1) },
		Wait: func(ctx context.Context) (*proxy.Identity, error) {
			select {
			case id := <-l.confirm:
				return id, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}, nil
}

// refreshing knows everybody, but for the one who is gone.
type refreshing struct {
	everybody
	gone string
}

func (r refreshing) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	switch id.Subject {
	case r.gone:
		return nil, errors.New("the account is disabled")
	case "dev/unknown":
		return nil, fmt.Errorf("%w: dial db.internal: refused", proxy.ErrUnavailable)
	}
	return id, nil
}

func TestLink(t *testing.T) {
	for _, c := range []struct {
		name, user string
		then       func(l *linker, stop func()) // once the client waits
		life       time.Duration
		says       string
		err        error
		shown      string // of err
		events     string // of logins
	}{
		{"somebody logs in", "alice", func(l *linker, _ func()) { l.confirm <- &proxy.Identity{Subject: "dev/alice"} }, time.Minute, "hello dev/alice", nil, "", "login"},
		{"nobody", "alice", func(*linker, func()) {}, 50 * time.Millisecond, "no", proxy.ErrUnauthenticated, "nobody has logged in at the link in time", "login-failed"},
		{"who is gone", "alice", func(l *linker, _ func()) { l.confirm <- &proxy.Identity{Subject: "dev/gone"} }, time.Minute, "no", proxy.ErrUnauthenticated, "the account is disabled", "login-failed"},
		{"who cannot be asked about", "alice", func(l *linker, _ func()) { l.confirm <- &proxy.Identity{Subject: "dev/unknown"} }, time.Minute, "no", proxy.ErrUnauthenticated, "cannot be checked now", "login-failed"},
		{"somebody without a subject", "alice", func(l *linker, _ func()) { l.confirm <- &proxy.Identity{} }, time.Minute, "no", proxy.ErrUnauthenticated, "", "login-failed"},
		{"no identity", "alice", func(l *linker, _ func()) { l.confirm <- nil }, time.Minute, "no", proxy.ErrUnauthenticated, "", "login-failed"},
		{"the gateway stops", "alice", func(_ *linker, stop func()) { stop() }, time.Minute, "no", proxy.ErrShutdown, "shutting down", "login-failed"},
		{"none is offered", "nobody", nil, time.Minute, "no", proxy.ErrNoLink, "", ""},
		{"too many", "many", nil, time.Minute, "no", proxy.ErrTooManyLinks, "too many clients wait", "login-failed"},
		{"the store does not answer", "broken", nil, time.Minute, "no", proxy.ErrUnauthenticated, "cannot be checked now", "login-failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var events []string
			g := gateway()
			l := &linker{confirm: make(chan *proxy.Identity, 1), life: c.life}
			g.Authenticator, g.Linker = refreshing{gone: "dev/gone"}, l
			g.OnEvent = func(e proxy.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == proxy.EventLogin || e.Kind == proxy.EventLoginFailed {
					events = append(events, e.Kind.String())
				}
			}
			h := linked{make(chan error, 1)}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ln := proxytest.NewListener()
			served := make(chan error, 1)
			go func() { served <- g.Serve(ctx, ln, h) }()
			conn := dial(t, ln)
			fmt.Fprintln(conn, c.user)
			if c.then != nil {
				proxytest.Expect(t, conn, []byte("test:shop\n"))
				require.Empty(t, g.Sessions())
				c.then(l, cancel)
			}
			proxytest.Expect(t, conn, []byte(c.says+"\n"))
			if c.err != nil {
				err := <-h.failed
				require.ErrorIs(t, err, c.err)
				require.ErrorContains(t, err, c.shown)
				require.NotContains(t, err.Error(), "db.internal", "what is inside is not shown")
			}
			conn.Close()
			cancel()
			require.NoError(t, <-served)
			require.Equal(t, c.events, strings.Join(events, " "))
			if c.then != nil {
				require.EqualValues(t, 1, l.closed.Load())
			}
		})
	}
}

// TestAttackLinkSlots: a client that waits at a link lasts longer than a handshake, and is not the
// silent connection that makes room for others.
func TestAttackLinkSlots(t *testing.T) {
	g := gateway()
	l := &linker{confirm: make(chan *proxy.Identity, 1), life: time.Minute}
	g.Linker, g.HandshakeTimeout, g.MaxUnauthenticated, g.MaxSessions = l, 200*time.Millisecond, 1, 1
	h := linked{make(chan error, 1)}
	ln := proxytest.Serve(t, g, h)
	waits := dial(t, ln)
	say(t, waits, "alice", "test:shop")
	for range 5 { // silent ones, each in the place of the one before, until their handshake ends
		_, err := io.ReadAll(dial(t, ln))
		require.NoError(t, err)
	}
	l.confirm <- &proxy.Identity{Subject: "dev/alice"}
	proxytest.Expect(t, waits, []byte("hello dev/alice\n"))
}

// TestLinkClientLeaves: a client that leaves while it waits has failed no login, and its link ends.
func TestLinkClientLeaves(t *testing.T) {
	g := gateway()
	l := &linker{confirm: make(chan *proxy.Identity, 1), life: time.Minute}
	g.Linker = l
	g.OnEvent = func(e proxy.Event) {
		if e.Kind == proxy.EventLoginFailed {
			t.Errorf("it is told that a login failed: %v", e.Err)
		}
	}
	h := linked{make(chan error, 1)}
	ln := proxytest.Serve(t, g, h)
	c := dial(t, ln)
	say(t, c, "alice", "test:shop")
	c.Close()
	require.ErrorIs(t, <-h.failed, proxy.ErrClientLeft)
	require.Eventually(t, func() bool { return l.closed.Load() == 1 }, 30*time.Second, time.Millisecond)
}
