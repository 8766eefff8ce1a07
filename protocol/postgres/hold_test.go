package postgres

import (
	"context"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// deciding parks statements that hold "wait".
func deciding() *hooks {
	return &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && containsFold(st.Text, []byte("wait")) {
			return proxytest.Hold("review")
		}
		return proxy.Pass()
	}}}
}

// approves allows what waits when decide is closed, or the wait's context ends,
// whatever has become of the client.
func approves(decide chan struct{}) func(g *proxy.Gateway) {
	return func(g *proxy.Gateway) {
		g.Reviewer = proxytest.Reviewer{Wait: func(ctx context.Context) proxy.Verdict {
			select {
			case <-decide:
			case <-ctx.Done():
			}
			return proxy.Allow("approved")
		}}
	}
}

// secured turns c into a connection with TLS.
func (c *rawClient) secured() *rawClient {
	c.send(wire.AppendSSLRequest(nil))
	_, err := io.ReadFull(c, make([]byte, 1))
	require.NoError(c.t, err)
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	require.NoError(c.t, tc.Handshake())
	return &rawClient{c.t, tc}
}

// What is sent after a parked operation waits with it, is answered in order
// afterwards, and another session does not wait.
func TestHeldOperations(t *testing.T) {
	for name, config := range map[string]gateConfig{"clear": {}, "TLS": withTLS(t)} {
		t.Run(name, func(t *testing.T) {
			decide := make(chan struct{})
			config.chain, config.gateway = []proxy.Interceptor{deciding()}, approves(decide)
			g := startGate(t, config)
			login := func() *rawClient {
				c := g.dial(t)
				if name == "TLS" {
					c = c.secured()
				}
				c.login([]wire.Parameter{{Name: "user", Value: "alice+orders"}})
				_, failed := c.until(wire.ReadyForQuery)
				require.Empty(t, failed)
				return c
			}
			c := login()
			behind := strings.Repeat("x", 40<<10) // more than is read ahead, with what follows
			c.send(query("SELECT 1"), query("SELECT 2 AS wait"))
			types, _ := c.until(wire.ReadyForQuery) // what came before is answered
			if !strings.Contains(types, "N") {
				c.until(wire.NoticeResponse)
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for i := range 3 {
					c.Write(query("SELECT " + string(rune('3'+i)) + ", '" + behind + "'"))
				}
			}()
			login().works()
			time.Sleep(100 * time.Millisecond)
			close(decide)
			for i := range 4 {
				for {
					typ, body := c.message()
					require.NotZero(t, typ)
					require.NotEqual(t, byte(wire.ErrorResponse), typ)
					if typ == wire.DataRow {
						require.Equal(t, string(rune('2'+i)), string(body[6:7]), "in order")
					}
					if typ == wire.ReadyForQuery {
						break
					}
				}
			}
			<-sent
			c.works()
		})
	}
}

// A client that leaves while its operation is parked ends the session, and what
// is approved later does not run.
func TestHeldOperationOfNobody(t *testing.T) {
	for name, leave := range map[string]func(c *rawClient){
		"closes":           func(c *rawClient) { c.Close() },
		"says goodbye":     func(c *rawClient) { c.send(msg(wire.Terminate)); c.Close() },
		"sends and leaves": func(c *rawClient) { c.send(query("SELECT 2"), query("SELECT 3")); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			decide := make(chan struct{})
			g := startGate(t, gateConfig{sql: "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)", chain: []proxy.Interceptor{deciding()}, gateway: approves(decide)})
			c := g.raw(t)
			c.send(query("DELETE FROM t /* wait */"))
			c.until(wire.NoticeResponse)
			leave(c)
			require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 5*time.Second, 5*time.Millisecond)
			close(decide)
			g.untouched(t)
		})
	}
}

// Cancelling refuses what is parked, and the session goes on.
func TestHeldOperationCancelled(t *testing.T) {
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{holding("wait")}, gateway: never})
	c := g.connect(t, "sslmode=disable")
	failed := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT 'wait'")
		failed <- err
	}()
	require.Eventually(t, func() bool {
		require.NoError(t, c.PgConn().CancelRequest(context.Background()))
		select {
		case err := <-failed:
			require.ErrorContains(t, err, "42501")
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}, 10*time.Second, time.Millisecond)
	var n int
	require.NoError(t, c.QueryRow(context.Background(), "SELECT 7").Scan(&n))
	require.Equal(t, 7, n)
}

// A session that waits for an approval may wait longer than a handshake; the
// client is told, and its leaving ends the waiting.
func TestHeldConnect(t *testing.T) {
	for name, config := range map[string]gateConfig{"clear": {}, "TLS": withTLS(t)} {
		t.Run(name, func(t *testing.T) {
			decide, parked := make(chan struct{}), make(chan struct{}, 10)
			config.gateway = func(g *proxy.Gateway) {
				g.HandshakeTimeout, g.AskTimeout = 500*time.Millisecond, 300*time.Millisecond
				g.Interceptors = []proxy.Interceptor{connectHold{}}
				g.Reviewer = proxytest.Reviewer{Wait: func(ctx context.Context) proxy.Verdict {
					parked <- struct{}{}
					select {
					case <-decide:
						return proxy.Allow("approved")
					case <-ctx.Done():
						return proxy.Deny(proxy.CauseApproval, "", "nobody decided", "")
					}
				}}
			}
			g := startGate(t, config)
			login := func() *rawClient {
				c := g.dial(t)
				if name == "TLS" {
					c = c.secured()
				}
				c.login([]wire.Parameter{{Name: "user", Value: "alice+orders"}})
				types, failed := c.until(wire.NoticeResponse)
				require.Equal(t, "RRN", types, failed)
				<-parked
				return c
			}
			patient, leaving := login(), login()
			require.Len(t, g.Sessions(), 2)
			leaving.Close()
			require.Eventually(t, func() bool { return len(g.Sessions()) == 1 }, 5*time.Second, time.Millisecond)
			time.Sleep(700 * time.Millisecond) // longer than a handshake may take
			close(decide)
			_, failed := patient.until(wire.ReadyForQuery)
			require.Empty(t, failed)
			patient.works()
			out := g.psql(t, "SELECT 'works'")
			require.Contains(t, out, "works", "real clients take a notice at this point")
		})
	}
}

// connectHold parks Connect.
type connectHold struct{}

func (connectHold) Name() string { return "review" }

func (connectHold) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind != proxy.KindConnect {
			return proxy.Pass()
		}
		return proxytest.Hold("review")
	}}, nil
}

// opens approves everything, and notes whether a transaction is open.
type opens struct {
	proxytest.Reviewer
	last *bool
}

func (o opens) Request(ctx context.Context, s *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	*o.last = op.(*proxy.Statement).Open(ctx)
	return o.Reviewer.Request(ctx, s, op, h)
}

// TestHeldWithATransactionOpen: who asks for an approval is told whether something has run in the transaction before, which keeps locks: of
// the client's, also when it has failed, and of a batch's.
func TestHeldWithATransactionOpen(t *testing.T) {
	open := false
	o := opens{proxytest.Reviewer{Wait: func(context.Context) proxy.Verdict { return proxy.Allow("approved") }}, &open}
	g := startGate(t, gateConfig{sql: "CREATE TABLE t (id int)", chain: []proxy.Interceptor{holding("wait")}, gateway: func(g *proxy.Gateway) { g.Reviewer = o }})
	ctx := context.Background()
	c := g.connect(t, "sslmode=disable").PgConn()
	simple := func(text string) { c.Exec(ctx, text).ReadAll() }
	batch := func(texts ...string) {
		b := &pgconn.Batch{}
		for _, text := range texts {
			b.ExecParams(text, nil, nil, nil, nil)
		}
		_, err := c.ExecBatch(ctx, b).ReadAll()
		require.NoError(t, err)
	}
	const held, insert = "DELETE FROM t /* wait */", "INSERT INTO t VALUES (1)"
	check := func(want bool, name string) {
		t.Helper()
		require.Equal(t, want, open, name)
		open = !want
	}
	open = true
	simple(held)
	check(false, "alone")
	simple("BEGIN; " + held + "; COMMIT")
	check(false, "a text with a transaction of its own")
	simple("BEGIN")
	simple(held)
	check(true, "in a transaction")
	simple("SELECT 1 / 0")
	simple(held)
	check(true, "in one that has failed")
	simple("ROLLBACK")
	simple(held)
	check(false, "after it")
	batch(held)
	check(false, "a batch of one")
	batch(insert, held)
	check(true, "after something else in a batch")
	batch(held)
	check(false, "in the next batch")
	batch(held, held)
	check(true, "the second of a batch")
	simple(held)
	check(false, "after the batch")
}
