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
