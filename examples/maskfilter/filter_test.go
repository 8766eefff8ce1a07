package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestFilter(t *testing.T) {
	proxytest.TestMaskingFilter(t, func(hide proxy.Origin) proxy.Interceptor { return filter{hide} })
	proxytest.TestInterceptor(t, func(*testing.T) proxy.Interceptor {
		return filter{{Schema: "public", Relation: "people", Column: "ssn"}}
	})
}

// byLabel is the filter that looks right and is not: it hides columns by the names
// that results give them.
type byLabel string

func (byLabel) Name() string { return "by-label" }

func (b byLabel) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Flow: func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		if shape.Inbound {
			return proxy.Filter{}, nil
		}
		return proxy.Filter{Row: func(r *proxy.Row) error {
			for i := range shape.Columns {
				if shape.Columns[i].Name == string(b) {
					r.Set(i, nil)
				}
			}
			return nil
		}}, nil
	}}, nil
}

// failures is a test that keeps what goes wrong in it.
type failures struct {
	testing.TB
	list []string
}

func (f *failures) Errorf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func TestByLabelLeaks(t *testing.T) {
	f := &failures{TB: t}
	proxytest.TestMaskingFilter(f, func(hide proxy.Origin) proxy.Interceptor { return byLabel(hide.Column) })
	for _, name := range []string{"another name", "names that change places", "row_to_json of the row", "the whole row", "a view", "COPY of columns that are not known", "COPY of a query", "the result of a function"} {
		require.Condition(t, func() bool {
			for _, line := range f.list {
				if len(line) > len(name)+2 && line[:len(name)+2] == name+": " {
					return true
				}
			}
			return false
		}, "%s: not found to leak", name)
	}
}

// Sessions that have no columns are left alone.
func TestWithoutColumns(t *testing.T) {
	h, err := filter{}.Intercept(t.Context(), &proxy.Session{Protocol: "ssh"})
	require.NoError(t, err)
	require.Nil(t, h.Ask)
	h, err = filter{}.Intercept(t.Context(), &proxy.Session{Protocol: "another"})
	require.NoError(t, err)
	require.NotNil(t, h.Ask)
}

func TestNewFilter(t *testing.T) {
	f, err := newFilter("public.people.ssn")
	require.NoError(t, err)
	require.Equal(t, filter{{Schema: "public", Relation: "people", Column: "ssn"}}, f)
	_, err = newFilter("ssn")
	require.ErrorContains(t, err, `hiding column "ssn": want SCHEMA.TABLE.COLUMN`)
}
