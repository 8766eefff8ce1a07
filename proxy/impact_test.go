package proxy_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

type measurer struct{}

func (measurer) Measure(context.Context, *proxy.Statement) (*proxy.Impact, error) { return nil, nil }

func (measurer) Open(context.Context, *proxy.Statement) bool { return false }

// An approval of what is measured comes to the handler, or refuses what it cannot compare; two approvals of
// different rows let nothing run, and one that is lost with the text does not count.
func TestImpactOfApprovals(t *testing.T) {
	rows := func(digest string) *proxy.Impact {
		return &proxy.Impact{Table: "t", Rows: 3, Holds: proxy.HoldsRows, Digest: digest}
	}
	for _, c := range []struct {
		name     string
		approved []*proxy.Impact
		blind    bool // the handler does not measure
		text     string
		want     string // the digest; "refused"
	}{
		{"one", []*proxy.Impact{rows("a")}, false, "", "a"},
		{"none", []*proxy.Impact{nil}, false, "", ""},
		{"nothing that has to be so", []*proxy.Impact{{Rows: 3}}, true, "", ""},
		{"a handler that cannot compare", []*proxy.Impact{rows("a")}, true, "", "refused"},
		{"two of the same", []*proxy.Impact{rows("a"), rows("a")}, false, "", "a"},
		{"two that differ", []*proxy.Impact{rows("a"), rows("b")}, false, "", "refused"},
		{"the second knows nothing", []*proxy.Impact{rows("a"), nil}, false, "", "a"},
		{"another text", []*proxy.Impact{rows("a"), rows("b")}, false, "SELECT 2", "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &reviewer{}
			r.wait = func(context.Context) proxy.Verdict {
				v := proxy.Allow("approved")
				v.Impact = c.approved[len(r.asked)-1]
				return v
			}
			second := part{name: "second", ask: func(op proxy.Op) proxy.Verdict {
				switch st := op.(*proxy.Statement); {
				case len(r.asked) == 0 || len(c.approved) == 1:
					return proxy.Pass()
				case c.text == "":
					return proxytest.Hold("b")
				case string(st.Text) != c.text:
					return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte(c.text)}
				}
				return proxy.Pass()
			}}
			s, err := proxytest.Open(&proxy.Gateway{Reviewer: r}, holding("a"), second)
			require.NoError(t, err)
			defer s.Close(nil)
			s.Handle(nil, func(op proxy.Op, text []byte) error {
				op.(*proxy.Statement).Text = text
				return nil
			})
			op := read()
			if !c.blind {
				op.Measurer = measurer{}
			}
			v := ask(s, op)
			got := ""
			switch {
			case v.Refuses():
				got = "refused"
			case v.Impact != nil:
				got = v.Impact.Digest
			}
			require.Equal(t, c.want, got, v.Message())
			require.Len(t, r.asked, len(c.approved))
		})
	}
}

// What others are shown goes through the filters that are for that, and is not shown at all where one that
// sees the data of operations does not say what it would hide.
func TestShow(t *testing.T) {
	filter := func(to string) func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(r *proxy.Row) error { r.Set(0, []byte(to)); return nil }}, nil
		}
	}
	shown := func(parts ...proxy.Interceptor) (string, error) {
		s, err := proxytest.Open(&proxy.Gateway{}, parts...)
		require.NoError(t, err)
		defer s.Close(nil)
		flow, err := s.Show(nil, &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, 1)})
		if err != nil {
			return "", err
		}
		var row proxy.Row
		row.Reset([][]byte{[]byte("value")})
		if flow.HasRow() {
			require.NoError(t, flow.Row(&row))
		}
		return string(row.Value(0)), nil
	}
	got, err := shown()
	require.NoError(t, err)
	require.Equal(t, "value", got)
	got, err = shown(part{name: "masks", hooks: proxy.Hooks{Flow: filter("flow"), Show: filter("show")}}, part{name: "counts", hooks: proxy.Hooks{Flow: filter("counted"), Show: proxy.HidesNothing}})
	require.NoError(t, err)
	require.Equal(t, "show", got)
	_, err = shown(part{name: "masks", hooks: proxy.Hooks{Flow: filter("flow"), Show: filter("show")}}, part{name: "says nothing", hooks: proxy.Hooks{Flow: filter("x")}})
	require.Error(t, err)
}
