package mysql

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// tracing hides, from people who look at a request, what derives from a column.
func tracing(column string) *hooks {
	return &hooks{Hooks: proxy.Hooks{
		Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) { return proxy.Filter{}, nil },
		Show: func(_ context.Context, op proxy.Op, _ *proxy.Shape) (proxy.Filter, error) {
			columns := op.(*proxy.Statement).Facts.Columns
			return proxy.Filter{Row: func(r *proxy.Row) error {
				for i := range columns {
					if r.Value(i) != nil && slices.ContainsFunc(columns[i].Origins, func(o proxy.Origin) bool { return o.Column == column }) {
						r.Set(i, []byte("***"))
					}
				}
				return nil
			}}, nil
		},
	}}
}

// An INSERT of a query is measured whatever the names of its columns are, and columns that are not named are left out.
func TestImpactOfQueries(t *testing.T) {
	a := &approver{}
	g := impactGate(t, "CREATE TABLE pairs (a VARCHAR(20), b VARCHAR(20), c INT INVISIBLE DEFAULT 7); CREATE TABLE q (id INT PRIMARY KEY, secret VARCHAR(20)); INSERT INTO q VALUES (1, 'hidden'), (2, 'hidden'), (3, 'hidden');", a,
		gateConfig{chain: chain(tracing("secret"))})
	c := g.open(t)
	for _, s := range []struct {
		text  string
		rows  int64
		after []string
	}{
		{"INSERT INTO pairs SELECT id, id FROM q", 3, []string{`"1"`, `"1"`}},
		{"INSERT INTO pairs SELECT secret, secret FROM q", 3, []string{`"***"`, `"***"`}},
		{"INSERT INTO pairs (b, a) SELECT x.id, y.secret FROM q AS x JOIN q AS y USING (id)", 3, []string{`"1"`, `"***"`}},
		{"INSERT INTO pairs SELECT 'x', 'x' UNION SELECT 'x', 'x'", 1, []string{`"x"`, `"x"`}},
		{"INSERT INTO pairs SELECT 1, 1 FROM q ORDER BY id LIMIT 2", 2, []string{`"1"`, `"1"`}},
		{"INSERT INTO pairs WITH q AS (SELECT id, secret FROM q) SELECT id, secret FROM q", 3, []string{`"1"`, `"***"`}},
	} {
		a.last = nil
		require.Equal(t, fmt.Sprint(s.rows), does(c, s.text), s.text)
		require.Equal(t, s.rows, a.last.Rows, "%s %+v", s.text, a.last)
		require.Equal(t, proxy.HoldsCount, a.last.Holds, s.text)
		require.NotEmpty(t, a.last.Samples, "%s %+v", s.text, a.last)
		require.Equal(t, s.after, a.last.Samples[0].After, s.text)
	}
}
