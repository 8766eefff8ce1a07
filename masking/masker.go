package masking

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Config says what is masked. With the zero value every session's results are
// scanned, columns whose names say what they hold are masked whole, and both
// are masked in part.
type Config struct {
	// Rules are added to the default set, which one without columns and types
	// replaces.
	Rules []Rule
	// Tags are columns by tag, as in [Rule.Columns].
	Tags map[string][]string
	// Trusted are functions of the database whose results hold nothing that is
	// masked: "function" or "schema.function", patterns as in path.Match. What other
	// functions return that are not the server's own is masked whole, unless it
	// holds columns that are known.
	Trusted []string
	// Unmasked are groups that see everything, in sessions without a profile.
	Unmasked []string
	// Profiles are the profiles of masking that a session has, besides what applies to
	// everybody; see [Rule.Profile]. It is asked when a session begins, and when a revision
	// brings the masker. Nil: none.
	Profiles func(s *proxy.Session) []string
	// Key is the secret of hashes, pseudonyms, tokens and encryption, at least 16
	// bytes. Maskers with one key show one value in one way. Nil is a random key,
	// which is forgotten with the process; what is to be turned back, and
	// pseudonyms, need one that is given.
	Key []byte
	// Detokenise are groups that may turn tokens back.
	Detokenise []string
	// Detector finds values in text. Nil is [detect.Default].
	Detector *detect.Detector
	// Sampler looks at columns of which results are computed, so that what they hold
	// is known although no name says it. What it cannot look at is masked whole. Nil:
	// only names and what is returned say what a column holds.
	Sampler Sampler
	// External are analyzers outside of the process that are asked, too.
	External []External
	// Memory is where columns of databases are remembered that masked data was copied
	// to, and what was found in columns. Maskers that take each other's place share it. Nil is a memory of the
	// masker's own.
	Memory *Memory
}

// count is a number of masked values.
type count struct {
	typ detect.Type
	n   uint64
}

// Masker masks what flows to clients. It is a [proxy.Interceptor], immutable and
// safe for concurrent use. How many values of each type an operation masked, and
// which rules' exceptions a session sees data by, it leaves as notes.
type Masker struct {
	rules    []Rule
	columns  [][]columnRule // by rule
	unmasked []string
	keys     *keys
	detector *detect.Detector
	memory   *Memory
	samples  samples
	trusted  []columnRule // as relation and column
	profiles func(s *proxy.Session) []string
	external []external

	detokenise []string
}

// New returns a masker, or an error that names the rule that is wrong.
func New(c Config) (*Masker, error) {
	m := &Masker{
		rules: slices.Clone(c.Rules), unmasked: slices.Clone(c.Unmasked), detector: c.Detector,
		detokenise: slices.Clone(c.Detokenise), memory: c.Memory, profiles: c.Profiles,
	}
	if m.memory == nil {
		m.memory = &Memory{}
	}
	if m.detector == nil {
		m.detector = detect.Default()
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
	m.samples = samples{sampler: c.Sampler, detector: m.detector, memory: m.memory, now: time.Now}
	for i := range c.External {
		e, err := c.External[i].compile()
		if err != nil {
			return nil, fmt.Errorf("masking: external analyzer: %w", err)
		}
		m.external = append(m.external, e)
	}
	known := m.detector.Knows
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

// Notes says that the masker leaves notes of what it masks and of users that it does not
// mask it for, and of what clients send where a rule only observes that.
func (m *Masker) Notes() []proxy.NoteKind {
	kinds := []proxy.NoteKind{proxy.NoteMasked, proxy.NoteExempted}
	if slices.ContainsFunc(m.rules, func(r Rule) bool { return r.WriteBack == WriteBackObserve || r.Requests == RequestsObserve }) {
		kinds = append(kinds, proxy.NoteObserved)
	}
	return kinds
}

// Intercept implements [proxy.Interceptor].
func (m *Masker) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	var profiles []string
	if m.profiles != nil {
		profiles = m.profiles(s)
	}
	v := m.view(s.Identity, s.Target.Resource, profiles...)
	v.target = &s.Target
	v.spread = &m.memory.at(&s.Target).spread
	kept, ok := s.Earlier(m.Name()).(*past)
	if !ok {
		kept = &past{}
	}
	kept.begin(v.spread, s.TakenOver())
	show := m.show(s, profiles, kept)
	unmasked := len(profiles) == 0 && s.Identity.Kind != proxy.Agent && slices.ContainsFunc(m.unmasked, s.Identity.In)
	if unmasked && !v.idle() {
		v.without = append(v.without, "unmasked")
	}
	if unmasked || v.idle() {
		h := proxy.Hooks{State: kept, Show: show, Conceal: m.concealing(s)}
		if len(v.without) > 0 {
			h.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict { return v.noteExceptions(ctx, s, op) }
		}
		return h, nil
	}
	x := &session{session: s, view: v, past: kept, counts: map[uint64]*counts{}, read: map[string]*mentions{}}
	h := proxy.Hooks{Ask: x.ask, Start: x.start, Flow: x.flow, Tell: x.tell, Done: x.done, Show: show, Conceal: m.concealing(s), State: kept}
	if v.requests != nil {
		h.Bind, h.Redact = x.bind, x.redact
	}
	return h, nil
}

// show returns how rows are masked that others than the session's user are shown: as for
// anybody.
func (m *Masker) show(s *proxy.Session, profiles []string, kept *past) func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
	return func(ctx context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		v := m.view(nil, s.Target.Resource, profiles...)
		v.target, v.spread = &s.Target, &m.memory.at(&s.Target).spread
		if v.idle() {
			return proxy.Filter{}, nil
		}
		x := &session{session: s, view: v, past: kept, counts: map[uint64]*counts{}, read: map[string]*mentions{}}
		if st, ok := op.(*proxy.Statement); ok {
			x.learn(ctx, st)
		}
		return x.flow(ctx, op, shape)
	}
}

// noteExceptions notes the rules that do not apply to the session that op opens.
func (v *view) noteExceptions(ctx context.Context, s *proxy.Session, op proxy.Op) proxy.Verdict {
	if op.Info().Kind != proxy.KindConnect {
		return proxy.Pass()
	}
	for _, rule := range v.without {
		if err := s.Note(ctx, op, &proxy.Note{Kind: proxy.NoteExempted, By: v.masker.Name(), Rule: rule}); err != nil {
			return proxy.Deny(proxy.CauseInternal, rule, "this session is refused because the gateway could not record that it sees unmasked data", "")
		}
	}
	return proxy.Pass()
}

// past is what a session remembers of its operations. The maskers of all revisions
// share it.
type past struct {
	mu   sync.Mutex // held by the session that uses it
	kept memory
	seen remembered // in masked columns
}

// begin has a masker use what is remembered. With takenOver the session is open.
func (p *past) begin(shared *spread, takenOver bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept.shared = shared
	if takenOver {
		p.kept.foreign, p.kept.since = true, nil
	}
}

// session is the masker's part in one session.
type session struct {
	session *proxy.Session
	view    *view
	*past   // its mu guards what follows, too

	counts map[uint64]*counts   // of operations whose data flows, by their ID
	read   map[string]*mentions // by the statement's text, with its numbers as zeros
	shape  []byte
	// learned are the names of columns that were found to hold what is masked, in
	// lower case. The map is never changed, but replaced.
	learned map[string]struct{}
	known   uint64 // the version of what others made, as of read

	making map[uint64]*mentions // by operation, of statements that make something

	typing map[uint64]*typed // by operation
	filled filled
	// copies are the columns that COPYs from the client fill, by operation.
	copies map[uint64][]target
	// asked are what was found in requests, by operation.
	asked map[uint64]*request
	// notes are left when the data has come in which rules observe something, by operation.
	notes map[uint64]*laterNotes
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
	if len(text) <= maxText {
		x.shape = appendShape(x.shape[:0], text)
		text = x.shape
	}
	if m := x.read[string(text)]; m != nil {
		return m
	}
	made, own, copies, foreign := false, false, false, x.kept.foreign
	others := false
	m := read(text, func(name string) (detect.Type, bool) {
		others = others || !x.kept.judged(name)
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
	m.made, m.copies, m.foreign = made, copies, foreign && m.runs && others
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
	note := func(column string, t detect.Type) {
		if x.view.transform(t) != Visible {
			names = append(names, column)
		}
	}
	samples.before(ctx, x.session, st.Facts)
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
	list []count
	mu   sync.Mutex // two streams of one operation
}

func (c *counts) add(t detect.Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if c.list[i].typ == t {
			c.list[i].n++
			return
		}
	}
	c.list = append(c.list, count{t, 1})
}

func (c *counts) addAll(other *counts) {
	for _, n := range other.list {
		for range n.n {
			c.add(n.typ)
		}
	}
}

// safeEncodings are the beginnings of the names of client encodings in which a
// byte below 128 is that ASCII character wherever it is.
var safeEncodings = []string{"utf", "unicode", "sql_ascii", "sqlascii", "latin", "iso", "win", "koi8", "euc", "default", "alt", "abc", "tcvn", "mule"}

// ask refuses what could not be masked.
func (x *session) ask(ctx context.Context, op proxy.Op) proxy.Verdict {
	switch op.Info().Kind {
	case proxy.KindConnect:
		if c, ok := op.(*proxy.Connect); ok {
			if name, set := c.Params["client_encoding"]; set && !safeEncoding(name) {
				return refuseEncoding
			}
		}
		return x.view.noteExceptions(ctx, x.session, op)
	case proxy.KindFunction:
		return proxy.Deny(proxy.CauseMasking, "", "the result of a function that is called by number cannot be masked", "Call it in a statement.")
	case proxy.KindReplication:
		return proxy.Deny(proxy.CauseMasking, "", "a database's log cannot be masked", "")
	case proxy.KindStatement, proxy.KindPrepare:
	default:
		return x.sends(ctx, op)
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
	if v := x.view.moves(st.Facts); v.Refuses() {
		return v
	}
	if x.view.mode == Strict {
		if v := x.strictly(st.Facts, m); v.Refuses() {
			return v
		}
	}
	sent := x.sent(ctx, st)
	if sent.Refuses() {
		return sent
	}
	x.explain(ctx, st, m)
	if m.aside || m.keeps && !followed(st.Facts) {
		x.mu.Lock()
		if x.making == nil {
			x.making = map[uint64]*mentions{}
		}
		x.making[st.ID] = m
		x.mu.Unlock()
	}
	return sent
}

// followed reports whether what a statement makes and fills is known by its facts, so
// that its words are not needed.
func followed(f *proxy.Facts) bool {
	return f != nil && f.Resolved && f.Unknown == "" && !f.Effects.Has(proxy.EffectPrepare)
}

// start takes in what a statement that is about to run makes of masked columns.
func (x *session) start(_ context.Context, op proxy.Op) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m := x.making[op.Info().ID]; m != nil {
		x.kept.add(m)
		clear(x.read) // what was made counts from now on
	}
	return nil
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
		return proxy.Filter{}, errors.New("the gateway cannot separate the rows of this COPY, so they cannot be masked")
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
	f.columns = x.view.decide(op, shape, m, &x.kept)
	x.mu.Unlock()
	return proxy.Filter{Row: f.row}, nil
}

// inbound notes what a user types into a terminal, and looks at what a client sends into
// COPYs, commands and files.
func (x *session) inbound(op proxy.Op, shape *proxy.Shape) proxy.Filter {
	if st, ok := op.(*proxy.Statement); ok {
		return x.copiedIn(st, shape)
	}
	t, sent := x.typedIn(op), x.newSentStream(op, shape)
	if t == nil && sent == nil || shape.Kind != proxy.ShapeStream {
		return proxy.Filter{}
	}
	return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
		if sent != nil {
			if err := sent.see(src); err != nil {
				return dst, err
			}
		}
		if t != nil {
			t.add(src)
		}
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

// judged notes that what a statement has made is what this masker has seen.
func (x *session) judged(st *proxy.Statement) {
	x.mu.Lock()
	foreign := x.kept.foreign
	x.mu.Unlock()
	if !foreign {
		return
	}
	m := x.mentions(st.Text)
	if len(m.makes) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range m.makes {
		x.kept.since = with(x.kept.since, name)
	}
	clear(x.read)
}

// done notes how much was masked, and what an operation made of masked
// columns.
func (x *session) done(ctx context.Context, op proxy.Op, out *proxy.Outcome) {
	if st, ok := op.(*proxy.Statement); ok && out.Err == nil && st.Kind == proxy.KindStatement && (out.Verdict == nil || !out.Verdict.Refuses()) {
		x.made(st, out)
		x.judged(st)
		x.view.masker.samples.changed(&x.session.Target, st.Facts)
	}
	id := op.Info().ID
	x.mu.Lock()
	c := x.counts[id]
	delete(x.counts, id)
	delete(x.typing, id)
	delete(x.making, id)
	delete(x.copies, id)
	delete(x.asked, id)
	notes := x.notes[id]
	delete(x.notes, id)
	x.mu.Unlock()
	notes.leave(ctx, x, op)
	if c == nil {
		return
	}
	c.mu.Lock()
	list := c.list
	c.list = nil
	c.mu.Unlock()
	for _, n := range list {
		// A note that cannot be kept has ended the session.
		_ = x.session.Note(ctx, op, &proxy.Note{Kind: proxy.NoteMasked, By: x.view.masker.Name(), Type: string(n.typ), Count: n.n})
	}
}
