package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// TestPlans: functions that run while the server plans are run by EXPLAIN, and what others
// may return is told of its plan.
func TestPlans(t *testing.T) {
	snapshot := func(fs ...*sql.Function) *sql.Snapshot {
		s := sql.NewSnapshot(sql.Contents{
			Path: []string{"pg_catalog", "public"}, Functions: fs,
			Relations: []*sql.Relation{
				{OID: 1, Schema: "public", Name: "t", Kind: sql.RelationTable, Columns: []sql.Column{{Attr: 1, Name: "id"}}},
				{OID: 2, Schema: "public", Name: "v", Kind: sql.RelationView, Columns: []sql.Column{{Attr: 1, Name: "id"}}, Definition: "SELECT t.id FROM public.t WHERE t.id = public.stable()"},
			},
		})
		s.ID = 1
		Resolve(s)
		return s
	}
	function := func(oid uint32, name, language string, volatility sql.Volatility, body string) *sql.Function {
		return &sql.Function{OID: oid, Schema: "public", Name: name, Language: language, Volatility: volatility, Body: body}
	}
	stable := function(10, "stable", "plpgsql", sql.Stable, "BEGIN RETURN 1; END")
	volatile := function(11, "volatile", "plpgsql", sql.Volatile, "BEGIN RETURN 1; END")
	inlined := function(12, "inlined", "sql", sql.Volatile, "SELECT public.stable()")
	reading := function(13, "reading", "sql", sql.Immutable, "SELECT t.id FROM public.t")
	pure := function(14, "pure", "sql", sql.Immutable, "SELECT lower($1)")
	hash := function(15, "hash", "c", sql.Immutable, "")
	quiet, folding := snapshot(stable, volatile, inlined, pure, hash), snapshot(stable, volatile, inlined, reading)
	const pass, calls = false, true
	for _, c := range []struct {
		text   string
		in     *sql.Snapshot
		calls  bool
		plan   string // functions
		others bool
	}{
		{"EXPLAIN SELECT id FROM t WHERE id = 1", quiet, pass, "", false},
		{"EXPLAIN SELECT lower('A'), now(), count(*) FROM t", quiet, pass, "", false},
		{"EXPLAIN SELECT hash('a'), pure('b') FROM t", quiet, pass, "public.hash public.pure", false},
		{"EXPLAIN SELECT stable()", quiet, calls, "public.stable", false},
		{"EXPLAIN SELECT volatile()", quiet, pass, "public.volatile", false},
		{"EXPLAIN SELECT inlined()", quiet, calls, "public.stable public.inlined", false},
		{"EXPLAIN INSERT INTO t SELECT stable()", quiet, calls, "public.stable", false},
		{"EXPLAIN SELECT missing()", quiet, calls, ".missing", false},
		{"EXPLAIN SELECT id FROM v", quiet, pass, "public.stable", false},
		{"EXPLAIN ANALYZE SELECT id FROM v", quiet, calls, "public.stable", false},
		{"EXPLAIN ANALYZE SELECT volatile()", quiet, calls, "public.volatile", false},
		{"EXPLAIN SELECT id FROM t WHERE id = 1", folding, pass, "", true},
		{"EXPLAIN SELECT reading()", folding, pass, "public.reading", true},
	} {
		a := New(Config{Catalog: &fixedCatalog{snapshot: c.in}})
		f := a.Analyze(context.Background(), []byte(c.text), &proxy.Reading{Dialect: Dialect})
		require.NotNil(t, f.Plan, c.text)
		require.Equal(t, c.calls, f.Effects.Has(proxy.EffectCall), c.text)
		names := ""
		for i, f := range f.Plan.Functions {
			if i > 0 {
				names += " "
			}
			names += fmt.Sprint(f.Schema, ".", f.Name)
		}
		require.Equal(t, c.plan, names, c.text)
		require.Equal(t, c.others, f.Plan.Others, c.text)
		require.False(t, f.Plan.Unknown, c.text)
	}
	a := New(Config{Catalog: &fixedCatalog{snapshot: quiet}})
	f := a.Analyze(context.Background(), []byte("EXPLAIN SELECT id FROM t"), &proxy.Reading{Dialect: Dialect, Names: proxy.Names{Unsure: proxy.UnsureObjects}})
	require.True(t, f.Plan.Others, "something may have been made")
	f = a.Analyze(context.Background(), []byte("EXPLAIN EXECUTE q(1)"), &proxy.Reading{Dialect: Dialect})
	require.True(t, f.Plan.Unknown)
	f = analyze(t, "EXPLAIN SELECT 1")
	require.True(t, f.Plan.Others, "without a catalog")
	require.Nil(t, analyze(t, "SELECT 1").Plan)
	require.Nil(t, analyze(t, "SHOW all").Plan)
}
