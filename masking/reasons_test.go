package masking

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// reasonsOf are all reasons, in their order.
func reasonsOf() []*reason {
	all := []*reason{&ofRule, &ofName, &ofCopy, &ofMade, &ofOrigin, &ofUse, &ofContents}
	for i := range doubts {
		all = append(all, &doubts[i])
	}
	return append(all, &ofValues)
}

// TestReasonsAreDocumented: docs/masking.md has the table, in its order.
func TestReasonsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/masking.md")
	require.NoError(t, err)
	var table strings.Builder
	for _, r := range reasonsOf() {
		done := [...]string{scan: "looked into", unquote: "looked into, without literals", mask: "masked", hide: "hidden"}[r.does]
		fmt.Fprintf(&table, "| %s | %s |\n", r.says, done)
	}
	require.Contains(t, string(text), "|---|---|\n"+table.String()+"\n")
}

// TestReasons: each case of what may be known of a column is met, and is done what it
// says.
func TestReasons(t *testing.T) {
	cards := proxy.SampledColumn{Name: "v", Type: "text"}
	m, err := New(Config{
		Rules:   []Rule{{Columns: []string{"public.p.remark"}, With: Redact}},
		Sampler: fakeSampler{cards, cardsOf(rand.New(rand.NewPCG(1, 2)), 40)},
	})
	require.NoError(t, err)
	s := &proxy.Session{Identity: &proxy.Identity{}, Target: proxy.Target{Resource: &proxy.Resource{}}}
	v := m.view(s.Identity, s.Target.Resource)
	v.target, v.spread = &s.Target, &m.memory.at(&s.Target).spread
	for name, x := range map[string]copied{"a": {detect.USSSN, false}, "b": {detect.USSSN, true}} {
		v.spread.fill(&proxy.Write{Schema: "public", Relation: "copies", Column: proxy.Column{Name: name}}, x)
	}
	require.NotNil(t, m.samples.sample(t.Context(), s, "public", "t"))

	from := func(how proxy.Derivation, column string) *proxy.Facts {
		o := proxy.Origin{Schema: "public", Relation: "t", Column: column, How: how}
		return &proxy.Facts{ColumnsKnown: true, Columns: []proxy.Column{{Name: "x", Origins: []proxy.Origin{o}}}}
	}
	reads := &proxy.Facts{Effects: proxy.EffectRead}
	calls := func(c proxy.FunctionClass) *proxy.Facts {
		return &proxy.Facts{Effects: proxy.EffectRead | proxy.EffectCall, Functions: []proxy.Function{{Name: "f", Class: c}}}
	}
	own := proxy.ShapeColumn{Name: "x", Type: oidText, Table: 16400, Attr: 1}
	base := func(relation, column string) proxy.ShapeColumn {
		c := own
		c.Schema, c.Relation, c.Column = "public", relation, column
		return c
	}
	of := func(c proxy.ShapeColumn, change func(c *proxy.ShapeColumn)) proxy.ShapeColumn {
		change(&c)
		return c
	}
	x := proxy.ShapeColumn{Name: "x", Type: oidText}
	typed := func(oid uint32) proxy.ShapeColumn { return proxy.ShapeColumn{Name: "x", Type: oid} }

	ofPlan := of(x, func(c *proxy.ShapeColumn) { c.Name = "QUERY PLAN" })

	met := map[*reason]bool{&ofValues: true} // see TestReasonOfValues
	for _, c := range []struct {
		says   string
		column proxy.ShapeColumn
		facts  *proxy.Facts
		m      mentions
		kept   memory
	}{
		{"a rule is about it", base("p", "remark"), reads, mentions{}, memory{}},
		{"its name says what it holds", base("p", "ssn"), reads, mentions{}, memory{}},
		{"it was filled with a masked column", base("copies", "a"), reads, mentions{}, memory{}},
		{"it was filled with what was computed from a masked column", base("copies", "b"), reads, mentions{}, memory{}},
		{"its values are those of a masked column", x, from(proxy.DerivedPlain, "ssn"), mentions{}, memory{}},
		{"it is computed from a masked column, or hangs on one", x, from(proxy.DerivedTransformed, "ssn"), mentions{}, memory{}},
		{"it is computed from a masked column, or hangs on one", x, from(proxy.DerivedPredicate, "ssn"), mentions{}, memory{}},
		{"it is computed from a masked column, or hangs on one", x, from(proxy.DerivedTransformed, "v"), mentions{}, memory{}},
		{"what was read of its table says what it holds", x, from(proxy.DerivedPlain, "v"), mentions{}, memory{}},

		{"it is not certain what its names mean to the session", x, &proxy.Facts{ColumnsKnown: true, Columns: []proxy.Column{{Unsure: true}}}, mentions{}, memory{}},
		{"it is not certain what its names mean to the session", x, &proxy.Facts{Unsure: true}, mentions{}, memory{}},
		{"all that it may hold is known, and is not masked", x, from(proxy.DerivedPlain, "city"), mentions{any: true}, memory{}},
		{"all that it may hold is known, and is not masked", base("t", "city"), reads, mentions{any: true}, memory{}},
		{"an earlier statement gave its name to a masked column", x, reads, mentions{}, memory{any: true, labels: labels{"x": "ssn"}}},
		{"settings are read, where masked values may have gone", x, reads, mentions{settings: true}, memory{aside: true}},
		{"it is a whole row as one value", of(own, func(c *proxy.ShapeColumn) { c.Attr = 0 }), reads, mentions{}, memory{}},
		{"it is a whole row as one value", typed(oidRecord), reads, mentions{}, memory{}},
		{"it is a whole row as one value", typed(oidRecords), reads, mentions{}, memory{}},
		{"it is of what was made of masked columns", base("made", "y"), reads, mentions{}, memory{names: map[string]struct{}{"made": {}}}},
		{"it is of a view that cannot be seen through", of(own, func(c *proxy.ShapeColumn) { c.Source = &proxy.Column{Opaque: true} }), reads, mentions{}, memory{}},
		{"a table is named that was filled with masked columns", own, reads, mentions{copies: true}, memory{}},
		{"something is named that was made of masked columns", own, reads, mentions{made: true}, memory{}},
		{"a masked column is named, which may be returned by this name", own, reads, mentions{any: true, labels: labels{"x": ""}}, memory{}},
		{"it is of a table, by its own name", own, reads, mentions{any: true}, memory{}},
		{"it is a plan, which may quote what functions return", ofPlan, &proxy.Facts{Plan: &proxy.Plan{Others: true}}, mentions{any: true}, memory{}},
		{"it is a plan, which may quote what functions return", ofPlan, &proxy.Facts{Plan: &proxy.Plan{Unknown: true}, Unsure: true}, mentions{}, memory{}},
		{"it is a plan, which may quote what functions return", ofPlan, &proxy.Facts{Plan: &proxy.Plan{Functions: []proxy.Function{{Schema: "public", Name: "f"}}}}, mentions{}, memory{}},
		{"it is a plan, which has no data", ofPlan, &proxy.Facts{Plan: &proxy.Plan{}}, mentions{any: true}, memory{}},
		{"a masked column is named, and this may be computed from it", ofPlan, reads, mentions{any: true}, memory{}},
		{"it is of what an earlier statement prepared, of which masked columns may be part", x, reads, mentions{foreign: true}, memory{}},
		{"it is of what an earlier statement prepared, of which masked columns may be part", x, reads, mentions{runs: true}, memory{any: true, labels: labels{"y": "ssn"}}},
		{"it holds times, as no masked column does that is named", typed(oidTimestamp), reads, mentions{any: true}, memory{}},
		{"it is JSON whose keys are the names of columns", typed(oidJSONB), reads, mentions{any: true}, memory{}},
		{"a masked column is named, and this may be computed from it", x, reads, mentions{any: true}, memory{}},
		{"a masked column is named, and this may be computed from it", typed(oidTimestamp), reads, mentions{any: true, dates: true}, memory{}},
		{"a masked column is named, and this may be computed from it", typed(oidJSONB), reads, mentions{any: true, computed: true}, memory{}},
		{"the name of a table or a query may mean its whole row", x, reads, mentions{rows: true}, memory{}},
		{"the name of a table or a query may mean its whole row", typed(oidJSONB), reads, mentions{rows: true, opens: true}, memory{}},
		{"a function is called that may return anything", x, calls(proxy.FunctionUnknown), mentions{}, memory{}},
		{"the functions that are called return nothing masked", x, calls(proxy.FunctionHarmless), mentions{}, memory{}},
		{"it is of what an earlier statement prepared, of no masked column", x, nil, mentions{runs: true}, memory{}},
		{"it is not known what the statement does", x, nil, mentions{}, memory{}},
		{"it is not known what the statement does", x, &proxy.Facts{Effects: proxy.EffectUnknown}, mentions{}, memory{}},
		{"it has no name, and a rule is about a relation that is read", proxy.ShapeColumn{Type: oidText}, reads, mentions{}, memory{}},
		{"nothing that is masked is in reach", x, reads, mentions{}, memory{}},
		{"nothing that is masked is in reach", typed(oidJSONB), reads, mentions{rows: true}, memory{}},
	} {
		shape := &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{c.column}}
		got := v.decide(&proxy.Statement{Facts: c.facts}, shape, &c.m, &c.kept)[0]
		require.NotNil(t, got.why, c.says)
		require.Equal(t, c.says, got.why.says)
		require.Equal(t, got.why.does == mask, got.whole, c.says)
		require.Equal(t, got.why.does == hide, got.tainted, c.says)
		met[got.why] = true
	}
	said := map[string]bool{}
	for _, r := range reasonsOf() {
		require.True(t, met[r], "no case of the test meets: %s", r.says)
		require.False(t, said[r.says], "two reasons say: %s", r.says)
		said[r.says] = true
	}
}

// TestReasonOfValues: a column that no case hides is masked whole once its values say
// what it holds.
func TestReasonOfValues(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	v := m.view(&proxy.Identity{}, &proxy.Resource{})
	f := &rows{inspector: newInspector(v, &remembered{}), counts: &counts{}}
	op := &proxy.Statement{Facts: &proxy.Facts{Effects: proxy.EffectRead}}
	f.columns = v.decide(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "x", Type: oidText}}}, &mentions{}, &memory{})
	for i := range promoteAfter {
		require.Equal(t, "nothing that is masked is in reach", f.columns[0].why.says)
		var r proxy.Row
		r.Reset([][]byte{fmt.Appendf(nil, "ann%d@example.com", i)})
		require.NoError(t, f.row(&r))
		require.True(t, strings.HasPrefix(string(r.Value(0)), "a"), string(r.Value(0)))
	}
	require.Same(t, &ofValues, f.columns[0].why)
	require.True(t, f.columns[0].whole)
}
