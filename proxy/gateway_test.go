package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// lines is a handler of a protocol of lines: the first is the user's name, each
// further one per operation. "panic" panics.
type lines struct{}

func (lines) Protocol() string { return "test" }

func (lines) ServeConn(ctx context.Context, c *proxy.Conn) error {
	in := bufio.NewReader(c)
	name, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: strings.TrimSpace(name)})
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
	fmt.Fprintln(c, "hello")
	stop := context.AfterFunc(s.Context(), func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	drain := context.AfterFunc(s.Draining(), func() { s.Kill(proxy.ErrShutdown) })
	defer drain()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		if line == "panic\n" {
			panic(proxytest.Secret)
		}
		op := proxytest.Statement(strings.TrimSpace(line), proxy.EffectRead)
		v := s.Ask(ctx, op)
		if v.Refuses() {
			fmt.Fprintln(c, "refused")
			continue
		}
		s.Done(op, &proxy.Outcome{})
		fmt.Fprintln(c, "ran")
	}
}

type everybody struct{}

func (everybody) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if p.User == "mallory" {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: p.User}, nil
}

func gateway() *proxy.Gateway {
	r := proxytest.Resource
	return &proxy.Gateway{
		Authenticator: everybody{}, Directory: proxy.Resources{&r}, Interceptors: []proxy.Interceptor{proxytest.Allow{}},
		DrainTimeout: 300 * time.Millisecond,
	}
}

func dial(t *testing.T, ln *proxytest.Listener) net.Conn {
	t.Helper()
	c, err := ln.Dial()
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func say(t *testing.T, c net.Conn, text, want string) {
	t.Helper()
	fmt.Fprintln(c, text)
	proxytest.Expect(t, c, []byte(want+"\n"))
}

func TestServe(t *testing.T) {
	g := gateway()
	ln := proxytest.Serve(t, g, lines{})
	c := dial(t, ln)
	say(t, c, "alice", "hello")
	say(t, c, "SELECT 1", "ran")
	require.Len(t, g.Sessions(), 1)
	say(t, dial(t, ln), "mallory", "no")
	c.Close()
	require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 30*time.Second, time.Millisecond)
}

// Where a listener is withdrawn nobody connects any more, and who is connected goes on.
func TestServeWithdrawn(t *testing.T) {
	g := gateway()
	stays := proxytest.Serve(t, g, lines{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, withdraw := context.WithCancelCause(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln, lines{}) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	say(t, c, "alice", "hello")
	withdraw(proxy.ErrWithdrawn)
	require.Eventually(t, func() bool {
		refused, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			refused.Close()
		}
		return err != nil
	}, 30*time.Second, time.Millisecond)
	say(t, c, "SELECT 1", "ran")
	say(t, dial(t, stays), "bob", "hello")
	c.Close()
	require.NoError(t, <-served)
	say(t, dial(t, stays), "carol", "hello")
}

// A gateway without its parts lets nobody in.
func TestEmptyGateway(t *testing.T) {
	for name, g := range map[string]*proxy.Gateway{
		"nothing": {}, "no directory": {Authenticator: everybody{}}, "no interceptor": {Authenticator: everybody{}, Directory: proxy.Resources{&proxytest.Resource}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, proxytest.Serve(t, g, lines{}))
			fmt.Fprintln(c, "alice")
			b, _ := io.ReadAll(c)
			require.NotContains(t, string(b), "hello")
		})
	}
}

func TestHandlerPanic(t *testing.T) {
	g := gateway()
	events := make(chan proxy.Event, 100)
	g.OnEvent = func(e proxy.Event) { events <- e }
	ln := proxytest.Serve(t, g, lines{})
	other := dial(t, ln)
	say(t, other, "bob", "hello")
	c := dial(t, ln)
	say(t, c, "alice", "hello")
	fmt.Fprintln(c, "panic")
	b, _ := io.ReadAll(c)
	require.NotContains(t, string(b), proxytest.Secret)
	say(t, other, "SELECT 1", "ran")
	for e := range events {
		if e.Kind == proxy.EventPanic {
			require.NotContains(t, e.Err.Error(), proxytest.Secret)
			break
		}
	}
}

func TestAttack64Limits(t *testing.T) {
	g := gateway()
	g.MaxSessions, g.MaxPerIdentity = 3, 2
	ln := proxytest.Serve(t, g, lines{})
	first := dial(t, ln)
	say(t, first, "alice", "hello")
	say(t, dial(t, ln), "alice", "hello")
	say(t, dial(t, ln), "alice", "refused")
	say(t, dial(t, ln), "bob", "hello")
	say(t, dial(t, ln), "carol", "refused")
	first.Close()
	require.Eventually(t, func() bool { return len(g.Sessions()) == 2 }, 30*time.Second, time.Millisecond)
	say(t, dial(t, ln), "carol", "hello")
}

func TestHandshakeTimeout(t *testing.T) {
	g := gateway()
	g.HandshakeTimeout = 2 * time.Second
	ln := proxytest.Serve(t, g, lines{})
	idle := dial(t, ln)
	say(t, idle, "alice", "hello")
	silent := dial(t, ln) // after the other one, so that its time is over when this one's is
	_, err := io.ReadAll(silent)
	require.NoError(t, err, "it is closed")
	say(t, idle, "SELECT 1", "ran")
}

// A flood of silent connections costs the oldest of them, not those who come to
// work.
func TestFlood(t *testing.T) {
	g := gateway()
	g.MaxUnauthenticated = 10
	ln := proxytest.Serve(t, g, lines{})
	worker := dial(t, ln)
	say(t, worker, "alice", "hello")
	closed := make(chan struct{}, 50)
	for range cap(closed) {
		c := dial(t, ln)
		go func() {
			if _, err := io.ReadAll(c); err == nil {
				closed <- struct{}{}
			}
		}()
	}
	for range cap(closed) - g.MaxUnauthenticated {
		<-closed
	}
	say(t, worker, "SELECT 1", "ran")
	say(t, dial(t, ln), "bob", "hello")
}

// Shutdown stops accepting, lets sessions end, cuts those that do not, and
// leaves no goroutine.
func TestShutdown(t *testing.T) {
	before := runtime.NumGoroutine()
	g := gateway()
	ln := proxytest.NewListener()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln, lines{}) }()
	var conns []net.Conn
	for i := range 20 {
		c := dial(t, ln)
		if i%2 == 0 {
			say(t, c, "alice", "hello")
		}
		conns = append(conns, c)
	}
	cancel()
	select {
	case err := <-served:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("Serve does not return")
	}
	_, err := ln.Dial()
	require.Error(t, err)
	require.Empty(t, g.Sessions())
	_, _, err = g.Open(context.Background(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "a"}, Target: proxy.Target{Resource: &proxytest.Resource}})
	require.ErrorIs(t, err, proxy.ErrShutdown)
	for _, c := range conns {
		c.Close()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 30*time.Second, 10*time.Millisecond)
}

// A listener that fails ends Serve with its error.
func TestListenerFails(t *testing.T) {
	ln := proxytest.NewListener()
	ln.Close()
	require.ErrorIs(t, gateway().Serve(context.Background(), ln, lines{}), net.ErrClosed)
}

// One that runs out of descriptors for a while goes on.
func TestAcceptRunsOut(t *testing.T) {
	ln := &exhausted{Listener: proxytest.NewListener(), left: 3}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gateway().Serve(ctx, ln, lines{}) }()
	say(t, dial(t, ln.Listener), "alice", "hello")
	cancel()
	require.NoError(t, <-served)
}

type exhausted struct {
	*proxytest.Listener
	left int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// The credential is given back when the session ends, also after a panic.
func TestLeases(t *testing.T) {
	source := &leases{}
	g := &proxy.Gateway{Credentials: source}
	s, err := proxytest.Open(g)
	require.NoError(t, err)
	c, err := s.Credential(context.Background(), false)
	require.NoError(t, err)
	require.Equal(t, "app", c.Username)
	_, err = s.Credential(context.Background(), true)
	require.NoError(t, err)
	require.Equal(t, 1, source.released, "a fresh one replaces the old")
	s.Close(nil)
	require.Equal(t, 2, source.released)
	_, err = s.Credential(context.Background(), false)
	require.Error(t, err)
	require.Equal(t, source.leased, source.released)

	source.err = errors.New("vault at /secret/path says no")
	s, err = proxytest.Open(g)
	require.NoError(t, err)
	_, err = s.Credential(context.Background(), false)
	require.ErrorIs(t, err, source.err)
	require.NotContains(t, err.Error(), "/secret/path", "users are not told where secrets are")
	s.Close(nil)
}

type leases struct {
	leased, released int
	err              error
}

func (l *leases) Lease(context.Context, proxy.LeaseRequest) (*proxy.Lease, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.leased++
	return &proxy.Lease{Credential: proxy.Credential{Username: "app"}, Release: func() { l.released++ }}, nil
}

// A session ends when its credential is lost, unless a fresh one has replaced it.
func TestLostCredential(t *testing.T) {
	first, second := make(chan struct{}), make(chan struct{})
	source := &losing{lost: []<-chan struct{}{first, second}}
	s, err := proxytest.Open(&proxy.Gateway{Credentials: source})
	require.NoError(t, err)
	_, err = s.Credential(context.Background(), false)
	require.NoError(t, err)
	_, err = s.Credential(context.Background(), true)
	require.NoError(t, err)
	require.Nil(t, source.asked[0].Refused)
	require.NotNil(t, source.asked[1].Refused)
	require.Equal(t, "first", source.asked[1].Refused.Username, "the source learns what was refused")
	require.Equal(t, s.ID, source.asked[1].Session)
	require.Same(t, s.Identity, source.asked[1].Identity)
	close(first)
	require.NoError(t, s.Err())
	close(second)
	<-s.Context().Done()
	require.ErrorIs(t, s.Err(), proxy.ErrCredentialLost)
	s.Close(nil)
}

type losing struct {
	lost  []<-chan struct{}
	asked []proxy.LeaseRequest
}

func (l *losing) Lease(_ context.Context, r proxy.LeaseRequest) (*proxy.Lease, error) {
	n := len(l.asked)
	l.asked = append(l.asked, r)
	return &proxy.Lease{Credential: proxy.Credential{Username: []string{"first", "second"}[n]}, Lost: l.lost[n]}, nil
}

func TestLogins(t *testing.T) {
	for name, want := range map[string]proxy.Login{"a": {User: "a"}, "a+b": {User: "a", Resource: "b"}, "a+b+c": {User: "a", Resource: "b", Account: "c"}} {
		got, err := proxy.ParseLogin(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, name := range []string{"", "+", "a+", "+b", "a++c", "a+b+c+d"} {
		_, err := proxy.ParseLogin(name)
		require.Error(t, err, name)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := proxy.NewSecret("hunter2")
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s), fmt.Sprintf("%+v", proxy.Credential{Password: s})} {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, "68756e74657232")
	}
	require.Equal(t, "hunter2", s.Reveal())
}

// observer is an interceptor that is told of events.
type observer struct {
	seeing
	events *[]proxy.EventKind
	panics bool
}

func (o observer) Event(e proxy.Event) {
	*o.events = append(*o.events, e.Kind)
	if o.panics {
		panic(proxytest.Secret)
	}
}

// The interceptors that want to are told of events without anybody wiring them, the
// others and the sessions do not suffer from one that fails.
func TestObservers(t *testing.T) {
	var first, second []proxy.EventKind
	none := seeing(func(*proxy.Session) {})
	g := &proxy.Gateway{Log: slog.New(slog.DiscardHandler), Interceptors: []proxy.Interceptor{proxytest.Allow{}, observer{none, &first, true}, observer{none, &second, false}}}
	openAt(t, g, &proxytest.Resource).Close(nil)
	want := []proxy.EventKind{proxy.EventSessionStart, proxy.EventSessionEnd}
	require.Equal(t, want, first)
	require.Equal(t, want, second)
}

// A recorder that has no hook for notes in a session does not record it.
func TestRecorderWithoutHook(t *testing.T) {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{noting{true}, deaf{&proxytest.Notes{}}}}
	s := openAt(t, g, &proxytest.Resource)
	defer s.Close(nil)
	require.True(t, ask(s, read()).Refuses())
	require.ErrorIs(t, s.Err(), proxy.ErrUnrecorded)
}

// deaf is a recorder that forgets its hook.
type deaf struct{ *proxytest.Notes }

func (deaf) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{}, nil
}

// unheeding is a handler that does not look at its session's context.
type unheeding struct {
	lines
	begun chan struct{}
	serve func(c *proxy.Conn)
}

func (d unheeding) ServeConn(ctx context.Context, c *proxy.Conn) error {
	id, err := c.Authenticate(ctx, proxy.Proof{User: "alice"})
	if err != nil {
		return err
	}
	r, err := c.Lookup(ctx, "shop")
	if err != nil {
		return err
	}
	if _, _, err := c.Open(ctx, id, proxy.Target{Resource: r}, nil); err != nil {
		return err
	}
	close(d.begun)
	d.serve(c)
	return nil
}

// TestCut: a connection whose handler does not notice that it was cut is closed, and a
// handler that does not return even then is not waited for.
func TestCut(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(stuck chan struct{}) func(c *proxy.Conn)
		after time.Duration
		fails bool
	}{
		"one that reads":         {func(chan struct{}) func(c *proxy.Conn) { return func(c *proxy.Conn) { io.Copy(io.Discard, c) } }, 5 * time.Second, false},
		"one that never returns": {func(stuck chan struct{}) func(c *proxy.Conn) { return func(*proxy.Conn) { <-stuck } }, 10 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gateway()
				ln := proxytest.NewListener()
				stuck := make(chan struct{})
				h := unheeding{begun: make(chan struct{}), serve: tt.serve(stuck)}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- g.Serve(ctx, ln, h) }()
				c, err := ln.Dial()
				require.NoError(t, err)
				defer c.Close()
				<-h.begun
				begin := time.Now()
				cancel()
				err = <-served
				require.Equal(t, tt.fails, err != nil, err)
				require.Equal(t, g.DrainTimeout+tt.after, time.Since(begin))
				close(stuck)
			})
		})
	}
}
