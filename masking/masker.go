package masking

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Config says what is masked. With the zero value every session's results are
// scanned, columns whose names say what they hold are masked whole, and both
// are masked in part.
type Config struct {
	// Rules come beside the default set, which one without columns and types
	// replaces.
	Rules []Rule
	// Tags are columns by tag, as in [Rule.Columns].
	Tags map[string][]string
	// Trusted are functions of the database whose results hold nothing that is
	// masked: "function" or "schema.function", patterns as in path.Match. What other
	// functions return that are not the server's own is masked whole, unless it
	// holds columns that are known.
	Trusted []string
	// Unmasked are groups that see everything.
	Unmasked []string
	// Excepted is told of each session that sees more than others because of
	// Unmasked or a rule's exceptions, with the rules' names, when it opens; op is
	// its Connect. Nil is nobody.
	Excepted func(ctx context.Context, s *proxy.Session, op proxy.Op, rules []string)
	// Key is the secret of hashes, pseudonyms, tokens and encryption, at least 16
	// bytes. Maskers with one key show one value in one way. Nil is a random key,
	// which is forgotten with the process; what is to be turned back, and
	// pseudonyms, need one that is given.
	Key []byte
	// Detokenise are groups that may turn tokens back.
	Detokenise []string
	// Detokenised is told of every call of [Masker.Detokenise], before it returns;
	// err is why it fails. When Detokenised returns an error, so does the call. Nil
	// is nobody.
	Detokenised func(ctx context.Context, id *proxy.Identity, t Type, err error) error
	// Scanner finds values in text. Nil is [Default].
	Scanner *Scanner
	// Sampler looks at columns of which results are computed, so that what they hold
	// is known although no name says it. What it cannot look at is masked whole. Nil:
	// only names and what is returned say what a column holds.
	Sampler Sampler
	// External are analyzers outside of the process that are asked, too.
	External []External
	// Counted is told how many values of each type were masked in an operation,
	// before its Done hooks that come later in the chain. It may be called
	// concurrently. Nil is nobody.
	Counted func(ctx context.Context, s *proxy.Session, op proxy.Op, counts []Count)
}

// Count is a number of masked values.
type Count struct {
	Type Type
	N    uint64
}

// Masker masks what flows to clients. It is a [proxy.Interceptor], immutable and
// safe for concurrent use.
type Masker struct {
	rules    []Rule
	columns  [][]columnRule // by rule
	unmasked []string
	keys     *keys
	scanner  *Scanner
	spreads  spreads
	samples  samples
	trusted  []columnRule // as relation and column
	external []external
	counted  func(context.Context, *proxy.Session, proxy.Op, []Count)

	excepted    func(context.Context, *proxy.Session, proxy.Op, []string)
	detokenise  []string
	detokenised func(context.Context, *proxy.Identity, Type, error) error
}

// New returns a masker, or an error that names the rule that is wrong.
func New(c Config) (*Masker, error) {
	m := &Masker{
		rules: slices.Clone(c.Rules), unmasked: slices.Clone(c.Unmasked), scanner: c.Scanner, counted: c.Counted,
		excepted: c.Excepted, detokenise: slices.Clone(c.Detokenise), detokenised: c.Detokenised,
	}
	if m.scanner == nil {
		m.scanner = Default()
	}
	var err error
	if m.keys, err = newKeys(c.Key); err != nil {
		return nil, fmt.Errorf("masking: %w", err)
	}
	for _, name := range c.Trusted {
		f, err := parseColumn(name)
		if err != nil || f.schema != "" {
			return nil, fmt.Errorf("masking: trusted function %q is not FUNCTION or SCHEMA.FUNCTION", name)
		}
		m.trusted = append(m.trusted, f)
	}
	m.samples = samples{sampler: c.Sampler, plan: m.scanner}
	for i := range c.External {
		e, err := c.External[i].compile()
		if err != nil {
			return nil, fmt.Errorf("masking: external analyzer: %w", err)
		}
		m.external = append(m.external, e)
	}
	known := m.scanner.knows
	for i := range m.rules {
		r := &m.rules[i]
		if err := r.validate(known, m.keys.lasting); err != nil {
			return nil, fmt.Errorf("masking rule %d %q: %w", i+1, r.Name, err)
		}
		columns, err := r.columnRules(c.Tags)
		if err != nil {
			return nil, fmt.Errorf("masking rule %d %q: %w", i+1, r.Name, err)
		}
		m.columns = append(m.columns, columns)
	}
	return m, nil
}

// Name returns "masking".
func (m *Masker) Name() string { return "masking" }

// Intercept implements [proxy.Interceptor].
func (m *Masker) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	v := m.view(s.Identity, s.Target.Resource)
	v.target = &s.Target
	unmasked := slices.ContainsFunc(m.unmasked, s.Identity.In)
	if unmasked && !v.idle() {
		v.without = append(v.without, "unmasked")
	}
	if unmasked || v.idle() {
		if len(v.without) == 0 || m.excepted == nil {
			return proxy.Hooks{}, nil
		}
		return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
			v.tellExceptions(ctx, s, op)
			return proxy.Pass()
		}}, nil
	}
	x := &session{session: s, view: v, counts: map[uint64]*counts{}, read: map[string]*mentions{}}
	v.spread = m.spreads.at(&s.Target)
	x.kept.shared = v.spread
	return proxy.Hooks{Ask: x.ask, Flow: x.flow, Tell: x.tell, Done: x.done}, nil
}

// tellExceptions tells of the rules that do not apply to the session that op
// opens.
func (v *view) tellExceptions(ctx context.Context, s *proxy.Session, op proxy.Op) {
	if op.Info().Kind == proxy.KindConnect && len(v.without) > 0 && v.masker.excepted != nil {
		v.masker.excepted(ctx, s, op, v.without)
	}
}

// session is the masker's part in one session.
type session struct {
	session *proxy.Session
	view    *view

	mu     sync.Mutex
	counts map[uint64]*counts // of operations whose data flows, by their ID
	kept   memory
	read   map[string]*mentions // by the statement's text
	// learned are the names of columns that were found to hold what is masked, in
	// lower case. The map is never changed, but replaced.
	learned map[string]struct{}
	known   uint64 // the version of what others made, as of read

	seen   remembered        // in masked columns
	typing map[uint64]*typed // by operation
}

const (
	maxRemembered = 256     // statements
	maxText       = 4 << 10 // bytes of one that is remembered
)

// mentions reads text, or remembers that it has.
func (x *session) mentions(text []byte) *mentions {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.view.spread.now(); now != x.known {
		x.known = now
		clear(x.read)
	}
	if m := x.read[string(text)]; m != nil {
		return m
	}
	made, own, copies := false, false, false
	m := read(text, func(name string) (Type, bool) {
		if x.kept.made(name) {
			made = true
			return Column, true
		}
		own = own || x.kept.makes(name)
		copies = copies || x.view.spread.filled(name)
		if t, ok := x.view.sensitive(name); ok {
			return t, true
		}
		return Column, among(x.learned, name)
	})
	m.made, m.copies = made, copies
	if m.unions && own { // whose columns' names are the user's choice
		m.any, m.dates = true, true
	}
	if len(text) <= maxText {
		if len(x.read) >= maxRemembered {
			clear(x.read)
		}
		x.read[string(text)] = &m
	}
	return &m
}

// learn looks at the columns of which a statement's results are computed, or which
// may go into something that it makes, and returns what it mentions in the light
// of that.
func (x *session) learn(ctx context.Context, st *proxy.Statement) *mentions {
	m := x.mentions(st.Text)
	samples := &x.view.masker.samples
	var names []string
	note := func(column string, t Type) {
		if x.view.transform(t) != Visible {
			names = append(names, column)
		}
	}
	samples.computed(ctx, x.session, st.Facts, note)
	known := true
	if m.keeps || st.Facts != nil && st.Facts.Unknown != "" {
		known = samples.read(ctx, x.session, st.Facts, note)
	}
	if x.remember(names) {
		m = x.mentions(st.Text)
	}
	if !known {
		all := *m
		all.any, all.star = true, true
		m = &all
	}
	return m
}

// remember adds to the columns that are known to hold what is masked, and reports
// whether one is new.
func (x *session) remember(names []string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	added := false
	for _, name := range names {
		name = strings.ToLower(name)
		if _, old := x.learned[name]; old {
			continue
		}
		if !added { // those that are read by others stay as they are
			added = true
			x.learned = maps.Clone(x.learned)
		}
		x.learned = with(x.learned, name)
	}
	if added {
		clear(x.read)
	}
	return added
}

// counts are how many values of each type one operation masked. They belong to
// the goroutine that the operation's data flows in.
type counts struct {
	list []Count
	mu   sync.Mutex // two streams of one operation
}

func (c *counts) add(t Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if c.list[i].Type == t {
			c.list[i].N++
			return
		}
	}
	c.list = append(c.list, Count{t, 1})
}

func (c *counts) addAll(other *counts) {
	for _, n := range other.list {
		for range n.N {
			c.add(n.Type)
		}
	}
}

// safeEncodings are the beginnings of the names of client encodings in which a
// byte below 128 is that ASCII character wherever it stands.
var safeEncodings = []string{"utf", "unicode", "sql_ascii", "sqlascii", "latin", "iso", "win", "koi8", "euc", "default", "alt", "abc", "tcvn", "mule"}

// ask refuses what could not be masked.
func (x *session) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	switch op.Info().Kind {
	case proxy.KindConnect:
		x.view.tellExceptions(ctx, x.session, op)
		if c, ok := op.(*proxy.Connect); ok {
			if name, set := c.Params["client_encoding"]; set && !safeEncoding(name) {
				return refuseEncoding
			}
		}
		return proxy.Pass()
	case proxy.KindFunction:
		return proxy.Deny(proxy.CauseMasking, "", "the result of a function that is called by number cannot be masked", "Call it in a statement.")
	case proxy.KindReplication:
		return proxy.Deny(proxy.CauseMasking, "", "a database's log cannot be masked", "")
	case proxy.KindStatement, proxy.KindPrepare:
	default:
		return proxy.Pass()
	}
	st, ok := op.(*proxy.Statement)
	if !ok {
		return proxy.Pass()
	}
	if st.Facts != nil {
		for _, set := range st.Facts.Settings {
			if set.Name == "client_encoding" && set.Value != "" && !safeEncoding(set.Value) {
				return refuseEncoding
			}
		}
	}
	m := x.learn(ctx, st)
	if st.Facts != nil && st.Facts.Effects.Has(proxy.EffectCopyProgram) && !m.in {
		return proxy.Deny(proxy.CauseMasking, "", "rows that the server writes to a file or a program cannot be masked", "Copy to the client: COPY ... TO STDOUT.")
	}
	if x.view.mode == Strict {
		if v := x.strictly(st.Facts, m); v.Refuses() {
			return v
		}
	}
	if m.keeps || m.aside {
		x.mu.Lock()
		x.kept.add(m)
		clear(x.read) // what was made counts from now on
		x.mu.Unlock()
	}
	return proxy.Pass()
}

var refuseEncoding = proxy.Deny(proxy.CauseMasking, "", "text in this client encoding cannot be masked", "Use UTF8.")

func safeEncoding(name string) bool {
	name = strings.ToLower(strings.Trim(name, `'"`))
	return slices.ContainsFunc(safeEncodings, func(p string) bool { return strings.HasPrefix(name, p) })
}

// flow masks the data of op.
func (x *session) flow(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	if shape.Inbound {
		return x.inbound(op, shape), nil
	}
	switch shape.Kind {
	case proxy.ShapeRows, proxy.ShapeCopy:
		return x.rows(op, shape)
	case proxy.ShapeStream:
		if shape.Media == "file" {
			return proxy.Filter{}, nil // its bytes have places; see docs/masking.md
		}
		return x.view.stream(x.count(op), shape, &x.seen, x.typedIn(op)), nil
	case proxy.ShapeBody:
		return x.view.body(x.count(op), shape, &x.seen), nil
	}
	return proxy.Filter{}, fmt.Errorf("data of kind %d cannot be masked", shape.Kind)
}

var errCopyNames = errors.New("a COPY that does not name its columns cannot be masked: list them, as in COPY t (a, b) TO STDOUT or COPY (SELECT a, b FROM t) TO STDOUT")

func (x *session) rows(op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	if shape.Kind == proxy.ShapeCopy && len(shape.Columns) == 0 {
		return proxy.Filter{}, errors.New("the rows of this COPY cannot be told apart, so they cannot be masked")
	}
	if len(shape.Columns) == 0 {
		return proxy.Filter{}, nil
	}
	m := &mentions{}
	if st, ok := op.(*proxy.Statement); ok {
		m = x.mentions(st.Text)
		names, query := copyColumns(st.Text)
		if shape.Kind == proxy.ShapeCopy && len(names) != len(shape.Columns) && shape.Columns[0].Name == "" && (m.star || !query) {
			return proxy.Filter{}, errCopyNames
		}
	}
	f := &rows{inspector: newInspector(x.view, &x.seen), counts: x.count(op)}
	x.mu.Lock()
	f.keys = x.learned
	f.columns = x.view.decide(x.session.Protocol, op, shape, m, &x.kept)
	x.mu.Unlock()
	return proxy.Filter{Row: f.row}, nil
}

// inbound notes what a user types into a terminal.
func (x *session) inbound(op proxy.Op, shape *proxy.Shape) proxy.Filter {
	t := x.typedIn(op)
	if t == nil || shape.Kind != proxy.ShapeStream {
		return proxy.Filter{}
	}
	return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
		t.add(src)
		return append(dst, src...), nil
	}}
}

// typedIn returns what is typed in op; nil when it has no terminal.
func (x *session) typedIn(op proxy.Op) *typed {
	e, ok := op.(*proxy.Exec)
	if !ok || !e.Terminal {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.typing[e.ID]
	if t == nil {
		if x.typing == nil {
			x.typing = map[uint64]*typed{}
		}
		t = &typed{}
		x.typing[e.ID] = t
	}
	return t
}

// count returns the counts of op.
func (x *session) count(op proxy.Op) *counts {
	if op == nil {
		return &counts{}
	}
	id := op.Info().ID
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.counts[id]
	if c == nil {
		c = &counts{}
		x.counts[id] = c
	}
	return c
}

// made notes what a statement that ran has made of masked columns.
func (x *session) made(st *proxy.Statement, out *proxy.Outcome) {
	const may = proxy.EffectsWrite | proxy.EffectsDDL | proxy.EffectCall | proxy.EffectDo | proxy.EffectExecute | proxy.EffectUnknown
	if st.Facts != nil && !st.Facts.Effects.Has(may) || strings.HasSuffix(out.Tag, " 0") { // no rows
		return
	}
	m := x.mentions(st.Text)
	if x.view.writes(st.Facts, m, &x.kept) {
		return
	}
	if m.keeps && len(m.lasts) > 0 && (m.any || m.star || m.made || m.copies) {
		x.kept.shared.add(m.lasts)
	}
}

// done tells how much was masked, and notes what an operation made of masked
// columns.
func (x *session) done(ctx context.Context, op proxy.Op, out *proxy.Outcome) {
	if st, ok := op.(*proxy.Statement); ok && out.Err == nil && st.Kind == proxy.KindStatement && (out.Verdict == nil || !out.Verdict.Refuses()) {
		x.made(st, out)
	}
	id := op.Info().ID
	x.mu.Lock()
	c := x.counts[id]
	delete(x.counts, id)
	delete(x.typing, id)
	x.mu.Unlock()
	if c == nil || x.view.masker.counted == nil {
		return
	}
	c.mu.Lock()
	list := slices.Clone(c.list)
	c.mu.Unlock()
	if len(list) > 0 {
		x.view.masker.counted(ctx, x.session, op, list)
	}
}
