package postgres

import (
	"context"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Given says what the statement that is being asked gives to columns. Of an EXECUTE it
// is what the statement fills that was prepared under the name, with the EXECUTE's
// arguments.
func (u *up) Given(ctx context.Context, st *proxy.Statement) proxy.Given {
	if u.handler.Analyzer == nil || u.encoding.mayHide(u.pending, st.Text) {
		return proxy.Given{}
	}
	given := sql.Given(ctx, u.handler.Analyzer, st.Text, &u.reading, st.Args)
	if given.Fills == nil || given.Unknown == "" {
		return given
	}
	name := u.handler.Analyzer.Analyze(ctx, st.Text, &u.reading).Executes
	text := u.prepared.given(name)
	if name == "" || text == nil {
		return given
	}
	runs := sql.Given(ctx, u.handler.Analyzer, text, &u.reading, nil)
	return runs.RunBy(&given)
}
