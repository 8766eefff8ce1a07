package postgres

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// intake sees what clients send into COPYs, and puts a line after each.
type intake struct {
	mu   sync.Mutex
	seen []string
	fail bool
}

func (i *intake) hooks() *hooks {
	return &hooks{Hooks: proxy.Hooks{Flow: func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		if !shape.Inbound || shape.Kind != proxy.ShapeStream || shape.Media != "stdin" {
			return proxy.Filter{}, nil
		}
		if i.fail {
			return proxy.Filter{}, errors.New("nobody may look")
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.seen = append(i.seen, "")
		at := len(i.seen) - 1
		return proxy.Filter{
			Bytes: func(dst, src []byte) ([]byte, error) {
				i.mu.Lock()
				defer i.mu.Unlock()
				i.seen[at] += string(src)
				return append(dst, src...), nil
			},
			End: func(dst []byte) ([]byte, error) { return append(dst, "1000\n"...), nil },
		}, nil
	}}}
}

func (i *intake) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.seen...)
}

// What clients send into a COPY is seen whole by who asks for it, however it is sent:
// after the server has asked for it, before, in one batch, in pieces.
func TestCopyIn(t *testing.T) {
	in := &intake{}
	g := startGate(t, gateConfig{sql: "CREATE TABLE c (v int)", chain: []proxy.Interceptor{in.hooks()}, handler: func(h *Handler) {
		h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
	}})
	var want []string
	lines := strings.Repeat("7\n", 100_000)

	conn := g.pgconn(t)
	tag, err := conn.CopyFrom(context.Background(), strings.NewReader(lines), "COPY c FROM STDIN")
	require.NoError(t, err)
	require.Equal(t, int64(100_001), tag.RowsAffected(), "and what the filter held back")
	want = append(want, lines)
	require.Equal(t, want, in.all())

	copyData := func(s string) []byte { return msg(wire.CopyData, []byte(s)...) }
	bind := msg(wire.Bind, make([]byte, 8)...)
	parse := func(sql string) []byte { return wire.AppendParse(nil, nil, []byte(sql), &wire.ParseMessage{}) }
	for _, c := range []struct {
		name  string
		sends [][]byte
		types string
		seen  []string
	}{
		{"before it is asked for", [][]byte{wire.AppendQuery(nil, []byte("COPY c FROM STDIN")), copyData("1\n2"), copyData("\n"), msg(wire.CopyDone)}, "GCZ", []string{"1\n2\n"}},
		{
			"two in one query", [][]byte{
				wire.AppendQuery(nil, []byte("COPY c FROM STDIN; COPY c FROM STDIN")), copyData("3\n"), msg(wire.CopyDone), copyData("4\n"), msg(wire.CopyDone),
			}, "GCGCZ", []string{"3\n", "4\n"},
		},
		{"extended", [][]byte{parse("COPY c FROM STDIN"), bind, wire.AppendExecute(nil, "", 0), copyData("5\n"), msg(wire.CopyDone), msg(wire.Sync)}, "12GCZ", []string{"5\n"}},
		{"given up", [][]byte{wire.AppendQuery(nil, []byte("COPY c FROM STDIN")), copyData("6\n"), msg(wire.CopyFail, 'n', 'o', 0)}, "GEZ", []string{"6\n"}},
		{"of which the server wants no more", [][]byte{wire.AppendQuery(nil, []byte("COPY c FROM STDIN")), copyData("x\n"), msg(wire.CopyDone)}, "GEZ", []string{"x\n"}},
		{"into what is not there", [][]byte{wire.AppendQuery(nil, []byte("COPY nothing FROM STDIN")), copyData("8\n"), msg(wire.CopyDone)}, "EZ", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := g.raw(t)
			r.send(bytes.Join(c.sends, nil))
			types, _ := r.until(wire.ReadyForQuery)
			require.Equal(t, c.types, types)
			r.works()
			want = append(want, c.seen...)
			require.Equal(t, want, in.all())
		})
	}
	require.Contains(t, g.psql(t, "SELECT count(*) FROM c WHERE v = 1000"), " 5\n", "one for each that came to its end")
}

// When nobody can look at the data of a COPY that is to be looked at, none of it goes to
// the server.
func TestCopyInUnseen(t *testing.T) {
	in := &intake{fail: true}
	g := startGate(t, gateConfig{sql: "CREATE TABLE c (v int)", chain: []proxy.Interceptor{in.hooks()}})
	r := g.raw(t)
	r.send(wire.AppendQuery(nil, []byte("COPY c FROM STDIN")), msg(wire.CopyData, []byte("1\n")...), msg(wire.CopyDone))
	r.ended()
	require.Contains(t, g.psql(t, "SELECT count(*) FROM c"), " 0\n")
}

// refusing refuses rows of COPYs from clients that hold a word, and keeps all that it saw.
type refusing struct {
	mu   sync.Mutex
	seen []string
	err  error // of the latest COPY
}

func (f *refusing) outcome() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *refusing) hooks() *hooks {
	return &hooks{Hooks: proxy.Hooks{Flow: func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		if !shape.Inbound || shape.Columns == nil {
			return proxy.Filter{}, nil
		}
		return proxy.Filter{Row: func(r *proxy.Row) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			var values []string
			for i := range r.Len() {
				values = append(values, string(r.Value(i)))
			}
			f.seen = append(f.seen, strings.Join(values, "|"))
			if strings.Contains(f.seen[len(f.seen)-1], "bad") {
				return &proxy.RefusedError{Verdict: proxy.Deny(proxy.CauseMasking, "no-bad", "this is bad", "Be good.")}
			}
			return nil
		}}, nil
	}, Done: func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
		if st, ok := op.(*proxy.Statement); ok && st.Facts.Effects.Has(proxy.EffectCopyIn) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.err = out.Err
		}
	}}}
}

// A row that somebody refuses fails the COPY as an error of the server's does, wherever it
// is, and the session is in step with the server's.
func TestCopyInRefused(t *testing.T) {
	f := &refusing{}
	g := startGate(t, gateConfig{sql: "CREATE TABLE c (a int, v text)", chain: []proxy.Interceptor{f.hooks()}, handler: func(h *Handler) {
		h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
	}})
	copyData := func(s string) []byte { return msg(wire.CopyData, []byte(s)...) }
	query := func(s string) []byte { return wire.AppendQuery(nil, []byte(s)) }
	bind := msg(wire.Bind, make([]byte, 8)...)
	parse := wire.AppendParse(nil, nil, []byte("COPY c FROM STDIN"), &wire.ParseMessage{})
	extended := [][]byte{parse, bind, wire.AppendExecute(nil, "", 0)}
	long := strings.Repeat("1\tgood\n", 50_000)
	for _, c := range []struct {
		name  string
		sends [][]byte
		types string
	}{
		{"simple", [][]byte{query("COPY c FROM STDIN"), copyData("1\tgood\n2\tbad\n"), copyData("3\tgood\n"), msg(wire.CopyDone)}, "GEZ"},
		{"without a line's end", [][]byte{query("COPY c FROM STDIN"), copyData("2\tb"), copyData("ad"), msg(wire.CopyDone)}, "GEZ"},
		{"in the middle of a long message", [][]byte{query("COPY c FROM STDIN"), copyData(long + "2\tbad\n" + long), copyData(long), msg(wire.CopyDone)}, "GEZ"},
		{"given up by the client, too", [][]byte{query("COPY c FROM STDIN"), copyData("2\tbad\n"), msg(wire.CopyFail, 'n', 'o', 0)}, "GEZ"},
		{"csv", [][]byte{query("COPY c FROM STDIN (FORMAT csv, HEADER)"), copyData("bad,bad\n1,\"a\nbad\"\n"), msg(wire.CopyDone)}, "GEZ"},
		{"extended", append(extended, copyData("2\tbad\n"), copyData("3\tx\n"), msg(wire.CopyDone), msg(wire.Sync)), "12GEZ"},
		{"extended, with a Sync before the data", append(extended, msg(wire.Sync), copyData("2\tbad\n"), msg(wire.CopyDone), msg(wire.Sync)), "12GEZ"},
		{"the second of a query", [][]byte{query("COPY c FROM STDIN"), copyData("7\tgood\n"), msg(wire.CopyDone), query("COPY c FROM STDIN"), copyData("2\tbad\n"), msg(wire.CopyDone)}, "GCZ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := g.raw(t)
			r.send(bytes.Join(c.sends, nil))
			types, body := r.until(wire.ReadyForQuery)
			require.Equal(t, c.types, types)
			if strings.HasSuffix(c.types, "CZ") {
				types, body = r.until(wire.ReadyForQuery)
				require.Equal(t, "GEZ", types)
			}
			require.Contains(t, string(body), "this is bad")
			require.Contains(t, string(body), "42501")
			r.works()
		})
	}
	require.ErrorContains(t, f.outcome(), "this is bad", "the record says why")
	f.mu.Lock()
	require.Contains(t, f.seen, "1|a\nbad")
	require.NotContains(t, f.seen, "bad|bad", "a header is not a row")
	f.mu.Unlock()
	require.Contains(t, g.psql(t, "SELECT count(*), min(a) FROM c"), "1 |   7", "nothing of a refused COPY is kept")
}
