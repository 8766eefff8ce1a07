package postgres

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// params are the values of a text's parameters, as far as they are known. Nil knows none.
type params struct {
	args  []proxy.Arg
	times map[int]int // how often each is written in the text
}

// Bound says what text does with args. See [proxy.BindAnalyzer].
func (a *Analyzer) Bound(ctx context.Context, text []byte, r *proxy.Reading, args []proxy.Arg) *proxy.Facts {
	f := a.Analyze(ctx, text, r)
	if f.Unbound == nil {
		return f
	}
	n := a.scratch.Get().(*sql.Normalised)
	defer a.scratch.Put(n)
	sql.NormalisePostgres(n, text, a.limits)
	if n.Problem != "" || n.Backslashes {
		return f // it can be read in several ways
	}
	p := &params{args: args, times: written(text)}
	catalog, newest := a.scope(ctx, r)
	bound, _ := a.parse(n, text, catalog, r, p)
	if !newest && bound.Unsure {
		bound, _ = a.parse(n, text, sql.ScopeOf(a.catalog.Snapshot(ctx, r), r.Names), r, p)
	}
	return bound
}

// written counts how often each parameter may be written in a text, with those in literals.
func written(text []byte) map[int]int {
	times := make(map[int]int)
	for i := 0; i < len(text); i++ {
		if text[i] != '$' {
			continue
		}
		n := 0
		for ; i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9' && n < 1<<20; i++ {
			n = 10*n + int(text[i+1]-'0')
		}
		times[n]++
	}
	return times
}

// The types of parameters whose values are known: those of texts, and bool. The server takes
// one that is not declared for what its place asks for, which is the one place where it is
// written.
const (
	typeUndeclared = 0
	typeBool       = 16
	typeText       = 25
	typeUnknown    = 705
	typeVarchar    = 1043
)

// text is the value of parameter number as text, where that is certain.
func (p *params) text(number int) (text string, known bool) {
	if p == nil || number < 1 || number > len(p.args) {
		return "", false
	}
	arg := &p.args[number-1]
	switch {
	case arg.Value == nil || !utf8.Valid(arg.Value) || arg.Type != typeBool && bytes.IndexByte(arg.Value, 0) >= 0:
		return "", false
	case arg.Type == typeText, arg.Type == typeVarchar:
	case (arg.Type == typeUndeclared || arg.Type == typeUnknown) && p.times[number] == 1:
	case arg.Type != typeBool:
		return "", false
	case !arg.Binary:
		return asBool(string(arg.Value))
	case len(arg.Value) == 1 && arg.Value[0] <= 1:
		return [...]string{"false", "true"}[arg.Value[0]], true
	default:
		return "", false
	}
	return string(arg.Value), true
}
