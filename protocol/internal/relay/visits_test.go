package relay

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// slow is told of the end of the opening, and lets it end when the test says so.
type slow struct{ begun, end chan struct{} }

func (slow) Name() string { return "slow" }

func (s slow) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{
		Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("slow") },
		Done: func(context.Context, proxy.Op, *proxy.Outcome) {
			close(s.begun)
			<-s.end
		},
	}, nil
}

// conns is a handler that hands on the connections that it gets.
type conns struct{ got chan *proxy.Conn }

func (conns) Protocol() string { return "web" }

func (h conns) ServeConn(ctx context.Context, c *proxy.Conn) error {
	h.got <- c
	<-ctx.Done()
	return nil
}

// TestAttackEarly: a request that comes while the session is being opened waits for the opening like the one that has begun it: before that, nobody
// could be told of an approval.
func TestAttackEarly(t *testing.T) {
	open := slow{make(chan struct{}), make(chan struct{})}
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{open}, Unrecorded: true, Log: slog.New(slog.DiscardHandler)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := conns{make(chan *proxy.Conn)}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln, h) }()
	defer func() {
		stop()
		require.NoError(t, <-served)
	}()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	vs := &Visits{}
	entry := &Entry{
		Conn: <-h.got, Protocol: "web", Resource: &proxy.Resource{Name: "wiki", Type: "web", Address: "127.0.0.1:1"}, Proof: "bob",
		Find: func(context.Context) (*proxy.Identity, error) {
			return &proxy.Identity{Subject: "bob", Method: proxy.MethodPassword, AuthTime: time.Now()}, nil
		},
		Idle: func(*proxy.Resource) time.Duration { return time.Minute },
	}
	entered := make(chan *Visit, 2)
	enter := func() {
		v, err := vs.Enter(t.Context(), entry)
		if err != nil {
			t.Error(err)
		}
		entered <- v
	}
	go enter()
	<-open.begun
	go enter()
	require.Eventually(t, func() bool {
		vs.mu.Lock()
		defer vs.mu.Unlock()
		for _, v := range vs.open {
			return v.active == 2
		}
		return false
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, entered)
	close(open.end)
	one, two := <-entered, <-entered
	require.Same(t, one, two)
	one.Leave()
	two.Leave()
}
