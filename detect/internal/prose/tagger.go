package prose

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Kind says what a name is of.
type Kind uint8

// The kinds.
const (
	Person Kind = iota
	Place
	Company
	Street
)

// Name is text[Start:End].
type Name struct {
	Start, End int
	Kind       Kind
}

// Tagger holds what tagging needs, to be used again. The zero value is ready. It
// is for one goroutine.
type Tagger struct {
	tokens []token
	got    []uint8
	text   []byte // that tokens are of; nil between calls
}

// Find appends the names in text to dst and returns it, in order. Lines that do
// not look like prose have none. taken says whether text[start:end] is part of
// something else; nil is never. It allocates only when dst or the tagger grow,
// and takes time that is linear in text.
func (m *Model) Find(dst []Name, t *Tagger, text []byte, taken func(start, end int) bool) []Name {
	t.text = text
	defer func() { t.text = nil }()
	for i := 0; ; {
		at := m.candidate(text, i)
		if at < 0 {
			return dst
		}
		i += bytes.LastIndexByte(text[i:at], '\n') + 1
		end := lineEnd(text, at)
		// A line of one word is a name only below a comma, as in a signature.
		if line := text[i:end]; bytes.IndexByte(line, ' ') < 0 && (i < 2 || text[i-2] != ',') || !promising(line) {
			i = end + 1
			continue
		}
		for i < end {
			next := t.read(text[:end], i)
			if next <= i {
				break
			}
			i = next
			m.look(t.tokens)
			if taken != nil {
				for k := range t.tokens {
					if x := &t.tokens[k]; x.flags&(flagCapital|flagNumber) != 0 && taken(x.start, x.end) {
						x.flags |= flagTaken
					}
				}
			}
			m.tag(t)
			dst = t.names(dst)
		}
		i = end + 1
	}
}

func lineEnd(text []byte, i int) int {
	if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(text)
}

// weight is how much a byte speaks against prose: signs that it has few of, and
// control characters.
var weight = func() (t [256]uint32) {
	for c := range t {
		switch {
		case c == '{' || c == '}' || c == '<' || c == '>' || c == '=' || c == '_' || c == '\\' || c == '|' || c == '/' || c == '$' || c == '[' || c == ';':
			t[c] = 1
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			t[c] = 8
		}
	}
	return t
}()

// capital are the bytes that a word with a capital may begin with.
var capital = func() (t [256]uint8) {
	for c := range t {
		if c >= 'A' && c <= 'Z' || c >= 0xC3 && c < 0xE2 {
			t[c] = 1
		}
	}
	return t
}()

// promising reports whether line looks like prose.
func promising(line []byte) bool {
	const shortest = 8
	if len(line) < shortest {
		return false
	}
	whole := line
	line = line[:min(len(line), 4096)]
	if lettersIn(line)*10 < len(line)*6 || !utf8.Valid(whole) {
		return false
	}
	sum := uint32(0)
	for _, c := range line {
		sum += weight[c]
	}
	return int(sum)*40 <= len(line)+40
}

// lettersIn counts the letters and spaces of line.
func lettersIn(line []byte) int {
	const ones = 0x0101010101010101
	n, i := 0, 0
	for ; i+8 <= len(line); i += 8 {
		w := binary.LittleEndian.Uint64(line[i:])
		low := w & (0x7f * ones)
		from, behind := (low|0x20*ones)+(0x80-'a')*ones, (low|0x20*ones)+(0x80-'z'-1)*ones
		noSpace := low ^ ' '*ones + 0x7f*ones
		n += bits.OnesCount64((from&^behind | ^noSpace | w) & (0x80 * ones))
	}
	for ; i < len(line); i++ {
		if letter(line[i]) || line[i] == ' ' {
			n++
		}
	}
	return n
}

// parts are the bytes that may stand before a name.
var parts = func() (t [256]bool) {
	for _, c := range []byte(" \n\t\"'(:,;>*[|\r-/&") {
		t[c] = true
	}
	t[0x9c], t[0x98], t[0xab], t[0xa0] = true, true, true, true // the ends of quotes in UTF-8
	return t
}()

// capitals sets the highest bit of every byte of w that is a capital, or begins a
// letter of another alphabet.
func capitals(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w & (0x7f * ones)
	from, behind := low+(0x80-'A')*ones, low+(0x80-'Z'-1)*ones
	return (from&^behind&^w | w&(w<<1)) & (0x80 * ones)
}

// Candidate reports whether text has a word that may begin a name; else Find finds
// nothing in it.
func (m *Model) Candidate(text []byte) bool { return m.candidate(text, 0) >= 0 }

// candidate returns where the next word behind from begins that has a capital and
// is no common word, or a name or a title as well, or -1.
func (m *Model) candidate(text []byte, from int) int {
	n := len(text)
	for i := from; i < n; {
		for i+8 <= n {
			if m := capitals(binary.LittleEndian.Uint64(text[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		for i < n && capital[text[i]] == 0 {
			i++
		}
		if i >= n {
			return -1
		}
		if i > 0 && !parts[text[i-1]] {
			i++
			continue
		}
		h, start, small := uint32(hashSeed), i, byte(0)
		for i < n && text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z' {
			small |= text[i] & 0x20
			h = (h ^ uint32(text[i]|0x20)) * hashPrime
			i++
		}
		switch {
		case i < n && text[i] >= 0x80:
			return start // a letter with an accent, or of another script
		case i-start < 2:
			i = max(i, start+1)
		case small == 0 && !m.given.has(h): // INFO
		case !m.common.has(h) || m.given.has(h) || closed.of(h)&(flagTitle|flagStreet) != 0:
			return start
		}
	}
	return -1
}

// tag tags the tokens from left to right. Only words with capitals, and small
// words between them, are parts of names.
func (m *Model) tag(t *Tagger) {
	t.got = t.got[:0]
	var f [nFeatures]uint32
	a, b := tagOther, tagOther
	for i := range t.tokens {
		k := &t.tokens[i]
		best := tagOther
		switch {
		case k.flags&flagTaken != 0:
		case k.flags&flagCapital != 0:
			extract(&f, t.tokens, i, a, b)
			best = m.best(&f, b)
		case joins(t.tokens, i) && b != tagOther:
			best = (b-1)/2*2 + 2
		}
		t.got = append(t.got, uint8(best))
		a, b = b, best
	}
}

// joins reports whether the token i belongs to a name that stands on both of its
// sides: a particle, the dot of an initial, an ampersand.
func joins(tokens []token, i int) bool {
	if i == 0 || i+1 >= len(tokens) {
		return false
	}
	k, n := &tokens[i], &tokens[i+1]
	switch {
	case k.flags&flagParticle != 0:
		return n.flags&flagCapital != 0 || i+2 < len(tokens) && n.flags&flagParticle != 0 && tokens[i+2].flags&flagCapital != 0
	case k.hash == uint32('.')+2:
		return tokens[i-1].flags&flagInitial != 0 && n.flags&flagCapital != 0
	case k.hash == uint32('&')+2:
		return n.flags&flagCapital != 0
	}
	return false
}

// best returns the best tag that may follow after.
func (m *Model) best(f *[nFeatures]uint32, after int) int {
	// Four sums in each: of the weights at even places, and at odd ones.
	const lanes = 0x00ff00ff00ff00ff
	var even, odd uint64
	for _, at := range f {
		w := m.rows[at%features]
		even += w & lanes
		odd += w >> 8 & lanes
	}
	var score [tags + 1]uint16
	for t := range len(score) / 2 {
		score[2*t], score[2*t+1] = uint16(even>>(16*t)), uint16(odd>>(16*t))
	}
	best := tagOther
	for t := 1; t < tags; t++ {
		if score[t] > score[best] && follows(after, t) {
			best = t
		}
	}
	return best
}

// names appends what the tags come to.
func (t *Tagger) names(dst []Name) []Name {
	for i := 0; i < len(t.got); i++ {
		if to := t.street(i); to > i {
			dst = append(dst, Name{t.tokens[i].start, t.tokens[to-1].end, Street})
			i = to - 1
			continue
		}
		if to := t.european(i); to > i {
			dst = append(dst, Name{t.tokens[i].start, t.tokens[to-1].end, Street})
			i = to - 1
			continue
		}
		if t.got[i] == tagOther {
			continue
		}
		kind := Kind((t.got[i] - 1) / 2)
		k := i + 1
		for k < len(t.got) && t.got[k] != tagOther && Kind((t.got[k]-1)/2) == kind && (t.got[k]-1)%2 == 1 {
			k++
		}
		for k > i+1 && t.tokens[k-1].flags&flagCapital == 0 { // a particle that nothing follows
			k--
		}
		end := t.tokens[k-1].end
		if w := t.tokens[k-1]; w.flags&flagInitial != 0 && w.flags&flagDot != 0 && k < len(t.tokens) && t.tokens[k].start == end {
			end++
		}
		if kind != Person || t.likely(i, k) {
			start := t.tokens[i].start
			if i > 0 && kind == Person && t.tokens[i].flags&flagFamily != 0 && t.tokens[i-1].flags&(flagCalendar|flagGiven) == flagCalendar|flagGiven && t.got[i-1] == tagOther && start == t.tokens[i-1].end+1 {
				start = t.tokens[i-1].start // June Carter
			}
			dst = append(dst, Name{start, end, kind})
		}
		i = k - 1
	}
	return dst
}

// likely reports whether the tokens from i to k may be a person's name: common
// words alone are none, but behind a title.
func (t *Tagger) likely(i, k int) bool {
	if i > 0 && t.tokens[i-1].flags&flagTitle != 0 || i > 1 && t.tokens[i-2].flags&flagTitle != 0 && t.tokens[i-1].flags&flagWord == 0 {
		return true
	}
	if k == i+1 && (t.tokens[i].flags&flagAll != 0 && (t.tokens[i].flags&flagGiven == 0 || t.tokens[i].length < 4) || t.tokens[i].flags&flagCalendar != 0) {
		return false
	}
	german, shouted := false, true
	for _, w := range t.tokens[i:k] {
		german = german || w.flags&flagGerman != 0
		shouted = shouted && w.flags&(flagAll|flagInitial) != 0
	}
	for _, w := range t.tokens[i:k] {
		switch {
		case shouted && w.flags&flagGiven == 0, german && w.flags&(flagGiven|flagFamily) == 0, german && k == i+1 && w.flags&flagCommon != 0:
			continue
		}
		if w.flags&flagGiven != 0 || w.flags&(flagWord|flagCommon|flagInitial) == flagWord && w.length > 1 {
			return true
		}
	}
	return false
}

// street returns the token behind a street address that begins with the number i,
// or i: a number, one to four words with capitals, and a word such as Street, with
// the number of a flat.
func (t *Tagger) street(i int) int {
	if t.tokens[i].flags&(flagNumber|flagTaken) != flagNumber || t.tokens[i].length > 6 {
		return i
	}
	words := 0
	for k := i + 1; k < len(t.tokens) && k <= i+6; k++ {
		w := &t.tokens[k]
		if w.hash == uint32('.')+2 && words > 0 {
			continue
		}
		if w.flags&flagStreet != 0 && w.flags&flagCapital != 0 && words > 0 && (t.tokens[i].length > 1 || usual[w.hash]) && !t.goesOn(k+1) {
			return t.flat(k + 1)
		}
		words++
		if w.flags&flagCapital == 0 || w.flags&(flagTaken|flagCalendar) != 0 {
			break
		}
	}
	return i
}

// goesOn reports whether the token k goes on with the name of a street, as Street
// does in North River Street.
func (t *Tagger) goesOn(k int) bool {
	return k < len(t.tokens) && t.tokens[k].flags&(flagStreet|flagCapital) == flagStreet|flagCapital
}

// flat returns the token behind the number of a flat at i, or i.
func (t *Tagger) flat(i int) int {
	k := i
	for n := 0; n < 2 && k < len(t.tokens) && (t.tokens[k].hash == uint32(',')+2 || t.tokens[k].hash == uint32('.')+2); n++ {
		k++
	}
	if k >= len(t.tokens) || !flats[t.tokens[k].hash] {
		return i
	}
	for k++; k < len(t.tokens) && (t.tokens[k].hash == uint32('.')+2 || t.tokens[k].hash == uint32('#')+2); k++ {
	}
	if k < len(t.tokens) && t.tokens[k].flags&flagNumber != 0 {
		return k + 1
	}
	return i
}

// usual are the words for streets that nearly always mean one.
var usual = map[uint32]bool{
	hashOf("street"): true, hashOf("st"): true, hashOf("road"): true, hashOf("rd"): true, hashOf("avenue"): true, hashOf("ave"): true, hashOf("lane"): true, hashOf("drive"): true,
	hashOf("boulevard"): true, hashOf("blvd"): true, hashOf("court"): true, hashOf("square"): true, hashOf("terrace"): true, hashOf("close"): true,
}

var flats = map[uint32]bool{hashOf("apt"): true, hashOf("suite"): true, hashOf("unit"): true, hashOf("apartment"): true, hashOf("flat"): true, hashOf("ste"): true, hashOf("floor"): true, hashOf("room"): true}
