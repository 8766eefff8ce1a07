package mysql

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// drain reads a result of rows of text without keeping any, and returns their bytes.
func (r *raw) drain(t testing.TB, text string, buffer []byte) (n int) {
	t.Helper()
	require.NoError(t, r.send(wire.Query, []byte(text)...))
	end := []byte("last of all")
	require.NoError(t, r.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	keep := 0 // at the beginning of buffer, of what was read before
	for {
		k, err := r.conn.Read(buffer[keep:])
		require.NoError(t, err)
		n += k
		got := buffer[:keep+k]
		if i := bytes.Index(got, end); i >= 0 && len(got) > i+len(end)+4 { // and the packet that ends the rows
			return n
		}
		keep = copy(buffer, got[max(0, len(got)-64):])
	}
}

// Rows that nobody looks at, and those that filters leave as they are, allocate nothing.
func TestRowsAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it counts what the whole process allocates")
	}
	looking := &hooks{Hooks: proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
	}}}
	for name, h := range map[string]*hooks{"passed": {}, "looked at": looking} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, gateConfig{chain: chain(h)})
			r := g.dial(t, wire.DeprecateEOF)
			buffer := make([]byte, 64<<10)
			const rows = 200_000
			query := "SELECT seq, 'some text that is the same in each row' FROM " + g.db + ".seq_1_to_200000 UNION ALL SELECT 0, 'last of all'"
			r.drain(t, query, buffer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n := r.drain(t, query, buffer)
			runtime.ReadMemStats(&after)
			require.Greater(t, n, rows*40)
			require.Less(t, after.Mallocs-before.Mallocs, uint64(rows/100), "of %d rows", rows)
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	g := startGate(b, gateConfig{})
	r := g.dial(b, wire.DeprecateEOF)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.query("SELECT 1"); err != nil {
			b.Fatal(err)
		}
	}
}
