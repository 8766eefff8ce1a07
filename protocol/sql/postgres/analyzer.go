package postgres

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"sync"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Config says how much an analyzer takes on. The zero value is good.
type Config struct {
	// Limits bound the text; what is over them is unknown.
	Limits sql.Limits
	// CacheBytes bounds the memory of remembered statements; 0 is 32 MiB.
	CacheBytes int
	// Catalog tells what names mean. Without one, relations have the names that the
	// text gives them, and columns' origins are not known.
	Catalog sql.Catalog
}

// Analyzer is a proxy.Analyzer for PostgreSQL's dialect.
type Analyzer struct {
	limits  sql.Limits
	cache   sql.Cache
	scratch sync.Pool // *sql.Normalised
	catalog sql.Catalog
	fills   sql.FillCache
	parsers chan struct{} // bounds how many texts are parsed at once, and so the memory of it
}

// New returns an analyzer.
func New(c Config) *Analyzer {
	return &Analyzer{
		limits: c.Limits.WithDefaults(), cache: sql.Cache{Bytes: c.CacheBytes},
		catalog: c.Catalog,
		scratch: sync.Pool{New: func() any { return &sql.Normalised{Text: make([]byte, 0, 512)} }},
		parsers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Dialect is the name by which readings call this dialect.
const Dialect = "postgres"

// maxKey bounds what is remembered: longer texts are seldom the same.
const maxKey = 64 << 10

// exact is the cache's entry for statements whose literals matter, which are
// kept by their exact text.
var exact = proxy.UnknownFacts("literals matter")

// Analyze says what text does. See [proxy.Analyzer]. What it says holds whether
// or not backslashes escape in plain literals: the server may have been told
// otherwise a moment ago.
func (a *Analyzer) Analyze(ctx context.Context, text []byte, r *proxy.Reading) *proxy.Facts {
	if r.Dialect != "" && r.Dialect != Dialect {
		return proxy.UnknownFacts("another dialect: " + r.Dialect)
	}
	n := a.scratch.Get().(*sql.Normalised)
	sql.NormalisePostgres(n, text, a.limits)
	facts := a.normalised(ctx, n, text, r)
	if cap(n.Text) <= maxKey {
		a.scratch.Put(n)
	}
	return facts
}

func (a *Analyzer) normalised(ctx context.Context, n *sql.Normalised, text []byte, r *proxy.Reading) *proxy.Facts {
	if unclosed(n, text) {
		return malformed(n, n.Problem)
	}
	if n.Problem != "" && n.Problem != sql.Ambiguous {
		return unreadable(n.Problem)
	}
	catalog, newest := a.scope(ctx, r)
	f := a.within(n, text, catalog, r)
	if newest || !f.Unsure {
		return f // it names nothing that has changed
	}
	return a.within(n, text, sql.ScopeOf(a.catalog.Snapshot(ctx, r), r.Names), r)
}

// scope is what r's names mean by what the catalog has read last, without waiting for
// what has changed since. newest says that nothing has.
func (a *Analyzer) scope(ctx context.Context, r *proxy.Reading) (s sql.Scope, newest bool) {
	if a.catalog == nil {
		return sql.Scope{}, true
	}
	latest, since := a.catalog.Latest(ctx, r)
	names := r.Names
	for _, c := range since {
		names = sql.Rename(names, c)
	}
	return sql.ScopeOf(latest, names), len(since) == 0
}

// within says what a text does by one scope.
func (a *Analyzer) within(n *sql.Normalised, text []byte, catalog sql.Scope, r *proxy.Reading) *proxy.Facts {
	if n.Problem == "" && len(n.Text) <= maxKey {
		// A statement means the same as long as the catalog does. No normalised text
		// holds a zero byte.
		end := len(n.Text)
		n.Text = catalog.AppendKey(append(n.Text, 0))
		key := n.Text
		n.Text = n.Text[:end]
		facts := a.cache.Get(key, func() *proxy.Facts {
			facts, literals := a.parse(n, text, catalog, r, nil)
			if literals {
				return exact
			}
			return facts
		})
		if facts != exact {
			return facts
		}
	}
	create := func() *proxy.Facts {
		if n.Problem != "" || n.Backslashes {
			return a.bothReadings(text, catalog, r)
		}
		facts, _ := a.parse(n, text, catalog, r, nil)
		return facts
	}
	if len(text) > maxKey {
		return create()
	}
	reading := byte(0)
	if r.BackslashLiterals {
		reading = 1
	}
	// No normalised text begins with a zero byte.
	key := append(make([]byte, 0, 64+len(text)), 0, reading)
	return a.cache.Get(catalog.AppendKey(append(append(key, text...), 0)), create)
}

// parse returns what text does, with the values of parameters where they are known, and
// whether its literals have a say in it.
func (a *Analyzer) parse(n *sql.Normalised, text []byte, catalog sql.Scope, r *proxy.Reading, p *params) (facts *proxy.Facts, literals bool) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	looked := catalog.Snapshot() != nil
	defer func() {
		if p := recover(); p != nil {
			facts, literals = proxy.UnknownFacts("the parser failed"), true
		}
		if facts.Normalised == "" {
			facts.Normalised = string(n.Text)
		}
		h := fnv.New64a()
		h.Write(n.Text)
		facts.Fingerprint, facts.Dialect = h.Sum64(), Dialect
		if looked {
			facts.Path = r.Names.SearchPath()
		}
		if u := facts.Unbound; u != nil {
			u.Normalised, u.Fingerprint, u.Dialect, u.Path = facts.Normalised, facts.Fingerprint, facts.Dialect, facts.Path
		}
	}()
	var stmts []ast.Stmt
	var err error
	lifted := len(text) > a.limits.Bytes
	if !lifted {
		stmts, err = parser.ParseSQL(string(text))
		lifted = err != nil
	}
	if lifted {
		// The parser stumbles over some literals that the server takes, such as those
		// that go on after a comment, and is not given long ones. Without them the
		// statement is the same, as long as they have no say in it.
		if stmts, err = parser.ParseSQL(string(n.Text)); err != nil {
			if certainlyMalformed(string(n.Text)) {
				return malformed(n, "it does not parse"), false
			}
			f := unknown(n, "it does not parse")
			f.Unread = true
			return f, false
		}
	}
	stmts = withoutEmpty(stmts)
	// A second count of the statements, by the scanner that follows the server's:
	// where the two differ, one of them has misread the text.
	if len(stmts) != n.Statements {
		f := unknown(n, fmt.Sprintf("the text holds %d or %d statements", len(stmts), n.Statements))
		f.Unread = true
		return f, true
	}
	if len(stmts) == 0 {
		return &proxy.Facts{ColumnsKnown: true, Resolved: true, Lossless: true, Renames: []proxy.NameChange{}}, false
	}
	parts := make([]*proxy.Facts, len(stmts))
	// UESCAPE says by a literal what a name is.
	literals = bytes.Contains(n.Text, []byte("uescape"))
	doubt := false
	for i, s := range stmts {
		v := newVisitor(catalog)
		v.params = p
		parts[i] = v.whole(s)
		literals, doubt = literals || v.literals, doubt || v.doubt
		if len(stmts) == 1 {
			if v.hangs {
				w := newVisitor(catalog)
				w.unbound = true
				parts[i].Unbound = w.whole(s)
			}
			literals = prepared(s, catalog, parts[0]) || literals
		}
		catalog = catalog.After(sql.Renames(parts[i]))
	}
	if doubt {
		a.catalog.Doubt(r)
	}
	switch {
	case lifted && literals:
		return unknown(n, "what its literals say is not read"), true
	case len(parts) == 1:
		return parts[0], literals
	}
	facts = sum(parts)
	facts.Losing = lossesOf(stmts, parts)
	return facts, literals
}

func unknown(n *sql.Normalised, why string) *proxy.Facts {
	f := proxy.UnknownFacts(why)
	f.Statements = n.Statements
	return f
}

// unreadable are the facts of a text with a problem.
func unreadable(problem string) *proxy.Facts {
	f := proxy.UnknownFacts(problem)
	f.Unread = problem == sql.Unclosed || problem == sql.BadDollar
	return f
}

func withoutEmpty(stmts []ast.Stmt) []ast.Stmt {
	kept := stmts[:0]
	for _, s := range stmts {
		if !isNil(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// sum is what several statements do together.
func sum(parts []*proxy.Facts) *proxy.Facts {
	all := &proxy.Facts{
		Statements: len(parts), Parts: parts, Limited: true, ColumnsKnown: true, Resolved: true, Lossless: true,
		Renames: []proxy.NameChange{},
	}
	for _, p := range parts {
		all.Effects |= p.Effects
		all.Unfiltered |= p.Unfiltered
		all.Relations = append(all.Relations, p.Relations...)
		all.Functions = append(all.Functions, p.Functions...)
		all.Settings = append(all.Settings, p.Settings...)
		all.Uses = append(all.Uses, p.Uses...)
		all.Writes = append(all.Writes, p.Writes...)
		all.Limited = all.Limited && p.Limited
		all.Renames = append(all.Renames, p.Renames...)
		all.Lossless = all.Lossless && p.Lossless
		all.ColumnsKnown = all.ColumnsKnown && p.ColumnsKnown && !p.Rows
		all.Resolved, all.Unsure = all.Resolved && p.Resolved, all.Unsure || p.Unsure
		all.Rows = all.Rows || p.Rows
		if all.Unknown == "" {
			all.Unknown = p.Unknown
		}
		if all.Copy == nil {
			all.Copy = p.Copy
		}
	}
	all.Block, all.Rest = blocks(parts), rests(parts)
	return all
}

// rests is what any of the columns of several statements may hold.
func rests(parts []*proxy.Facts) *proxy.Column {
	var rest *proxy.Column
	seen := make(map[proxy.Origin]struct{})
	for _, p := range parts {
		columns := p.Columns
		if p.Rest != nil {
			columns = []proxy.Column{*p.Rest}
		}
		for i := range columns {
			if rest == nil {
				rest = &proxy.Column{}
			}
			for _, o := range columns[i].Origins {
				if _, ok := seen[o]; !ok {
					seen[o] = struct{}{}
					rest.Origins = append(rest.Origins, o)
				}
			}
			rest.Opaque, rest.Unsure = rest.Opaque || columns[i].Opaque, rest.Unsure || columns[i].Unsure
		}
	}
	return rest
}

// blocks is what several statements do together of which some are blocks, nil when
// there is none, or another that is not understood.
func blocks(parts []*proxy.Facts) *proxy.Facts {
	if !slices.ContainsFunc(parts, func(p *proxy.Facts) bool { return p.Block != nil }) {
		return nil
	}
	all := make([]*proxy.Facts, len(parts))
	for i, p := range parts {
		switch all[i] = p; {
		case p.Block != nil:
			all[i] = p.Block
		case p.Effects.Has(proxy.EffectUnknown):
			return nil
		}
	}
	return sum(all)
}
