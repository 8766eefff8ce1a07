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
	Limits     sql.Limits
	CacheBytes int // bounds what is remembered, roughly; 0 is 32 MiB
}

// Analyzer is a proxy.Analyzer for MySQL and MariaDB.
type Analyzer struct {
	limits  sql.Limits
	cache   sql.Cache
	scratch sync.Pool     // of *readings
	parsers chan struct{} // bounds how many texts are parsed at once, and so the memory of it
}

// New returns an analyzer.
func New(c Config) *Analyzer {
	return &Analyzer{
		limits: c.Limits.WithDefaults(), cache: sql.Cache{Bytes: c.CacheBytes},
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
func (a *Analyzer) Analyze(_ context.Context, text []byte, r *proxy.Reading) *proxy.Facts {
	if r.Dialect != "" && r.Dialect != Dialect {
		return proxy.UnknownFacts("another dialect: " + r.Dialect)
	}
	rs := a.scratch.Get().(*readings)
	defer func() {
		if cap(rs.first.Text) <= maxKey && cap(rs.other.Text) <= maxKey {
			a.scratch.Put(rs)
		}
	}()
	base := sql.MySQLReading{ANSIQuotes: r.ANSIQuotes, NoBackslashes: !r.BackslashLiterals, Version: r.Version, MariaDB: r.MariaDB}
	n := &rs.first
	sql.NormaliseMySQL(n, text, base, a.limits)
	facts := a.normalised(n)
	if !n.Quotes && !n.Backslashes && !n.Versions || r.Certain && !changesReading(facts) {
		return facts
	}
	return a.inOtherWays(rs, facts, text, base)
}

// changesReading reports whether one statement of a text may change how the server reads the
// next.
func changesReading(f *proxy.Facts) bool {
	return f.Statements > 1 && f.Effects.Has(proxy.EffectSet|proxy.EffectCall|proxy.EffectDo|proxy.EffectExecute|proxy.EffectUnknown)
}

// inOtherWays reads text in every way in which it can be read, too.
func (a *Analyzer) inOtherWays(rs *readings, facts *proxy.Facts, text []byte, base sql.MySQLReading) *proxy.Facts {
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
		other := a.normalised(n)
		if other != facts {
			facts = a.both(facts, other)
		}
	}
	return facts
}

// both is what a text does that is read as one or the other.
func (a *Analyzer) both(x, y *proxy.Facts) *proxy.Facts {
	f := *x
	f.Parts = nil
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
func (a *Analyzer) normalised(n *sql.MySQLText) *proxy.Facts {
	if n.Problem != "" {
		return proxy.UnknownFacts(n.Problem)
	}
	if len(n.Text) > maxKey {
		facts, _ := a.parse(n)
		return facts
	}
	facts := a.cache.Get(n.Text, func() *proxy.Facts {
		facts, literals := a.parse(n)
		if literals {
			return exact
		}
		return facts
	})
	if facts != exact {
		return facts
	}
	if len(n.Clean) > maxKey {
		facts, _ := a.parse(n)
		return facts
	}
	// No normalised text begins with a zero byte.
	key := append(append(make([]byte, 0, 1+len(n.Clean)), 0), n.Clean...)
	return a.cache.Get(key, func() *proxy.Facts {
		facts, _ := a.parse(n)
		return facts
	})
}

// parse returns what text does, and whether its literals have a say in it.
func (a *Analyzer) parse(n *sql.MySQLText) (facts *proxy.Facts, literals bool) {
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
	for i, s := range stmts {
		var matter bool
		parts[i], matter = statement(s)
		literals = literals || matter
	}
	if len(parts) == 1 {
		return parts[0], literals
	}
	return sum(parts), literals
}

func statement(s ast.StmtNode) (*proxy.Facts, bool) {
	v := &visitor{facts: &proxy.Facts{Statements: 1, Limited: true, ColumnsKnown: true}, mode: proxy.EffectRead}
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
	all := &proxy.Facts{Statements: len(parts), Parts: parts, Limited: true, ColumnsKnown: true}
	for _, p := range parts {
		all.Effects |= p.Effects
		all.Unfiltered |= p.Unfiltered
		all.Relations = append(all.Relations, p.Relations...)
		all.Functions = append(all.Functions, p.Functions...)
		all.Settings = append(all.Settings, p.Settings...)
		all.Limited = all.Limited && p.Limited
		all.Rows = all.Rows || p.Rows
		all.ColumnsKnown = all.ColumnsKnown && p.ColumnsKnown && !p.Rows
		if all.Unknown == "" {
			all.Unknown = p.Unknown
		}
	}
	return all
}
