package masking

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Statements that differ in numbers alone mention the same.
func TestShapesMentionTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 3))
	parts := strings.Fields("SELECT FROM WHERE ssn ssn2 s_1 t1 t . , ( ) * = - -- /* */ \n :: # @ [ ] > ; as union all create table into x1y2 1 22 333 4.5 6e7 8abc 9_9 0x1F é1 count(*) -1 --2 /*3 1..2 1.2.3 $1 'a1' \"b2\" `c3` $$4$$ E'5' copy to 7 order by 2 limit 10 json ->> '6'")
	sensitive := func(name string) (detect.Type, bool) {
		return detect.USSSN, strings.EqualFold(name, "ssn") || name == "ssn2" || name == "s_1"
	}
	differ := 0
	for range 30_000 {
		var text strings.Builder
		for range 1 + r.IntN(25) {
			text.WriteString(parts[r.IntN(len(parts))])
			if r.IntN(4) > 0 {
				text.WriteByte(' ')
			}
		}
		shape := string(appendShape(nil, []byte(text.String())))
		if shape != text.String() {
			differ++
		}
		require.Equal(t, read([]byte(text.String()), sensitive), read([]byte(shape), sensitive), "%q, %q", text.String(), shape)
	}
	require.Greater(t, differ, 1000)
	for text, shape := range map[string]string{
		"SELECT a1, 22 FROM t_3 WHERE x = 4711": "SELECT a1, 0 FROM t_3 WHERE x = 0",
		"SELECT $1, 22":                         "SELECT $1, 22",
		"SELECT '1', 22":                        "SELECT '1', 22",
	} {
		require.Equal(t, shape, string(appendShape(nil, []byte(text))))
	}
}

// BenchmarkPoint is what masking adds to a statement that returns an integer: asking,
// the flow of one row, and what is done at the end.
func BenchmarkPoint(bench *testing.B) {
	for _, name := range []string{"simple", "prepared"} {
		bench.Run(name, func(bench *testing.B) {
			balance := proxy.SampledColumn{Name: "abalance", Type: "int4"}
			m, err := New(Config{Sampler: fakeSampler{balance, []string{"0", "12", "-4711"}}})
			require.NoError(bench, err)
			s := &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "bench"}, Database: "bench"}}
			hooks, err := m.Intercept(context.Background(), s)
			require.NoError(bench, err)
			facts := &proxy.Facts{
				Effects: proxy.EffectRead, Rows: true, Resolved: true, ColumnsKnown: true,
				Columns:   []proxy.Column{{Origins: []proxy.Origin{{Schema: "public", Relation: "pgbench_accounts", Column: "abalance", Type: oidInt4}}}},
				Relations: []proxy.Relation{{Schema: "public", Name: "pgbench_accounts", Effects: proxy.EffectRead}},
			}
			shape := &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "abalance", Column: "abalance", Relation: "pgbench_accounts", Schema: "public", Table: 16400, Attr: 3, Type: oidInt4}}}
			text := []byte("SELECT abalance FROM pgbench_accounts WHERE aid = $1")
			var r proxy.Row
			values := make([][]byte, 1)
			zero := []byte("0")
			bench.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := cpuTime()
			for i := 0; bench.Loop(); i++ {
				if name == "simple" {
					text = fmt.Appendf(text[:0], "SELECT abalance FROM pgbench_accounts WHERE aid = %d;", i)
				}
				op := &proxy.Statement{Meta: proxy.Meta{ID: uint64(i), Kind: proxy.KindStatement}, Text: text, Facts: facts}
				if v := hooks.Ask(bench.Context(), op); v.Refuses() {
					bench.Fatal("refused")
				}
				f, err := hooks.Flow(bench.Context(), op, shape)
				if err != nil {
					bench.Fatal(err)
				}
				if f.Row != nil {
					values[0] = zero
					r.Reset(values)
					if err := f.Row(&r); err != nil {
						bench.Fatal(err)
					}
				}
				hooks.Done(bench.Context(), op, &proxy.Outcome{Rows: 1, Tag: "SELECT 1"})
			}
			bench.ReportMetric(float64(cpuTime()-began)/float64(bench.N), "cpu-ns/statement")
		})
	}
}
