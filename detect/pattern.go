package detect

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern declares values by a regular expression, a list of words, or both. Its
// text is gone over for them after the rest of the scan, and only where it has
// one of the literals that the expression cannot do without. Of two findings
// that meet, the surer stays.
type Pattern struct {
	Type Type
	// Regexp is in RE2's syntax. When it has a group named value, that is the
	// value, else the whole match is.
	Regexp string
	// Words are values by themselves, in any case, between bytes that belong to no
	// word.
	Words []string
	// Validator checks the digits and letters of a value: see [Validators]. Empty
	// means no check.
	Validator string
	// Context are words, one of which must come before a value or in the name of
	// its column or field. None means no condition.
	Context []string
	// Columns are names of columns, and keys of structured text, whose values are of
	// the type as a whole, whatever they look like: as in employee_id.
	Columns []string
	// Score is the certainty, 1–100; 0 is 85.
	Score uint8
}

// Validators are the checks that a [Pattern] can name.
var validators = map[string]func(v []byte) bool{
	"luhn":      byDigits(2, func(d []byte) bool { return luhn(d) }),
	"verhoeff":  byDigits(2, verhoeff),
	"mod11_10":  byDigits(2, iso7064mod11and10),
	"mod97":     mod97,
	"not_equal": byDigits(1, func(d []byte) bool { return !uniform(d) }),
	"date":      byDigits(8, func(d []byte) bool { return len(d) == 8 && (validYearFirst(d) || validYearLast(d)) }),
	"mixed":     mixed,
	"random":    random,
}

// Validators returns the names of the checks that a [Pattern] can have.
func Validators() []string {
	names := make([]string, 0, len(validators))
	for n := range validators {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// byDigits checks the digits of a value, of which there must be least.
func byDigits(least int, valid func(d []byte) bool) func(v []byte) bool {
	return func(v []byte) bool {
		var d [maxDigits]byte
		n := 0
		for _, c := range v {
			if isDigit(c) {
				if n == len(d) {
					return false
				}
				d[n] = c - '0'
				n++
			}
		}
		return n >= least && valid(d[:n])
	}
}

// mod97 is the check of ISO 7064 MOD 97-10 over letters and digits, with two
// check digits at the end, or after a country as in an IBAN.
func mod97(v []byte) bool {
	plain := make([]byte, 0, 64)
	for _, c := range v {
		if isAlnum(c) {
			plain = append(plain, upper(c))
		}
	}
	if len(plain) < 5 {
		return false
	}
	if isUpper(plain[0]) && isUpper(plain[1]) {
		plain = append(plain[4:], plain[:4]...)
	}
	rest := 0
	for _, c := range plain {
		n := int(c - '0')
		if !isDigit(c) {
			n = int(c-'A') + 10
		}
		rest = appendMod97(rest, n)
	}
	return rest == 1
}

// leastMatch is the least number of characters of what a pattern may match: what
// is shorter is everywhere.
const leastMatch = 3

// custom is a compiled Pattern.
type custom struct {
	typ      Type
	re       *regexp.Regexp
	group    int
	literals [][]byte // one of them is in every match; nil when none can be told
	folded   bool     // they are in lower case, and matched in any
	words    map[string]struct{}
	longest  int // of words, in bytes
	starts   [256]bool
	valid    func(v []byte) bool
	context  Topics
	score    uint8
}

// compile checks c and makes it ready. topic is the topic of its context.
func (c *Pattern) compile(topic Topics) (*custom, error) {
	if c.Type == "" || strings.ContainsAny(string(c.Type), " \t\n[]") {
		return nil, fmt.Errorf("%q is not the name of a type", c.Type)
	}
	if c.Regexp == "" && len(c.Words) == 0 && len(c.Columns) == 0 {
		return nil, errors.New("a recognizer needs a pattern, words or columns")
	}
	if c.Score > 100 {
		return nil, errors.New("a score must be at most 100")
	}
	x := &custom{typ: c.Type, score: c.Score, words: map[string]struct{}{}}
	if x.score == 0 {
		x.score = 85
	}
	if len(c.Context) > 0 {
		x.context = topic
	}
	if c.Validator != "" {
		if x.valid = validators[c.Validator]; x.valid == nil {
			return nil, fmt.Errorf("unknown validator %q: want one of %s", c.Validator, strings.Join(Validators(), ", "))
		}
		if c.Regexp == "" && len(c.Words) == 0 {
			return nil, errors.New("a validator needs a pattern or words")
		}
	}
	for _, w := range c.Words {
		w = strings.ToLower(w)
		if utf8.RuneCountInString(w) < leastMatch-1 || strings.TrimSpace(w) != w || strings.Contains(w, "\n") {
			return nil, fmt.Errorf("word %q: want at least two characters, without space around them", w)
		}
		if x.valid != nil && !x.valid([]byte(w)) {
			return nil, fmt.Errorf("word %q does not pass validator %s", w, c.Validator)
		}
		x.words[w] = struct{}{}
		x.longest = max(x.longest, len(w))
		x.starts[w[0]] = true
		x.starts[upper(w[0])] = true
	}
	if c.Regexp == "" {
		return x, nil
	}
	tree, err := syntax.Parse(c.Regexp, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	if x.re, err = regexp.Compile(c.Regexp); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	value := tree
	if x.group = x.re.SubexpIndex("value"); x.group < 0 {
		x.group = 0
	} else if value = named(tree, "value"); value == nil {
		return nil, errors.New("pattern: the group named value never matches")
	}
	switch n := least(value); {
	case never(tree):
		return nil, errors.New("pattern matches nothing")
	case n == 0:
		return nil, errors.New("pattern matches the empty text")
	case n < leastMatch:
		return nil, fmt.Errorf("pattern matches texts of %d characters: want at least %d", n, leastMatch)
	}
	x.literals, x.folded = required(tree.Simplify())
	return x, nil
}

// named returns the part of a pattern that is the group of that name.
func named(re *syntax.Regexp, name string) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Name == name {
		return re.Sub[0]
	}
	for _, sub := range re.Sub {
		if x := named(sub, name); x != nil {
			return x
		}
	}
	return nil
}

// never reports whether re matches nothing, as an empty class does.
func never(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return true
	case syntax.OpCharClass:
		return len(re.Rune) == 0
	case syntax.OpCapture, syntax.OpPlus:
		return never(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min > 0 && never(re.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, never)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !never(sub) })
	}
	return false
}

// least returns how many characters a match of re has at least, up to leastMatch.
func least(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpCapture, syntax.OpPlus:
		n = least(re.Sub[0])
	case syntax.OpRepeat:
		n = re.Min * least(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n += least(sub)
		}
	case syntax.OpAlternate:
		n = leastMatch
		for _, sub := range re.Sub {
			n = min(n, least(sub))
		}
	}
	return min(n, leastMatch)
}

// required returns literals one of which every match of re has, or nil; folded
// says that they are in lower case and match in any.
func required(re *syntax.Regexp) (literals [][]byte, folded bool) {
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 {
			for _, r := range text {
				if r >= utf8.RuneSelf { // whose cases are of different lengths
					return nil, false
				}
			}
			return [][]byte{[]byte(strings.ToLower(text))}, true
		}
		return [][]byte{[]byte(text)}, false
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		best := 0
		for _, sub := range re.Sub {
			l, f := required(sub)
			if n := weakest(l); n > best {
				best, literals, folded = n, l, f
			}
		}
		return literals, folded
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			l, f := required(sub)
			if l == nil || i > 0 && f != folded || len(literals)+len(l) > 16 {
				return nil, false
			}
			literals, folded = append(literals, l...), f
		}
		return literals, folded
	}
	return nil, false
}

// weakest is the length of the leastMatch literal.
func weakest(literals [][]byte) int {
	n := 0
	for i, l := range literals {
		if i == 0 || len(l) < n {
			n = len(l)
		}
	}
	return n
}

// mayMatch reports whether src has a literal that the pattern cannot do without.
func (c *custom) mayMatch(src []byte) bool {
	if len(c.literals) == 0 {
		return true
	}
	for _, l := range c.literals {
		if c.folded {
			if hasFolded(src, l) {
				return true
			}
		} else if bytes.Contains(src, l) {
			return true
		}
	}
	return false
}

// hasFolded reports whether src has lower, which is ASCII in lower case, in
// any case.
func hasFolded(src, lower []byte) bool {
	first, up := lower[0], upper(lower[0])
	for i := 0; i+len(lower) <= len(src); i++ {
		if c := src[i]; (c == first || c == up) && bytes.EqualFold(src[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}

// custom adds what the patterns find.
func (s *scan) custom() {
	for _, c := range s.plan.customs {
		if c.re != nil && c.mayMatch(s.src) {
			for _, at := range c.re.FindAllSubmatchIndex(s.src, -1) {
				if at[2*c.group] >= 0 {
					s.found(c, at[2*c.group], at[2*c.group+1])
				}
			}
		}
		if len(c.words) > 0 {
			s.listed(c)
		}
	}
}

// found adds src[start:end] when it is valid and its context is right.
func (s *scan) found(c *custom, start, end int) {
	if start == end || c.valid != nil && !c.valid(s.src[start:end]) {
		return
	}
	if c.context != 0 {
		about := s.plan.words.before(s.src, start, 0).near | s.topics
		if about&c.context == 0 {
			return
		}
	}
	s.merge(Finding{start, end, c.typ, c.score})
}

// listed adds the words of c's list.
func (s *scan) listed(c *custom) {
	src := s.src
	inside := func(i int) bool {
		return i >= 0 && i < len(src) && (isAlnum(src[i]) || src[i] >= 0x80 || src[i] == '_')
	}
	low := make([]byte, 0, c.longest)
	for i := 0; i < len(src); i++ {
		if !c.starts[src[i]] || inside(i-1) && inside(i) {
			continue
		}
		low = low[:0]
		best := 0
		for k := i; k < len(src) && len(low) < c.longest; k++ {
			low = append(low, src[k]|lowerBit(src[k]))
			if !inside(k) || !inside(k+1) {
				if _, ok := c.words[string(low)]; ok {
					best = k + 1
				}
			}
		}
		if best > 0 {
			s.found(c, i, best)
			i = best - 1
		}
	}
}

// merge adds f to what was found, in its place, unless a surer finding is there;
// of equals the longer stays.
func (s *scan) merge(f Finding) {
	list := s.out[s.first:]
	from, _ := slices.BinarySearchFunc(list, f.Start, func(x Finding, at int) int {
		if x.End <= at {
			return -1
		}
		return 1
	})
	to := from
	for ; to < len(list) && list[to].Start < f.End; to++ {
		x := list[to]
		if x.Score > f.Score || x.Score == f.Score && x.End-x.Start >= f.End-f.Start {
			return
		}
	}
	s.out = slices.Replace(s.out, s.first+from, s.first+to, f)
}
