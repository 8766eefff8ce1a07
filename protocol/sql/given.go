package sql

import (
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// Given is what st gives to columns when it is read by r; nil when a cannot tell.
func Given(ctx context.Context, a proxy.Analyzer, st *proxy.Statement, r *proxy.Reading) *proxy.Given {
	f, ok := a.(proxy.FillAnalyzer)
	if !ok {
		return nil
	}
	return &proxy.Given{Fills: f.Fills(ctx, st.Text, r), Literals: f.Literals(nil, st.Text, r), Params: st.Args}
}

// Giver is the [proxy.Giver] of statements that no session runs. Analyzer and Reading
// say how they are read.
type Giver struct {
	Analyzer proxy.Analyzer
	Reading  proxy.Reading
}

// Given says what st gives to columns.
func (g *Giver) Given(ctx context.Context, st *proxy.Statement) *proxy.Given {
	return Given(ctx, g.Analyzer, st, &g.Reading)
}
