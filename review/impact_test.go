package review_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// measured is a Measurer that says what it was told to.
type measured struct {
	*proxy.Impact
	err   error
	asked int
	open  bool
}

func (m *measured) Open(context.Context, *proxy.Statement) bool { return m.open }

func (m *measured) Measure(context.Context, *proxy.Statement) (*proxy.Impact, error) {
	m.asked++
	return m.Impact, m.err
}

func threeRows(digest string) *proxy.Impact {
	return &proxy.Impact{
		Effect: "update", Table: "public.orders", Rows: 3, Holds: proxy.HoldsRows, Digest: digest, Plan: "Seq Scan on orders", Cost: 25.02,
		Columns: []string{"id", "status"}, Samples: []proxy.Sample{{Before: []string{`"1"`, `"nougat"`}, After: []string{"", "NULL"}}},
		Unsaid: []string{"other tables have a say"},
	}
}

// What a statement would change is shown to who decides, is a part of what she approves, and comes to
// the handler with the approval: also when another gateway and another session use it.
func TestImpactIsApproved(t *testing.T) {
	st := store.NewMemory()
	open := func() *desk {
		d := &desk{}
		sealer, err := identity.NewSealer(bytes.Repeat([]byte{1}, 32))
		require.NoError(t, err)
		d.Desk = &review.Desk{Store: st, Note: d.Record, Sealer: sealer}
		require.NoError(t, d.Load(t.Context()))
		return d
	}
	d := open()
	s := d.session(t, ops)
	op, m := del("UPDATE orders SET status = NULL"), &measured{Impact: threeRows("aa")}
	op.Measurer = m
	r, verdict := d.asking(t, s, op)
	require.Equal(t, m.Impact, r.Impact)
	require.Equal(t, "would change 3 rows of public.orders", r.ImpactText())
	for _, line := range []string{
		"impact      would change 3 rows of public.orders\n", "holds       it runs if these rows", "plan        Seq Scan on orders, at a cost of 25.02\n",
		"note        other tables have a say\n", `  row 1     id "1", status "nougat" -> NULL` + "\n",
	} {
		require.Contains(t, r.Lines(), line)
	}
	inserted := r
	inserted.Impact = &proxy.Impact{Effect: "insert", Table: "public.t", Rows: 1, Columns: []string{"a", "b"}, Samples: []proxy.Sample{{After: []string{"NULL", `"x"`}}}}
	require.Contains(t, inserted.Lines(), "would insert 1 row into public.t\n")
	require.Contains(t, inserted.Lines(), "  row 1     a -> NULL, b -> \"x\"\n")
	facts := func(details bool) (all string) {
		for _, f := range (&review.Notice{Event: review.Asked, Request: r}).Facts(details) {
			all += f.Name + " " + f.Value + "\n"
		}
		return all
	}
	require.Contains(t, facts(true), "impact would change 3 rows of public.orders\n")
	require.NotContains(t, facts(true), "nougat", "rows are in no message")
	require.NotContains(t, facts(false), "3 rows")
	doc, err := st.Get(t.Context(), review.KindRequest, r.ID)
	require.NoError(t, err)
	require.NotContains(t, string(doc.Body), "public.orders", "it is sealed")

	s.Kill(proxy.ErrShutdown)
	<-verdict
	d = open()
	require.NoError(t, d.approve(r))
	s = d.session(t, ops)
	op, m = del("UPDATE orders SET status = NULL"), &measured{Impact: threeRows("bb")}
	op.Measurer = m
	v := s.Ask(s.Context(), op)
	require.False(t, v.Refuses(), v.Message())
	require.Equal(t, "aa", v.Impact.Digest, "what was approved counts")
	require.Zero(t, m.asked)
	s.Done(op, &proxy.Outcome{})

	// What else it would change is another request.
	op = del("UPDATE orders SET status = NULL")
	op.Measurer = m
	other, verdict := d.asking(t, s, op)
	require.NotEqual(t, r.Hash, other.Hash)
	require.NoError(t, d.deny(other, "no"))
	<-verdict

	// A handler that cannot compare does not let it run.
	d = newDesk(t)
	s = d.session(t, ops)
	op = del("UPDATE orders SET status = NULL")
	op.Measurer = &measured{Impact: threeRows("aa")}
	r, verdict = d.asking(t, s, op)
	op.Measurer = nil
	require.NoError(t, d.approve(r))
	v = <-verdict
	require.True(t, v.Refuses())
	require.Contains(t, v.Message(), "cannot be compared")
}

// A client that gives up while it is measured makes no request; an impact that is too long is cut; one
// that is not known holds nothing.
func TestMeasuring(t *testing.T) {
	d := newDesk(t)
	s := d.session(t, ops)
	op := del("DELETE FROM t")
	op.Measurer = &measured{err: errors.Join(proxy.ErrCanceled)}
	v := s.Ask(s.Context(), op)
	require.True(t, v.Refuses())
	require.Contains(t, v.Message(), "canceled by the client")
	require.Empty(t, d.List())

	long := threeRows("aa")
	long.Samples[0].Before[1] = strings.Repeat("x", 100<<10)
	op = del("DELETE FROM t")
	op.Measurer = &measured{Impact: long}
	r, verdict := d.asking(t, s, op)
	require.Empty(t, r.Impact.Samples)
	require.Equal(t, "aa", r.Impact.Digest)
	require.NotEmpty(t, r.Impact.Unsaid)
	require.NoError(t, d.deny(r, "no"))
	<-verdict

	op = del("DELETE FROM t")
	op.Measurer = &measured{Impact: &proxy.Impact{Effect: "delete", Rows: -1, Unsaid: []string{"it is not measured: why"}}}
	r, verdict = d.asking(t, s, op)
	require.Empty(t, r.ImpactText())
	require.Contains(t, r.Lines(), "it is not measured: why")
	require.NoError(t, d.approve(r))
	v = <-verdict
	require.False(t, v.Refuses())
	require.Nil(t, v.Impact, "nothing of it has to be so")
	s.Done(op, &proxy.Outcome{})
}
