package proxytest_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// failures is a test that keeps what goes wrong in it.
type failures struct {
	testing.TB
	list []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// hider hides what one of the ways says, and nothing more.
type hider struct {
	column  func(st *proxy.Statement, shape *proxy.Shape, i int) bool
	value   func(v []byte) bool
	refuses bool
	inbound bool
}

func (hider) Name() string { return "hider" }

func (h hider) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if h.refuses && op.Info().Kind != proxy.KindConnect {
				return proxy.Deny(proxy.CauseMasking, "all", "nothing is shown", "")
			}
			return proxy.Pass()
		},
		Flow: func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			if h.inbound && shape.Inbound {
				return proxy.Filter{Bytes: func(dst, _ []byte) ([]byte, error) { return dst, nil }}, nil
			}
			return proxy.Filter{Row: func(r *proxy.Row) error {
				for i := range r.Len() {
					if h.value != nil && h.value(r.Value(i)) || h.column != nil && h.column(op.(*proxy.Statement), shape, i) {
						r.Set(i, nil)
					}
				}
				return nil
			}}, nil
		},
	}, nil
}

// Each way of hiding a column that looks right fails, at the results that show why.
func TestMaskingFilterSuiteFindsMistakes(t *testing.T) {
	derives := func(c *proxy.Column) bool {
		for _, o := range c.Origins {
			if o.Column == "ssn" {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		name   string
		filter hider
		fails  []string
		passes []string
	}{
		{
			"nothing", hider{}, []string{
				"the column itself", "the binary format", "a cursor", "statistics of the column", "an error", "the detail of an error",
				"COPY to a program of the server", "the database's log", "a copy of the column", "COPY in a format that is not understood",
			}, []string{"what clients send", "another table"},
		},
		{
			"the name in the result",
			hider{column: func(_ *proxy.Statement, shape *proxy.Shape, i int) bool { return shape.Columns[i].Name == "ssn" }},
			[]string{"another name", "names that change places", "a view", "row_to_json of the row", "the whole row", "COPY of a query", "COPY of columns that are not known"},
			[]string{"the column itself", "other columns of the table"},
		},
		{
			"the statement alone", hider{column: func(st *proxy.Statement, _ *proxy.Shape, i int) bool {
				return i < len(st.Facts.Columns) && derives(&st.Facts.Columns[i])
			}}, []string{
				"another name that a catalog alone resolves", "a view", "the whole row", "the result of a function", "columns that are not known",
				"a statement that is not understood", "more columns than the statement was found to have", "COPY of the table",
			}, []string{"another name", "a subquery in a union", "part of the value"},
		},
		{
			"the catalog alone",
			hider{column: func(_ *proxy.Statement, shape *proxy.Shape, i int) bool {
				return shape.Columns[i].Source != nil && derives(shape.Columns[i].Source)
			}},
			[]string{"another name that the statement alone resolves", "part of the value", "a view that cannot be seen through", "a cursor"},
			[]string{"another name", "a view", "RETURNING"},
		},
		{
			"the look of the value",
			hider{value: func(v []byte) bool { return bytes.Contains(v, []byte("kestrel-lantern")) }},
			[]string{"part of the value", "the value in another form", "the binary format", "COPY in the binary format", "an error"},
			[]string{"another name", "row_to_json of the row", "a cursor"},
		},
		{
			"refusing everything",
			hider{refuses: true},
			[]string{"other columns of the table", "another table", "a constant", "what clients send", "COPY of the table"},
			[]string{"another name", "an error", "the database's log"},
		},
		{
			"what clients send, too", hider{inbound: true}, []string{"what clients send"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &failures{TB: t}
			proxytest.TestMaskingFilter(f, func(proxy.Origin) proxy.Interceptor { return c.filter })
			failed := func(name string) bool {
				for _, line := range f.list {
					if strings.HasPrefix(line, name+": ") {
						return true
					}
				}
				return false
			}
			for _, name := range c.fails {
				require.True(t, failed(name), "%s: not found", name)
			}
			for _, name := range c.passes {
				require.False(t, failed(name), "%s: %v", name, f.list)
			}
		})
	}
}

// Results of the caller's own are tried, too.
func TestMaskingFilterFurther(t *testing.T) {
	f := &failures{TB: t}
	op := proxytest.Statement("SELECT 1", proxy.EffectRead)
	proxytest.TestMaskingFilter(f, func(proxy.Origin) proxy.Interceptor { return hider{refuses: true} }, proxytest.Result{
		Name: "further", Op: op, Shape: &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdout"}, Stream: []byte("text"), Shown: []string{"text"},
	})
	require.Contains(t, f.list[len(f.list)-1], "further: \"text\" derives from nothing that is hidden and did not come out")
}
