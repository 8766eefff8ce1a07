package postgres

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// However sessions end, nothing of them stays.
func TestAttack76NoGoroutineStays(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE t (id int)", chain: []proxy.Interceptor{denying("secret"), holding("wait")}, gateway: never})
	first := g.raw(t)
	first.works()
	first.Close()
	none := func() bool { return len(g.Sessions()) == 0 }
	require.Eventually(t, none, 5*time.Second, time.Millisecond)
	before := runtime.NumGoroutine() + 1 // a subtest's own
	ends := map[string]func(c *rawClient){
		"says goodbye":          func(c *rawClient) { c.send(msg(wire.Terminate)) },
		"just goes":             func(c *rawClient) {},
		"goes in mid-query":     func(c *rawClient) { c.send(query("SELECT pg_sleep(60)")) },
		"goes in mid-result":    func(c *rawClient) { c.send(query("SELECT generate_series(1, 1000000)")); c.Read(make([]byte, 100)) },
		"goes in mid-message":   func(c *rawClient) { c.send(query("SELECT 1")[:7]) },
		"goes in mid-batch":     func(c *rawClient) { c.send(parse("", "SELECT 1"), bind("", "")) },
		"goes in mid-COPY":      func(c *rawClient) { c.send(query("COPY t FROM STDIN")); c.Read(make([]byte, 5)) },
		"goes in a transaction": func(c *rawClient) { c.send(query("BEGIN")); c.until(wire.ReadyForQuery) },
		"goes while it is held": func(c *rawClient) { c.send(query("SELECT 'wait'")); c.Read(make([]byte, 5)) },
		"goes while a name is in doubt": func(c *rawClient) {
			c.send(parse("", "SELECT pg_sleep(60)"), bind("", ""), execute("", 0), parse("a", "SELECT 1"), sync1, bind("", "a"))
			time.Sleep(50 * time.Millisecond)
		},
		"goes after a refusal":         func(c *rawClient) { c.send(query("SELECT 'secret'")); c.until(wire.ReadyForQuery) },
		"breaks the protocol":          func(c *rawClient) { c.send(msg('~')); c.ended() },
		"is killed":                    func(c *rawClient) { killAll(g); c.ended() },
		"is killed in mid-query":       func(c *rawClient) { c.send(query("SELECT pg_sleep(60)")); killAll(g); c.ended() },
		"ends the server's connection": func(c *rawClient) { c.send(query("SELECT pg_terminate_backend(pg_backend_pid())")); c.ended() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				c := g.raw(t)
				end(c)
				c.Close()
			}
			require.Eventually(t, none, 8*time.Second, 10*time.Millisecond)
			for range 100 {
				if runtime.NumGoroutine() <= before {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		})
	}
	// The server works for nobody who left.
	require.Eventually(t, func() bool {
		running, err := g.pg.Exec(context.Background(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+g.db+"' AND state = 'active' AND "+ofClients)
		return err == nil && running == "0"
	}, 5*time.Second, 50*time.Millisecond)
}

func killAll(g *gate) {
	for _, s := range g.Sessions() {
		s.Kill(proxy.ErrDeadline)
	}
}

// never has nobody decide about what waits.
func never(g *proxy.Gateway) {
	g.Reviewer = proxytest.Reviewer{Wait: func(ctx context.Context) proxy.Verdict {
		<-ctx.Done()
		return proxy.Deny(proxy.CauseApproval, "", "nobody decided", "")
	}}
}

// holding parks statements that hold word.
func holding(word string) *hooks {
	return &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && containsFold(st.Text, []byte(word)) {
			return proxytest.Hold("review")
		}
		return proxy.Pass()
	}}}
}

// Shutdown lets a query that runs come to its end, ends idle sessions at once,
// and cuts what takes longer than it may.
func TestAttack79Shutdown(t *testing.T) {
	g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) { g.DrainTimeout = 3 * time.Second }})
	idle, short, long := g.raw(t), g.raw(t), g.raw(t)
	short.send(query("SELECT pg_sleep(1)"))
	long.send(query("SELECT pg_sleep(30)"))
	time.Sleep(200 * time.Millisecond)
	begun := time.Now()
	stopped := make(chan struct{})
	go func() { g.stop(); close(stopped) }()
	require.Contains(t, idle.ended(), "57P01")
	require.Less(t, time.Since(begun), 900*time.Millisecond)
	types, failed := short.until(0)
	require.Equal(t, "TDCZE$", types)
	require.Contains(t, failed, "57P01")
	long.ended()
	<-stopped
	require.Less(t, time.Since(begun), 10*time.Second)
	_, err := net.Dial("tcp", g.addr)
	require.Error(t, err)
}

// The frame walk allocates nothing: a million rows cost what one does.
func TestFrameWalkAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	const rows = 200000
	description := msg(wire.RowDescription, append(append([]byte{0, 1}, "a\x00"...), make([]byte, 18)...)...)
	one := bytes.Repeat(wire.AppendRow(nil, [][]byte{[]byte(strings.Repeat("x", 100))}), 500)
	done := append(msg(wire.CommandComplete, []byte("SELECT 200000\x00")...), msg(wire.ReadyForQuery, 'I')...)
	g := hostile(t, gateConfig{}, func(c net.Conn) {
		if !welcome(c) {
			return
		}
		b := make([]byte, 1024)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			c.Write(description)
			for range rows / 500 {
				c.Write(one)
			}
			c.Write(done)
		}
	})
	c := g.raw(t)
	buf := make([]byte, 1<<16)
	statement := query("SELECT a FROM t")
	total := len(description) + rows/500*len(one) + len(done)
	run := func() {
		c.send(statement)
		for left := total; left > 0; {
			n, err := c.Read(buf)
			require.NoError(t, err)
			left -= n
		}
	}
	run()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	require.Less(t, after.Mallocs-before.Mallocs, uint64(500), "%d rows", rows)
}
