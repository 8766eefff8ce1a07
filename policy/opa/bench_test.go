package opa

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// asked is a policy's hook, and a statement.
func asked(t testing.TB, rego string) (func() proxy.Verdict, func()) {
	p := create(t, Config{Modules: map[string]string{"rules.rego": rego}})
	h, err := p.Intercept(t.Context(), session)
	require.NoError(t, err)
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{
		Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead, Resolved: true, Normalised: "select * from orders",
		Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: proxy.EffectRead}},
	}}
	another := func() { f := *op.Facts; op.Facts = &f } // a shape that nobody has seen
	return func() proxy.Verdict { return h.Ask(t.Context(), op) }, another
}

func TestRememberedCostsNoAllocation(t *testing.T) {
	ask, _ := asked(t, "package sallyport\n"+readers)
	require.Equal(t, proxy.ActionPass, ask().Action)
	require.Zero(t, testing.AllocsPerRun(100, func() { ask() }))
}

func BenchmarkRemembered(b *testing.B) {
	ask, _ := asked(b, "package sallyport\n"+readers)
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func BenchmarkEvaluatedSmall(b *testing.B) {
	ask, another := asked(b, "package sallyport\n"+readers)
	for b.Loop() {
		another()
		ask()
	}
}

func BenchmarkEvaluatedElevenRules(b *testing.B) {
	ask, another := asked(b, sameRules)
	for b.Loop() {
		another()
		ask()
	}
}
