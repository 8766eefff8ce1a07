package postgres

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// counting counts the connections to resources.
type counting struct {
	net.Dialer
	n atomic.Int32
}

func (d *counting) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.n.Add(1)
	return d.Dialer.DialContext(ctx, network, address)
}

// startLinked starts a gateway with TLS at which clients log in by links.
func startLinked(t *testing.T, chain ...proxy.Interceptor) (g *gate, l *proxytest.Linker, dialed *counting) {
	t.Helper()
	c := withTLS(t)
	l, dialed = proxytest.NewLinker("orders", "many"), &counting{}
	c.chain, c.gateway = chain, func(g *proxy.Gateway) { g.Linker, g.Dialer = l, dialed }
	secure := c.handler
	c.handler = func(h *Handler) {
		secure(h)
		h.RequireTLS = false
	}
	return startGate(t, c), l, dialed
}

var aliceToOrders = []wire.Parameter{{Name: "user", Value: "alice+orders"}}

// TestAttackLinkState: a client that waits at a link has no session, no operation and no
// connection to the resource, whatever it sends; what it has sent is judged when it is somebody.
func TestAttackLinkState(t *testing.T) {
	chain := denying("drop")
	g, l, dialed := startLinked(t, chain)
	c := g.dial(t).secured()
	c.send(wire.AppendStartup(nil, wire.Version30, append(aliceToOrders, wire.Parameter{Name: "database", Value: g.db})))
	types, _ := c.until(wire.NoticeResponse)
	require.Equal(t, "RN", types)
	c.send(query("DROP TABLE notes"), query("SELECT 'early'"), query("SELECT '"+strings.Repeat("x", 8<<10)+"'"))
	time.Sleep(100 * time.Millisecond) // nothing to wait for: nothing happens
	require.Empty(t, g.Sessions())
	require.Zero(t, dialed.n.Load())
	chain.mu.Lock()
	require.Empty(t, chain.ops)
	chain.mu.Unlock()
	l.Who <- &proxy.Identity{Subject: "dev/alice", Method: proxy.MethodLink}
	types, failed := c.until(wire.ReadyForQuery)
	require.True(t, strings.HasPrefix(types, "S") && strings.HasSuffix(types, "KZ"), "what follows is the server's greeting: %s", types)
	require.Empty(t, failed)
	types, failed = c.until(wire.ReadyForQuery)
	require.Contains(t, failed, codeRefused, types)
	types, failed = c.until(wire.ReadyForQuery)
	require.Equal(t, "TDCZ", types, failed)
	c.until(wire.ReadyForQuery)
	c.works()
	require.Len(t, g.Sessions(), 1)
	require.Equal(t, "dev/alice", g.Sessions()[0].Identity.Subject)
	require.EqualValues(t, 1, l.Closed.Load())
}

// TestLinkFails: a client that nobody logs in is told why, and gets no other attempt.
func TestLinkFails(t *testing.T) {
	g, l, dialed := startLinked(t)
	for user, want := range map[string]string{"alice": "it was refused in the browser", "many": "too many clients wait"} {
		c := g.dial(t).secured()
		c.send(wire.AppendStartup(nil, wire.Version30, []wire.Parameter{{Name: "user", Value: user + "+orders"}}))
		if user == "alice" {
			c.until(wire.NoticeResponse)
			l.Who <- nil
		}
		failed := c.ended()
		require.Contains(t, failed, codeAuthorization)
		require.Contains(t, failed, want)
	}
	require.Zero(t, dialed.n.Load())
}

// TestLinkClientLeaves: a client that leaves, in whatever way, waits no more.
func TestLinkClientLeaves(t *testing.T) {
	g, l, _ := startLinked(t)
	for name, leave := range map[string]func(c *rawClient){
		"by TLS's own word": func(c *rawClient) { c.Close() },
		"without a word":    func(c *rawClient) { c.Conn.(*tls.Conn).NetConn().Close() },
		"after Terminate": func(c *rawClient) {
			c.send(wire.AppendMessage(nil, wire.Terminate))
			c.Close()
		},
		"with a reset": func(c *rawClient) {
			tcp := c.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
			require.NoError(t, tcp.SetLinger(0))
			tcp.Close()
		},
		"with much that is not read": func(c *rawClient) {
			c.send(query(strings.Repeat("x", 32<<10)))
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := l.Closed.Load()
			c := g.dial(t).secured()
			c.send(wire.AppendStartup(nil, wire.Version30, aliceToOrders))
			c.until(wire.NoticeResponse)
			leave(c)
			require.Eventually(t, func() bool { return l.Closed.Load() == before+1 }, 10*time.Second, time.Millisecond)
		})
	}
}

// TestLinkNeedsTLS: a link and its code are shown over TLS only.
func TestLinkNeedsTLS(t *testing.T) {
	g, l, _ := startLinked(t)
	c := g.login(t, append(aliceToOrders, wire.Parameter{Name: "database", Value: g.db}))
	_, failed := c.until(wire.ReadyForQuery)
	require.Empty(t, failed)
	require.Equal(t, proxy.MethodSCRAM, g.Sessions()[0].Identity.Method)
	require.Zero(t, l.Closed.Load())
}

// TestLinkDrivers: applications' drivers bear the wait, whether they show the notice or not.
func TestLinkDrivers(t *testing.T) {
	for _, d := range drivers() {
		t.Run(d.program, func(t *testing.T) {
			t.Setenv("NODE_TLS_REJECT_UNAUTHORIZED", "0") // its certificate is this test's own
			g, l, _ := startLinked(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for {
					select {
					case l.Who <- &proxy.Identity{Subject: "dev/alice"}:
						time.Sleep(100 * time.Millisecond)
					case <-ctx.Done():
						return
					}
				}
			}()
			out, err := d.run(t, target{g.addr, "alice+orders", "none", g.db, "require"})
			require.NoError(t, err, out)
			require.NotZero(t, l.Closed.Load(), "it logs in by a link")
		})
	}
}
