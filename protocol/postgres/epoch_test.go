package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// A search_path holds once the server has taken it, alone and outside of a
// transaction; until then nothing is looked up, and what may be taken back is
// not believed.
func TestSearchPathSettles(t *testing.T) {
	set := func(path string) *proxy.Statement {
		return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{
			Statements: 1, Effects: proxy.EffectSet, Settings: []proxy.Setting{{Name: "search_path", Value: path}},
		}}
	}
	query := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Statements: 1, Effects: proxy.EffectRead}}
	type turn struct {
		ops    []*proxy.Statement
		failed bool // one of them, or another message of the turn
		open   bool // a transaction, afterwards
	}
	alone := turn{ops: []*proxy.Statement{set("a")}}
	for _, c := range []struct {
		name     string
		turns    []turn
		path     string
		shadowed bool
	}{
		{"alone", []turn{alone}, "a", false},
		{"another", []turn{alone, {ops: []*proxy.Statement{query}}, {ops: []*proxy.Statement{set("b")}}}, "b", false},
		{"failed", []turn{alone, {ops: []*proxy.Statement{set("b")}, failed: true}}, "a", false},
		{"in a batch", []turn{alone, {ops: []*proxy.Statement{set("b"), query}}}, "a", true},
		{"in a batch that fails", []turn{alone, {ops: []*proxy.Statement{set("b"), query}, failed: true}}, "a", true},
		{"twice in a batch", []turn{{ops: []*proxy.Statement{set("a"), set("b")}}}, "", true},
		{"in a transaction", []turn{{ops: []*proxy.Statement{query}, open: true}, {ops: []*proxy.Statement{set("a")}, open: true}}, "", true},
		{"that ends with it", []turn{{ops: []*proxy.Statement{query}, open: true}, alone}, "", true},
		{"that begins with it", []turn{{ops: []*proxy.Statement{set("a")}, open: true}}, "", true},
		{"after a transaction", []turn{{ops: []*proxy.Statement{query}, open: true}, {ops: []*proxy.Statement{query}}, alone}, "a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e epoch
			var s settling
			for _, turn := range c.turns {
				moves := 0
				for _, op := range turn.ops {
					e.sent(op.Facts)
					if op != query {
						moves++
					}
				}
				require.Equal(t, !e.shadowed.Load() && moves > 0, e.now() == epochChanging)
				for _, op := range turn.ops {
					s.answered(op)
				}
				s.failed = turn.failed
				s.ready(&e, turn.open)
			}
			require.Equal(t, c.path, e.searchPath())
			require.Equal(t, c.shadowed, e.shadowed.Load())
			require.Zero(t, e.moves.Load())
		})
	}
}
