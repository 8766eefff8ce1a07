package detect

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	maxGroups = 24
	maxDigits = 96
	maxWord   = 24 // of the forms of words
)

// group is a run of digits in a chain.
type group struct {
	start, end int  // in src
	digit      int  // its first digit in scan.digits
	sep        byte // what stands before it: ' ', '-', '.', '/', ')', '(', or 0 at the chain's start
}

// digitAt reads a digit of any script at i. size 0 is none.
func (s *scan) digitAt(i int) (v byte, size int) {
	c := s.at(i)
	if isDigit(c) {
		return c - '0', 1
	}
	d, e := s.at(i+1), s.at(i+2)
	switch c {
	case 0xD9: // Arabic-Indic
		if d-0xA0 < 10 {
			return d - 0xA0, 2
		}
	case 0xDB: // extended Arabic-Indic
		if d-0xB0 < 10 {
			return d - 0xB0, 2
		}
	case 0xE0: // Devanagari, Bengali, Gujarati, Thai
		switch d {
		case 0xA5, 0xA7, 0xA9, 0xAB, 0xAD, 0xAF:
			if e-0xA6 < 10 {
				return e - 0xA6, 3
			}
		case 0xB9:
			if e-0x90 < 10 {
				return e - 0x90, 3
			}
		}
	case 0xEF: // fullwidth
		if d == 0xBC && e-0x90 < 10 {
			return e - 0x90, 3
		}
	case 0xF0: // mathematical
		if f := s.at(i + 3); d == 0x9D && e == 0x9F && f-0x8E < 50 {
			return (f - 0x8E) % 10, 4
		}
	}
	return 0, 0
}

// invisible stands for what a reader does not see, such as a zero-width space.
const invisible = 1

// sepAt reads a separator between digit groups. size 0 is none.
func (s *scan) sepAt(i int) (sep byte, size int) {
	switch c := s.at(i); c {
	case ' ', '-', '.', '/', '(', ')':
		return c, 1
	case 0xC2:
		switch s.at(i + 1) {
		case 0xA0:
			return ' ', 2
		case 0xAD:
			return invisible, 2
		case 0xB7:
			return '.', 2
		}
	case 0xE2:
		d, e := s.at(i+1), s.at(i+2)
		switch {
		case d == 0x80 && e >= 0x90 && e <= 0x95, d == 0x88 && e == 0x92:
			return '-', 3
		case d == 0x80 && (e >= 0x80 && e <= 0x8A || e == 0xAF):
			return ' ', 3
		case d == 0x80 && e >= 0x8B && e <= 0x8F, d == 0x81 && e == 0xA0:
			return invisible, 3
		}
	case 0xE3:
		if s.at(i+1) == 0x80 && s.at(i+2) == 0x80 {
			return ' ', 3
		}
	case 0xEF:
		switch d, e := s.at(i+1), s.at(i+2); {
		case d == 0xBC && e == 0x8D:
			return '-', 3
		case d == 0xBC && e == 0x8E:
			return '.', 3
		case d == 0xBB && e == 0xBF:
			return invisible, 3
		}
	}
	return 0, 0
}

// chain reads groups of digits joined by separators from i on and returns where
// it stopped. full is true when there was more than it holds.
func (s *scan) chain(i int) (end int, full bool) {
	s.n, s.nd = 0, 0
	var sep byte
	for {
		g := &s.groups[s.n]
		g.start, g.digit, g.sep = i, s.nd, sep
		for {
			v, size := s.digitAt(i)
			if size == 0 {
				if x, w := s.sepAt(i); x == invisible {
					if _, more := s.digitAt(i + w); more > 0 {
						i += w
						continue
					}
				}
				break
			}
			if s.nd == maxDigits {
				for i < len(s.src) && isDigit(s.src[i]) {
					i++
				}
				g.end = i
				return i, true // no value is as long
			}
			s.digits[s.nd] = v
			s.nd++
			i += size
		}
		g.end = i
		s.n++
		x, w := s.sepAt(i)
		if w == 0 {
			return i, false
		}
		j := i + w
		sep = x
		// ") ", ")-", " (", "-(" and " - " are one separator.
		if y, w2 := s.sepAt(j); w2 != 0 {
			switch {
			case x == ')' && (y == ' ' || y == '-' || y == '.' || y == '/'):
				j += w2
			case y == '(' && (x == ' ' || x == '-'), x == invisible, y == invisible:
				j += w2
				if y != invisible {
					sep = y
				}
			case x == ' ' && (y == '-' || y == '/') && s.at(j+w2) == ' ':
				j += w2 + 1
				sep = y
			}
		}
		if _, size := s.digitAt(j); size == 0 {
			return i, false
		}
		if s.n == maxGroups {
			return s.groups[maxGroups/2].start, true
		}
		i = j
	}
}

// plainEnd are the bytes that certainly end a short number.
var plainEnd = func() (t [256]bool) {
	for _, c := range []byte{0, ',', '"', '\n', '\r', '\t', '|', ';', ':', '\'', '}', ']'} {
		t[c] = true
	}
	return t
}()

// plainStart are the bytes before a number to which nothing before them can make
// it belong.
var plainStart = func() (t [256]bool) {
	for _, c := range []byte{0, ',', '"', '\n', '\r', '\t', '|', ';', ':', '\'', '{', '[', '='} {
		t[c] = true
	}
	return t
}()

// digitRun returns how many digits there are from i on.
func digitRun(src []byte, i int) int {
	j := i
	for j+8 <= len(src) {
		n := digitsIn(binary.LittleEndian.Uint64(src[j:]))
		if j += n; n < 8 {
			return j - i
		}
	}
	for j < len(src) && isDigit(src[j]) {
		j++
	}
	return j - i
}

// digitsIn returns with how many digits the eight bytes of w begin, the lowest
// first.
func digitsIn(w uint64) int { return bits.TrailingZeros64(noDigits(w)) / 8 }

// noDigits sets the highest bit of every byte of w that is no digit. Only up to
// the first such byte is it exact.
func noDigits(w uint64) uint64 {
	const ones = 0x0101010101010101
	w ^= '0' * ones
	return (w + (0x80-10)*ones | w) & (0x80 * ones)
}

// number looks at the digit at i and at what belongs to it.
func (s *scan) number(i int) int {
	src := s.src
	n := digitRun(src, i)
	j := i + n
	before, after := s.at(i-1), s.at(j)
	if n <= 2 && (after == ' ' || after == '-' || after == ',' || after == '.' || after|0x20 >= 'n') {
		if end := s.monthDate(i, j); end > i {
			return end
		}
	}
	// Short plain numbers are most of them.
	if n == 2 && after == ':' {
		if end := s.clock(i, j, before); end > i {
			return end
		}
	}
	if n < 7 && plainEnd[after] && !isAlnum(before) {
		return j
	}
	if after == '-' {
		if end := s.clock(i, j, before); end > i {
			return end
		}
	}
	if isAlnum(before) || isAlnum(after) || before == '_' || after == '_' {
		return s.wordAt(i)
	}
	if n < 6 && (plainStart[before] || before == ' ' && !isUpper(s.at(i-2))) {
		switch after {
		case ' ': // 12345 rows
			if c := s.at(j + 1); ((c|0x20)-'a' < 26 || plainEnd[c]) && !s.plan.spaced[n] {
				return j
			}
		case '.': // 123.45
			if k := j + 1; isDigit(s.at(k)) {
				for k < j+4 && isDigit(s.at(k)) {
					k++
				}
				if k-i < 7 && plainEnd[s.at(k)] {
					return k
				}
			}
		}
	}
	if n <= 4 && (before == '-' || before == '.' || after == '-' || after == '.') {
		if to := s.hardware(i, j); to > i {
			return to
		}
	}
	return s.chained(i)
}

// clock passes over a time of day, or a date with one, at the digits src[i:j],
// which are most of what logs and rows have of digits, and returns its end, or
// i. A date at midnight is left alone: it may be one of birth.
func (s *scan) clock(i, j int, before byte) int {
	src := s.src
	if isAlnum(before) || before == '-' || before == '.' || before == ':' || before == '/' {
		return i
	}
	date := false
	if j-i == 4 && j+6 < len(src) && src[j] == '-' && src[j+3] == '-' && digits2(src, j+1) && digits2(src, j+4) &&
		(src[j+6] == ' ' || src[j+6] == 'T') && j+8 < len(src) && digits2(src, j+7) {
		j, date = j+9, true
	} else if j-i != 2 {
		return i
	}
	if j+6 > len(src) || src[j] != ':' || !digits2(src, j+1) || src[j+3] != ':' || !digits2(src, j+4) {
		return i
	}
	if date && src[j-2] == '0' && src[j-1] == '0' && string(src[j:j+6]) == ":00:00" && !nanoseconds(src[j+6:]) {
		return i
	}
	if c := s.at(j + 6); isAlnum(c) && c != 'Z' || c == ':' {
		return i
	}
	return j + 6
}

// nanoseconds reports whether text goes on as a time of a file's does, as stat shows it.
func nanoseconds(text []byte) bool {
	const form = ".000000000 +0000"
	if len(text) < len(form) {
		return false
	}
	for i := range len(form) {
		if c := text[i]; isDigit(form[i]) != isDigit(c) || !isDigit(c) && c != form[i] && c != '-' {
			return false
		}
	}
	return true
}

func digits2(b []byte, i int) bool { return isDigit(b[i]) && isDigit(b[i+1]) }

// wide looks at a lead byte that other scripts' digits share.
func (s *scan) wide(i int) int {
	if s.src[i] == 0xEF && s.at(i+1) == 0xBC && s.at(i+2) == 0xA0 {
		return s.email(i, 3)
	}
	if _, size := s.digitAt(i); size != 0 {
		return max(s.chained(i), i+size)
	}
	return i + 1
}

// chained reads the chain of numbers at i and finds the values in it.
func (s *scan) chained(i int) int {
	end, full := s.chain(i)
	last := s.n
	if full && last == maxGroups {
		last = maxGroups / 2
	}
	if !full && s.n > 0 {
		c := s.at(end)
		goesOn := isAlnum(c) || (c == '-' || c == ' ' || c == '+' || c == '(') && isAlnum(s.at(end+1))
		if start := s.formStart(s.groups[0].start); goesOn || start < s.groups[0].start {
			if to := s.forms(start); to > start {
				return max(to, end)
			}
		}
		if isAlnum(c) && !s.beforeExtension(end) {
			last-- // the last group belongs to a word
		}
	}
	if s.nd < 6 && s.n < 3 {
		last = 0
	}
	for g := 0; g < last; {
		g = max(s.groupsAt(g), g+1)
	}
	if !full && s.n > 0 && isAlnum(s.at(end)) && s.floor <= end {
		return max(s.wordAt(s.groups[s.n-1].start), end)
	}
	return max(end, min(s.floor, len(s.src)))
}

// formStart returns where a form with digits at i may begin: at i, or at letters
// before it, as in X-1234567-L and AB 12 34 56 C.
func (s *scan) formStart(i int) int {
	before := s.at(i - 1)
	k := i - 1
	if before == '-' || before == ' ' {
		for k > s.floor && i-k < 6 && isUpper(s.src[k-1]) {
			k--
		}
	}
	if k < i-1 && !isAlnum(s.at(k-1)) && (before == '-' || i-k == 3) {
		return k
	}
	return i
}

// length returns the digits of group g.
func (s *scan) length(g int) int {
	if g+1 < s.n {
		return s.groups[g+1].digit - s.groups[g].digit
	}
	return s.nd - s.groups[g].digit
}

// groupsAt finds the best value that begins at group g and returns the group
// after it, or g.
func (s *scan) groupsAt(g int) int {
	start := s.groups[g].start
	if start < s.floor {
		return g
	}
	at, open := start, false // at is where it begins with its parenthesis
	if s.at(at-1) == '(' {
		open = true
		at--
	}
	before := s.at(at - 1)
	if before == '+' || before == 0x8B && s.at(at-2) == 0xBC { // + or its fullwidth form
		if n := s.international(g); n > g {
			return n
		}
	}
	if g > 0 {
		if sep := s.groups[g].sep; sep != ' ' && sep != '(' {
			return g // in the middle of something written without spaces
		}
	} else if isAlnum(before) || before == '_' || before == '.' || before == '$' || before == '#' ||
		(before == '-' || before == '/' || before == '\\') && isAlnum(s.at(at-2)) {
		// A word before a dash, as in TEL-030123456, may still be the label.
		if a := s.context(at); before != '-' || isDigit(s.at(at-2)) || a.near&^notPeople == 0 || a.issued {
			return g
		}
	}
	if n := s.ipv4(g); n > g {
		return n
	}
	if n := s.prefixed(g); n > g {
		return n
	}
	return s.shapes(g, at, open)
}

// fewRules of a shape are checked before its context is looked at.
const fewRules = 4

// shapes walks the shapes from group g on and emits the best value.
func (s *scan) shapes(g, at int, open bool) int {
	p := s.plan
	var best *shapeRule
	var bestScore uint8
	bestEnd, node, from := g, 0, s.groups[g].digit
	for k := g; k < s.n; k++ {
		l := s.length(k)
		if l >= len(p.nodes[0].next) {
			break
		}
		if node = int(p.nodes[node].next[l]); node == 0 {
			break
		}
		if len(p.nodes[node].rules) == 0 || !s.endsClean(k) {
			continue
		}
		digits := s.digits[from : s.groups[k].digit+l]
		// Context is dearer than a check, and less than those of many weak rules.
		all := ^Topics(0)
		if len(p.nodes[node].rules) > fewRules || s.aroundPos == at {
			all = s.context(at).all
		}
		for r := range p.nodes[node].rules {
			rule := &p.nodes[node].rules[r]
			if rule.weak && all&rule.context == 0 || rule.typ == Phone && g == k && s.negative(at) {
				continue
			}
			if !s.sepsMatch(g, k, rule.seps, open) || rule.digits != nil && !rule.digits(digits) {
				continue
			}
			score, ok := s.accept(at, rule.weak, rule.context, rule.score, g == k, rule.checked)
			if ok && (best == nil || score > bestScore || score == bestScore && k > bestEnd) {
				best, bestScore, bestEnd = rule, score, k
			}
		}
	}
	start := s.groups[g].start
	if open && (best == nil || best.typ == Phone) {
		start = at
	}
	if best == nil {
		return s.labelled(g, start)
	}
	end := s.groups[bestEnd].end
	if best.typ != Card && bestEnd > g && s.inCells(g, bestEnd) {
		return bestEnd + 1
	}
	if best.typ == Phone {
		if best.weak { // of the forms that a label allows, the longest
			if to := s.phoneEnd(g, 7); to-1 > bestEnd {
				bestEnd = to - 1
				end = s.groups[bestEnd].end
			}
		}
		if bestEnd >= g+3 && s.length(g) == 2 && s.inDump(at, end) {
			return bestEnd + 1
		}
		end = s.extension(end)
	}
	s.emit(start, end, best.typ, bestScore)
	return bestEnd + 1
}

// negative reports whether a number at i is one below zero.
func (s *scan) negative(i int) bool {
	c := s.at(i - 2)
	return s.at(i-1) == '-' && !isAlnum(c) && c != '-' && c != '.' && c != ':'
}

// labelled finds a telephone number of any form that begins with group g, right
// after a word that calls it one.
func (s *scan) labelled(g, start int) int {
	if s.nd-s.groups[g].digit < 7 || s.groups[g].start-start > 1 || g+1 == s.n && s.negative(start) {
		return g
	}
	end := s.phoneEnd(g, 7)
	if end <= g+1 || s.context(start).near&aboutPhone == 0 || s.isDate(g) {
		return g
	}
	s.emit(start, s.extension(s.groups[end-1].end), Phone, 60)
	return end
}

// inDump reports whether the pairs of digits src[start:end] stand among others of
// a hexadecimal dump.
func (s *scan) inDump(start, end int) bool {
	pair := func(i int) bool {
		return isHex(s.at(i)) && isHex(s.at(i+1)) && (isDigit(s.at(i)) || isDigit(s.at(i+1)))
	}
	return s.at(start-1) == ' ' && isHex(s.at(start-2)) && isHex(s.at(start-3)) && !isAlnum(s.at(start-4)) || s.at(end) == ' ' && pair(end+1) && !isAlnum(s.at(end+3))
}

// inCells reports whether the groups g to last are cells of a dump of od or xxd, each as wide as the
// first: after where they are in the file, and with at least four others on the line.
func (s *scan) inCells(g, last int) bool {
	const offset, others, most = 7, 4, 32
	width := s.length(g)
	n, i := 0, s.groups[g].start-1
	for ; n < most && s.isCell(i-width-1, width); i -= width + 1 {
		n++
	}
	if s.at(i-1) == ':' {
		i--
	}
	digits := 0
	for ; digits <= 2*offset && isHex(s.at(i-1-digits)); digits++ {
	}
	if c := s.at(i - 1 - digits); digits < offset || c != '\n' && i > digits {
		return false
	}
	for i = s.groups[last].end; n < others && s.isCell(i, width); i += width + 1 {
		n++
	}
	return n >= others
}

// isCell reports whether a cell of a dump begins with the blank at i: digits, or a character that
// od -c has shown as such.
func (s *scan) isCell(i, width int) bool {
	if i < 0 || i+width >= len(s.src) || s.src[i] != ' ' || s.at(i+width+1) > ' ' {
		return false
	}
	cell := bytes.TrimLeft(s.src[i+1:i+1+width], " ")
	if len(cell) == 1 || len(cell) > 1 && cell[0] == '\\' {
		return true
	}
	return len(cell) == width && allHex(cell)
}

// isDate reports whether the groups from g on are a date with a year of four
// digits.
func (s *scan) isDate(g int) bool {
	if g+2 >= s.n {
		return false
	}
	a, b, c := s.length(g), s.length(g+1), s.length(g+2)
	return (a == 4 && b <= 2 && c <= 2 || a <= 2 && b <= 2 && c == 4) && s.groups[g+1].sep == s.groups[g+2].sep
}

// extension returns the end of the telephone number that ends at end, with its
// extension if it has one, as in "x12" and "ext. 12".
func (s *scan) extension(end int) int {
	k := end
	if s.at(k) == ' ' || s.at(k) == ',' {
		if k++; s.at(k) == ' ' {
			k++
		}
	}
	switch c := s.at(k) | 0x20; {
	case c == 'x':
		k++
	case c == 'e' && s.at(k+1)|0x20 == 'x' && s.at(k+2)|0x20 == 't':
		for k += 3; (s.at(k)|0x20)-'a' < 26 && k-end < 14; k++ {
		}
	case s.at(k) == '#':
		k++
	default:
		return end
	}
	for n := 0; n < 2 && (s.at(k) == '.' || s.at(k) == ' ' || s.at(k) == ':'); n++ {
		k++
	}
	from := k
	for k-from < 6 && isDigit(s.at(k)) {
		k++
	}
	if k == from || isAlnum(s.at(k)) {
		return end
	}
	return k
}

// beforeExtension reports whether an extension begins at i, so that a number may
// end there although a letter follows.
func (s *scan) beforeExtension(i int) bool {
	return s.at(i)|0x20 == 'x' && isDigit(s.at(i+1)) && s.extension(i) > i
}

// endsClean reports whether a value may end with group k.
func (s *scan) endsClean(k int) bool {
	if k+1 < s.n {
		sep := s.groups[k+1].sep
		return sep == ' ' || sep == '('
	}
	end := s.groups[k].end
	switch c := s.at(end); c {
	case '-', '/', '.', '+':
		return !isAlnum(s.at(end + 1))
	case '_', '%', '@':
		return false
	default:
		return !isAlnum(c) || s.beforeExtension(end)
	}
}

// sepsMatch compares a shape's separators with the chain's.
func (s *scan) sepsMatch(g, k int, seps string, open bool) bool {
	if k == g {
		return true
	}
	if seps[0] == '~' {
		sep := s.groups[g+1].sep
		if sep != ' ' && sep != '-' && sep != '.' {
			return false
		}
		for i := g + 2; i <= k; i++ {
			if s.groups[i].sep != sep {
				return false
			}
		}
		return true
	}
	for i := g + 1; i <= k; i++ {
		want := seps[i-g-1]
		if s.groups[i].sep != want || want == ')' && !open && i == g+1 {
			return false
		}
	}
	return true
}

// international finds a telephone number after a plus, of 9 to 15 digits. With
// one dot it is a number with a fraction.
func (s *scan) international(g int) int {
	end := s.phoneEnd(g, 9)
	if end == g || end == g+2 && s.groups[g+1].sep == '.' || s.digits[s.groups[g].digit] == 0 {
		return g
	}
	start := s.groups[g].start
	for start > 0 && s.src[start-1] != '+' && s.src[start-1] != 0xEF {
		start--
	}
	start--
	if isAlnum(s.at(start-1)) && start > 0 && s.src[start] == '+' { // 30+20221128
		return g
	}
	if s.at(start-1) == '(' && g+1 < s.n && s.groups[g+1].sep == ')' { // (+62) 21 …
		start--
	}
	s.emit(start, s.extension(s.groups[end-1].end), Phone, 92)
	return end
}

// prefixed finds a telephone number that begins with the international prefix
// 00 and a country.
func (s *scan) prefixed(g int) int {
	d := s.digits[s.groups[g].digit:s.nd]
	if len(d) < 11 || d[0] != 0 || d[1] != 0 || d[2] == 0 || s.length(g) < 3 {
		return g
	}
	end := s.phoneEnd(g, 11)
	if end == g || end == g+1 && s.context(s.groups[g].start).near&aboutPhone == 0 || end > g+1 && s.inCells(g, end-1) {
		return g
	}
	s.emit(s.groups[g].start, s.extension(s.groups[end-1].end), Phone, 80)
	return end
}

// phoneEnd returns the group behind a telephone number that begins with group g
// and has at least least digits, or g.
func (s *scan) phoneEnd(g, least int) int {
	from := s.groups[g].digit
	end := g
	for k := g; k < s.n && k < g+8; k++ {
		n := s.groups[k].digit + s.length(k) - from
		if n > 15 || k > g && s.groups[k].sep == 0 {
			break
		}
		if n >= least && s.endsClean(k) {
			end = k + 1
			// A space and a longer number is another value; groups do not grow past 8.
			if n >= 11 && k+1 < s.n && s.groups[k+1].sep == ' ' && s.length(k+1) > 4 {
				break
			}
		}
	}
	return end
}
