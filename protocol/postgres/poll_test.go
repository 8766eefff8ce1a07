package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// A decision that takes its time is its own session's matter, however sessions
// are served, and time and again.
func TestSlowDecisionsKeepNobodyWaiting(t *testing.T) {
	release := make(chan struct{})
	var waiting atomic.Int32
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{&hooks{Hooks: proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if st, ok := op.(*proxy.Statement); ok && containsFold(st.Text, []byte("slow")) {
				waiting.Add(1)
				<-release
			}
			return proxy.Pass()
		},
	}}}})
	quick := g.raw(t)
	for round := range 3 {
		slow := g.raw(t)
		for range 2 * calmTurns {
			slow.works()
		}
		slow.send(wire.AppendQuery(nil, []byte("SELECT 'slow'")))
		require.Eventually(t, func() bool { return waiting.Load() == int32(round+1) }, 10*time.Second, time.Millisecond)
		for range 4 * calmTurns {
			quick.works()
		}
		release <- struct{}{}
		types, failed := slow.until(wire.ReadyForQuery)
		require.Equal(t, "TDCZ", types, failed)
		slow.works()
	}
}

// A session changes between being polled and having goroutines of its own, with
// whatever is under way: large results that the client is slow to read, large
// statements, warnings, notifications.
func TestServedEitherWay(t *testing.T) {
	g := startGate(t, gateConfig{chain: []proxy.Interceptor{&hooks{Hooks: proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			v := proxy.Pass()
			if st, ok := op.(*proxy.Statement); ok && containsFold(st.Text, []byte("warn")) {
				v.Warn = "mind this"
			}
			return v
		},
	}}}})
	ctx := context.Background()
	c := g.connect(t, "sslmode=disable")
	for round := range 4 {
		for i := range calmTurns + round {
			var n int
			require.NoError(t, c.QueryRow(ctx, "SELECT $1::int", i).Scan(&n))
			require.Equal(t, i, n)
		}
		rows, err := c.Query(ctx, "SELECT repeat('x', 100000) FROM generate_series(1, 300)")
		require.NoError(t, err)
		time.Sleep(50 * time.Millisecond) // buffers fill up on the way
		bytes := 0
		for rows.Next() {
			bytes += len(rows.RawValues()[0])
		}
		require.NoError(t, rows.Err())
		require.Equal(t, 300*100000, bytes)
		_, err = c.Exec(ctx, "SELECT 'warn'")
		require.NoError(t, err)
		var length int
		require.NoError(t, c.QueryRow(ctx, "SELECT length($1::text)", strings.Repeat("y", 5<<20)).Scan(&length))
		require.Equal(t, 5<<20, length)
	}
	// What the server says by itself arrives, polled or not.
	_, err := c.Exec(ctx, "LISTEN ch")
	require.NoError(t, err)
	other := g.connect(t, "sslmode=disable")
	for i := range 3 {
		_, err = other.Exec(ctx, "SELECT pg_notify('ch', $1)", fmt.Sprint(i))
		require.NoError(t, err)
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		n, err := c.WaitForNotification(wait)
		cancel()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), n.Payload)
		for range 2 * calmTurns {
			_, err := other.Exec(ctx, "SELECT 1")
			require.NoError(t, err)
		}
	}
}

// A session that is polled ends as any other: when it is killed, when the server
// is gone, and at shutdown.
func TestPolledSessionsEnd(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		c := g.raw(t)
		c.works()
		g.Sessions()[0].Kill(proxy.ErrDeadline)
		_, failed := c.until('E')
		require.Contains(t, failed, "57P01")
		require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 10*time.Second, time.Millisecond)
	})
	t.Run("terminated by the server", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		c, other := g.raw(t), g.connect(t, "sslmode=disable")
		c.works()
		_, err := other.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		require.NoError(t, err)
		_, failed := c.until('E')
		require.Contains(t, failed, "57P01")
	})
	t.Run("shutdown", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		c := g.raw(t)
		c.works()
		g.stop()
		_, failed := c.until('E')
		require.Contains(t, failed, "57P01")
	})
}
