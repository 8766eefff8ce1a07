package mysql

import (
	"context"
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"

	"github.com/sqlc-dev/marino/ast"
	"github.com/sqlc-dev/marino/parser"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// Config configures an Analyzer. The zero value is ready.
type Config struct {
	// Catalog says what names mean. Nil: it is not known which columns a result has.
	Catalog    sql.Catalog
	Limits     sql.Limits
	CacheBytes int // bounds what is remembered, roughly; 0 is 32 MiB
}

// Analyzer is a proxy.Analyzer for MySQL and MariaDB.
type Analyzer struct {
	catalog sql.Catalog
	limits  sql.Limits
	cache   sql.Cache
	fills   sql.FillCache
	scratch sync.Pool     // of *readings
	parsers chan struct{} // bounds how many texts are parsed at once, and so the memory of it
}

// New returns an analyzer.
func New(c Config) *Analyzer {
	return &Analyzer{
		catalog: c.Catalog, limits: c.Limits.WithDefaults(), cache: sql.Cache{Bytes: c.CacheBytes},
		scratch: sync.Pool{New: func() any { return &readings{} }},
		parsers: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Dialect is the name by which readings call this dialect.
const Dialect = "mysql"

// maxKey bounds what is remembered: longer texts are seldom the same.
const maxKey = 64 << 10

// readings are a text as it is read first, and in another way.
type readings struct {
	first, other sql.MySQLText
}

// exact is the cache's entry for statements whose literals matter, which are
// kept by their exact text.
var exact = proxy.UnknownFacts("literals matter")

// Analyze says what text does. See [proxy.Analyzer].
func (a *Analyzer) Analyze(ctx context.Context, text []byte, r *proxy.Reading) *proxy.Facts {
	if r.Dialect != "" && r.Dialect != Dialect {
		return proxy.UnknownFacts("another dialect: " + r.Dialect)
	}
	rs := a.scratch.Get().(*readings)
	defer func() {
		if cap(rs.first.Text) <= maxKey && cap(rs.other.Text) <= maxKey {
			a.scratch.Put(rs)
		}
	}()
	base := readingOf(r)
	n := &rs.first
	sql.NormaliseMySQL(n, text, base, a.limits)
	s := a.looked(ctx, r)
	facts := a.normalised(n, &s)
	if facts.Unsure && s.catalog != nil { // it names what was not there
		a.catalog.Doubt(r)
		if newer := a.catalog.Snapshot(ctx, r); newer != nil && newer.Number() != s.catalog.Number() {
			s.catalog = newer
			facts = a.normalised(n, &s)
		}
	}
	if !n.Quotes && !n.Backslashes && !n.Versions || r.Certain && !changesReading(facts) {
		return facts
	}
	return a.inOtherWays(rs, facts, text, base, &s)
}

// readingOf is how text is read first.
func readingOf(r *proxy.Reading) sql.MySQLReading {
	return sql.MySQLReading{ANSIQuotes: r.ANSIQuotes, NoBackslashes: !r.BackslashLiterals, Version: r.Version, MariaDB: r.MariaDB}
}

// looked is what names are looked up in.
func (a *Analyzer) looked(ctx context.Context, r *proxy.Reading) looked {
	s := looked{names: r.Names}
	if a.catalog != nil {
		s.catalog = a.catalog.Snapshot(ctx, r)
		s.blind = s.catalog == nil
	}
	return s
}

// changesReading reports whether one statement of a text may change how the server reads the
// next.
func changesReading(f *proxy.Facts) bool {
	return f.Statements > 1 && f.Effects.Has(proxy.EffectSet|proxy.EffectCall|proxy.EffectDo|proxy.EffectExecute|proxy.EffectUnknown)
}

// inOtherWays reads text in every way in which it can be read, too.
func (a *Analyzer) inOtherWays(rs *readings, facts *proxy.Facts, text []byte, base sql.MySQLReading, s *looked) *proxy.Facts {
	quotes, backslashes, versions := rs.first.Quotes, rs.first.Backslashes, rs.first.Versions
	for way := 1; way < 8; way++ {
		r := base
		if way&1 != 0 {
			r.ANSIQuotes = !r.ANSIQuotes
		}
		if way&2 != 0 {
			r.NoBackslashes = !r.NoBackslashes
		}
		if way&4 != 0 {
			r.SkipVersions = true
		}
		if way&1 != 0 && !quotes || way&2 != 0 && !backslashes || way&4 != 0 && !versions {
			continue
		}
		n := &rs.other
		sql.NormaliseMySQL(n, text, r, a.limits)
		// One reading may show what the other hid in a literal or a comment.
		quotes, backslashes, versions = quotes || n.Quotes, backslashes || n.Backslashes, versions || n.Versions
		other := a.normalised(n, s)
		if other != facts {
			facts = a.both(facts, other)
		}
	}
	return facts
}

// both is what a text does that is read as one or the other.
func (a *Analyzer) both(x, y *proxy.Facts) *proxy.Facts {
	f := *x
	f.Parts, f.Columns, f.Unsure, f.Resolved = nil, nil, x.Unsure || y.Unsure, x.Resolved && y.Resolved
	f.Renames = append(f.Renames[:len(f.Renames):len(f.Renames)], y.Renames...)
	f.Effects |= y.Effects
	f.Unfiltered |= y.Unfiltered
	f.Relations = append(f.Relations[:len(f.Relations):len(f.Relations)], y.Relations...)
	f.Functions = append(f.Functions[:len(f.Functions):len(f.Functions)], y.Functions...)
	f.Settings = append(f.Settings[:len(f.Settings):len(f.Settings)], y.Settings...)
	f.Limited = f.Limited && y.Limited
	f.Rows = f.Rows || y.Rows
	f.ColumnsKnown = f.ColumnsKnown && y.ColumnsKnown && !f.Rows
	f.Statements = max(f.Statements, y.Statements)
	if f.Unknown == "" && y.Unknown != "" {
		f.Unknown = "read in a second way: " + y.Unknown
	}
	return &f
}

// normalised answers from the cache, or parses.
func (a *Analyzer) normalised(n *sql.MySQLText, s *looked) *proxy.Facts {
	if n.Problem != "" {
		return proxy.UnknownFacts(n.Problem)
	}
	text := len(n.Text)
	// No normalised text begins with a byte below 3, nor has one.
	key, shared := s.appendKey(n.Text)
	n.Text = key[:text]
	if len(key) > maxKey || !shared {
		facts, _ := a.parse(n, s)
		return facts
	}
	facts := a.cache.Get(key, func() *proxy.Facts {
		facts, literals := a.parse(n, s)
		if literals {
			return exact
		}
		return facts
	})
	if facts != exact {
		return facts
	}
	if len(n.Clean) > maxKey {
		facts, _ := a.parse(n, s)
		return facts
	}
	exactly := append(append(make([]byte, 0, 64+len(n.Clean)), 0), n.Clean...)
	exactly, _ = s.appendKey(exactly)
	return a.cache.Get(exactly, func() *proxy.Facts {
		facts, _ := a.parse(n, s)
		return facts
	})
}

// parse returns what text does, and whether its literals have a say in it.
func (a *Analyzer) parse(n *sql.MySQLText, names *looked) (facts *proxy.Facts, literals bool) {
	a.parsers <- struct{}{}
	defer func() { <-a.parsers }()
	defer func() {
		if p := recover(); p != nil {
			facts, literals = unknown(n, "the parser failed"), true
		}
		facts.Normalised = string(n.Text)
		h := fnv.New64a()
		h.Write(n.Text)
		facts.Fingerprint, facts.Dialect = h.Sum64(), Dialect
	}()
	p := parser.New()
	p.SetMariaDB(true) // more is known then
	stmts, _, err := p.ParseSQL(string(n.Clean))
	if err != nil && n.Statements == 1 {
		if change, query := returning(p, n.Clean); change != nil {
			return changeReturning(change, query, names), true
		}
	}
	if err != nil {
		return unknown(n, "it does not parse"), true
	}
	// A second count of the statements, by the scanner that follows the server's:
	// where the two differ, one of them has misread the text.
	if len(stmts) != n.Statements {
		return unknown(n, fmt.Sprintf("the text holds %d or %d statements", len(stmts), n.Statements)), true
	}
	if len(stmts) == 0 {
		return &proxy.Facts{ColumnsKnown: true}, false
	}
	parts := make([]*proxy.Facts, len(stmts))
	at := *names
	for i, s := range stmts {
		var matter bool
		parts[i], matter = statement(s)
		at.resolve(parts[i], s)
		at.after(parts[i])
		literals = literals || matter
	}
	if len(parts) == 1 {
		return parts[0], literals
	}
	return sum(parts), literals
}

func statement(s ast.StmtNode) (*proxy.Facts, bool) {
	v := &visitor{facts: &proxy.Facts{Statements: 1, Limited: true, ColumnsKnown: true, Folded: true}, mode: proxy.EffectRead}
	v.statement(s)
	if v.facts.Effects == 0 {
		v.unknown("a statement that is not known")
	}
	v.facts.ColumnsKnown = !v.facts.Rows
	return v.facts, v.literals
}

func unknown(n *sql.MySQLText, why string) *proxy.Facts {
	f := proxy.UnknownFacts(why)
	f.Statements = n.Statements
	return f
}

// sum is what several statements do together.
func sum(parts []*proxy.Facts) *proxy.Facts {
	all := &proxy.Facts{Statements: len(parts), Parts: parts, Limited: true, ColumnsKnown: true, Resolved: true, Path: parts[0].Path, Folded: true}
	for _, p := range parts {
		all.Effects |= p.Effects
		all.Unfiltered |= p.Unfiltered
		all.Relations = append(all.Relations, p.Relations...)
		all.Functions = append(all.Functions, p.Functions...)
		all.Settings = append(all.Settings, p.Settings...)
		all.Limited = all.Limited && p.Limited
		all.Rows = all.Rows || p.Rows
		all.ColumnsKnown = all.ColumnsKnown && p.ColumnsKnown && !p.Rows
		all.Unsure, all.Resolved = all.Unsure || p.Unsure, all.Resolved && p.Resolved
		all.Renames = append(all.Renames, p.Renames...)
		all.Uses = append(all.Uses, p.Uses...)
		all.Writes = append(all.Writes, p.Writes...)
		if all.Unknown == "" {
			all.Unknown = p.Unknown
		}
	}
	return all
}
