package detect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sallyport/sallyport/detect/internal/prose"
)

// Detector finds sensitive values. It is immutable and safe for concurrent use.
type Detector struct {
	triggers *triggers
	nodes    []shapeNode
	numerals numerals
	patterns [2][maxWord + 1][]pattern // by how many digits, or letters, they begin with
	runs     [2][maxWord + 1]uint32    // the lengths of the runs of letters and digits that they begin with, as bits
	spaced   [maxWord + 1]bool         // whether a pattern that begins with so many digits goes on with a space
	literals []literal
	words    *wordTable
	without  []Type
	types    map[Type]struct{}
	prose    *prose.Model // nil when no names in prose are looked for
	customs  []*custom
	named    map[string]Type // what the names of columns say beside the common ones
	scans    sync.Pool

	contexts, contextWords int // taken by patterns
}

// shapeNode is a node of the tree of shapes, whose edges are lengths of groups.
type shapeNode struct {
	next  [20]uint16
	rules []shapeRule
}

type shapeRule struct {
	seps    string // one a group after the first; "~" first: uniform
	weak    bool
	checked bool // its values have a check that few others pass
	typ     Type
	digits  func([]byte) bool
	context Topics
	score   uint8
}

type pattern struct {
	form    string
	weak    bool
	checked bool // as in shapeRule
	typ     Type
	valid   func(w, digits []byte) bool
	context Topics
	score   uint8
}

type literal struct {
	text  string
	prior string // the bytes of which one stands before it; "": any
	front [256]bool
	least int // bytes of front before text
	body  [256]bool
	min   int
	max   int // 0: exactly min
	check func([]byte) bool
	typ   Type
	score uint8
	own   func(s *scan, start, end int) int // instead of what is above: looks at the place and returns where to go on, or start
}

// Config chooses what is looked for. The zero value is the full set.
type Config struct {
	Without     []Type       // types that are not looked for
	Recognizers []Recognizer // further ones
	Patterns    []Pattern    // further ones, by regular expression
}

// New compiles a Detector. It fails when a declaration is malformed.
func New(c Config) (*Detector, error) {
	p := &Detector{nodes: make([]shapeNode, 1, 256), words: newWordTable(), without: slices.Clone(c.Without)}
	for _, narrow := range [...]Type{LocalIP, LocalMAC} {
		if !p.wants(narrow.Wider()) {
			p.without = append(p.without, narrow)
		}
	}
	p.types = map[Type]struct{}{Email: {}, IP: {}, MAC: {}, LocalIP: {}, LocalMAC: {}, IBAN: {}, Crypto: {}, Password: {}, Secret: {}, PrivateKey: {}}
	all := slices.Concat(numberRecognizers(), wordRecognizers(), secretRecognizers(), verifierRecognizers(), c.Recognizers)
	for i := range all {
		if p.wants(all[i].Type) {
			p.types[all[i].Type] = struct{}{}
			if err := p.add(&all[i]); err != nil {
				return nil, fmt.Errorf("recognizer %q: %w", all[i].Type, err)
			}
		}
	}
	if p.wants(Password) || p.wants(Secret) {
		flag := func(s *scan, start, end int) int { return s.flagged(end) }
		option := func(s *scan, start, _ int) int { return s.command(start + 1) }
		set := func(s *scan, _, end int) int { return s.set(end) }
		for _, key := range []string{"_PASSWORD ", "_PASS ", "_PWD ", "_TOKEN ", "_KEY ", "_SECRET "} {
			if err := p.literal(literal{text: key, own: set}); err != nil {
				return nil, err
			}
		}
		for _, l := range []literal{{text: "--", prior: "\x00 \n\"'", own: flag}, {text: "ENV ", own: flag}, {text: " -u", own: option}, {text: " -p", own: option}, {text: " -a ", own: option}} {
			if err := p.literal(l); err != nil {
				return nil, err
			}
		}
		for _, l := range tellers {
			if err := p.literal(l); err != nil {
				return nil, err
			}
		}
	}
	for i := range c.Patterns {
		if err := p.addPattern(&c.Patterns[i]); err != nil {
			return nil, fmt.Errorf("recognizer %q: %w", c.Patterns[i].Type, err)
		}
	}
	for _, t := range proseTypes {
		if p.wants(t) {
			p.types[t] = struct{}{}
			p.prose = prose.Default()
		}
	}
	p.index()
	p.scans.New = func() any { return &scan{plan: p} }
	return p, nil
}

// Default returns the Detector with the full set. It is made once.
func Default() *Detector { return defaultDetector() }

var defaultDetector = sync.OnceValue(func() *Detector {
	p, err := New(Config{})
	if err != nil {
		panic("detect: the default set does not compile: " + err.Error())
	}
	return p
})

// Find appends the findings in src to dst and returns it: in order, not
// overlapping. It goes over src once, in time that is linear for any input,
// keeps no reference to src, and allocates only when dst grows.
func (p *Detector) Find(dst []Finding, src []byte) []Finding { return p.FindNamed(dst, src, 0) }

// FindNamed is Find for the value of a column or field whose name is about
// topics; see [Detector.Topics].
func (p *Detector) FindNamed(dst []Finding, src []byte, topics Topics) []Finding {
	s := p.scans.Get().(*scan)
	dst = s.run(dst, src, topics)
	s.src, s.out = nil, nil
	p.scans.Put(s)
	return dst
}

// finds reports whether there is a finding in src. It goes over src no farther than to
// the first.
func (p *Detector) finds(src []byte) bool {
	s := p.scans.Get().(*scan)
	s.once = true
	found := len(s.run(s.room[:0], src, 0)) > 0
	s.src, s.out, s.once = nil, nil, false
	p.scans.Put(s)
	return found
}

// Topics returns what the name of a column or field says about its values.
func (p *Detector) Topics(name string) Topics {
	topics := p.words.topics(name)
	if name == "text" || name == "v" { // what a cast is called, and anything
		topics = 0
	}
	if within(thingNames, []byte(lastWord(name))) {
		topics |= aboutThing
	}
	return topics
}

// Knows reports whether values of type t are found, or columns of that type by
// their names.
func (p *Detector) Knows(t Type) bool {
	if _, ok := p.types[t]; ok {
		return true
	}
	for _, named := range nameHints {
		if named == t && t != "" {
			return true
		}
	}
	return false
}

func (p *Detector) wants(t Type) bool { return !slices.Contains(p.without, t) }

var errMalformed = errors.New("malformed declaration")

func (p *Detector) add(r *Recognizer) error {
	if r.Type == "" || r.Score == 0 || r.Score > 100 {
		return errMalformed
	}
	for weak, shapes := range map[bool][]string{false: r.Shapes, true: r.Weak} {
		for _, s := range shapes {
			if err := p.shape(s, shapeRule{weak: weak, checked: checked(r.Type), typ: r.Type, digits: r.Digits, context: r.Context, score: r.Score}); err != nil {
				return err
			}
		}
	}
	for weak, forms := range map[bool][]string{false: r.Words, true: r.WeakWords} {
		for _, s := range forms {
			if len(s) < 4 || len(s) > maxWord {
				return errMalformed
			}
			x := pattern{form: s, weak: weak, checked: checked(r.Type), typ: r.Type, valid: r.Word, context: r.Context, score: r.Score}
			p.pattern(x)
		}
	}
	for _, x := range r.Prefixes {
		if len(x.Literal) < 2 || x.Min < 0 || x.Least < 0 || x.Least > maxRun || x.Max != 0 && x.Max < x.Min {
			return errMalformed
		}
		l := literal{text: x.Literal, least: x.Least, min: x.Min, max: x.Max, check: x.Check, typ: r.Type, score: r.Score}
		if err := errors.Join(byteClass(&l.body, x.Body), byteClass(&l.front, x.Before)); err != nil {
			return err
		}
		if err := p.literal(l); err != nil {
			return err
		}
	}
	return nil
}

// maxContextWords bounds the words that patterns add to the table.
const maxContextWords = wordSlots / 4

// addPattern adds a recognizer by pattern, with its context words and the names
// of its columns.
func (p *Detector) addPattern(c *Pattern) error {
	topic := Topics(0)
	if len(c.Context) > 0 {
		if topic = firstFree << p.contexts; topic == 0 {
			return errors.New("too many recognizers with context words")
		}
		p.contexts++
		for _, w := range c.Context {
			w = flatName(w)
			if p.contextWords++; w == "" || p.contextWords > maxContextWords {
				return fmt.Errorf("context word %q: want letters, and %d words at most", w, maxContextWords)
			}
			p.words.add(w, topic)
		}
	}
	x, err := c.compile(topic)
	if err != nil {
		return err
	}
	for _, name := range c.Columns {
		flat := flatName(name)
		if flat == "" {
			return fmt.Errorf("column %q has no letters", name)
		}
		if p.named == nil {
			p.named = map[string]Type{}
		}
		p.named[flat] = c.Type
	}
	p.types[c.Type] = struct{}{}
	if p.wants(c.Type) && (x.re != nil || len(x.words) > 0) {
		p.customs = append(p.customs, x)
	}
	return nil
}

// flatName is name in lower case with its letters only.
func flatName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// pattern enters x under every run of digits, or of letters, that it can begin
// with.
func (p *Detector) pattern(x pattern) {
	run := 0 // of letters and digits
	for run < len(x.form) && isAlnum(x.form[run]) {
		run++
	}
	enter := func(kind, n int) {
		p.patterns[kind][n] = append(p.patterns[kind][n], x)
		p.runs[kind][n] |= 1 << run
	}
	for kind, class := range [...]byte{'9', 'A'} {
		n := 0
		for n < len(x.form) && (x.form[n] == class || class == 'A' && isUpper(x.form[n]) && x.form[n] != 'X') {
			n++
		}
		if n < len(x.form) && x.form[n] == 'X' { // which may go on with the run
			for ; n <= maxWord; n++ {
				enter(kind, n)
			}
		} else if n > 0 {
			enter(kind, n)
			p.spaced[n] = p.spaced[n] || n < len(x.form) && x.form[n] == ' '
		}
	}
}

// shape adds a rule at the end of its path of group lengths.
func (p *Detector) shape(s string, r shapeRule) error {
	at := 0
	for s != "" {
		n := 0
		for s != "" && isDigit(s[0]) {
			n = n*10 + int(s[0]-'0')
			s = s[1:]
		}
		if n < 1 || n >= len(p.nodes[0].next) {
			return errMalformed
		}
		if s != "" {
			r.seps += s[:1]
			if s = s[1:]; s == "" {
				return errMalformed
			}
		}
		next := int(p.nodes[at].next[n])
		if next == 0 {
			next = len(p.nodes)
			p.nodes = append(p.nodes, shapeNode{})
			p.nodes[at].next[n] = uint16(next)
		}
		at = next
	}
	p.nodes[at].rules = append(p.nodes[at].rules, r)
	return nil
}

// literal adds l. One that stands in the midst of a word behind a digit is not
// found, since such words are gone over at their digit.
func (p *Detector) literal(l literal) error {
	digit := l.least > 0
	for i := 0; i < len(l.text); i++ {
		if c := l.text[i]; !isAlnum(c) || !digit && !isDigit(c) {
			p.literals = append(p.literals, l)
			return nil
		}
		digit = true
	}
	return errMalformed
}

// index makes the lists of literals, the longest first, and what is known of plain numbers.
func (p *Detector) index() {
	p.numerals = numeralsOf(p.nodes, p.literals)
	slices.SortStableFunc(p.literals, func(a, b literal) int { return cmp.Compare(len(b.text), len(a.text)) })
	p.triggers = newTriggers()
	p.triggers.add(p.literals)
}

// byteClass fills t from a class such as "A-Za-z0-9_-".
func byteClass(t *[256]bool, class string) error {
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			if class[i] > class[i+2] {
				return errMalformed
			}
			for c := int(class[i]); c <= int(class[i+2]); c++ {
				t[c] = true
			}
			i += 2
			continue
		}
		t[class[i]] = true
	}
	return nil
}
