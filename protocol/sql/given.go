package sql

import (
	"context"

	"github.com/sallyport/sallyport/proxy"
)

// Given is what text with params gives to columns when it is read by r; the zero Given when
// a cannot tell.
func Given(ctx context.Context, a proxy.Analyzer, text []byte, r *proxy.Reading, params []proxy.Arg) proxy.Given {
	f, ok := a.(proxy.FillAnalyzer)
	if !ok {
		return proxy.Given{}
	}
	return proxy.NewGiven(ctx, f, text, r, params)
}

// Giver is the [proxy.Giver] of statements that no session runs. Analyzer and Reading
// say how they are read.
type Giver struct {
	Analyzer proxy.Analyzer
	Reading  proxy.Reading
}

// Given says what st gives to columns.
func (g *Giver) Given(ctx context.Context, st *proxy.Statement) proxy.Given {
	return Given(ctx, g.Analyzer, st.Text, &g.Reading, st.Args)
}
