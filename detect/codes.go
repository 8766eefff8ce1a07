package detect

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"

	"github.com/sallyport/sallyport/internal/jsontext"
)

// Codes finds what is in words of base64 and hex, decoded once, and in dumps of hex.
// Its buffers are its own; it is used by one goroutine.
type Codes struct {
	Detector *Detector
	Wants    func(Type) bool // says which types count; not nil

	plain  []byte
	places [][2]int // where the digits of each byte of plain begin, and its character; -1 is nowhere
	found  []Finding
	codes  []Finding
	finder Finder
}

const (
	leastCode = 14   // bytes of a word that is looked into
	mostCode  = 8192 // longer ones are looked into up to there
)

var base64Byte = func() (t [256]bool) {
	for i := range t {
		c := byte(i)
		t[i] = isAlnum(c) || c == '+' || c == '/' || c == '-' || c == '_'
	}
	return t
}()

// Find adds to dst, which has what was found in text otherwise, a Finding for each
// word of text that decodes to something, and for the digits of dumps in hex. Both
// are in order.
func (d *Codes) Find(dst []Finding, text []byte) []Finding {
	for i := 0; i < len(text); i++ {
		if !base64Byte[text[i]] {
			continue
		}
		start := i
		for i < len(text) && base64Byte[text[i]] {
			i++
		}
		if i-start >= leastCode {
			if t, ok := d.word(text[start:i]); ok {
				for i < len(text) && text[i] == '=' {
					i++
				}
				d.add(Finding{start, i, t, 90})
			}
		}
	}
	d.dump(text)
	return d.merge(dst)
}

// add notes what is hidden.
func (d *Codes) add(f Finding) { d.codes = append(d.codes, f) }

// merge adds what was noted to dst, both in order. What was found in the same
// bytes otherwise gives way.
func (d *Codes) merge(dst []Finding) []Finding {
	if len(d.codes) == 0 {
		return dst
	}
	slices.SortFunc(d.codes, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	n := len(dst)
	dst = append(dst, d.codes...)
	d.codes = d.codes[:0]
	slices.SortStableFunc(dst, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	if n == 0 {
		return dst
	}
	k := 0
	for _, x := range dst[1:] {
		last := &dst[k]
		if x.Start >= last.End {
			k++
			dst[k] = x
			continue
		}
		last.End = max(last.End, x.End)
		last.Type = Secret // nothing of either is kept
	}
	return dst[:k+1]
}

// encoded reports whether w may be base64 or hex rather than words and paths: it
// has letters of both cases, or is hex.
func encoded(w []byte) bool {
	lower, upper := false, false
	for _, c := range w {
		lower, upper = lower || isLower(c), upper || isUpper(c)
	}
	return lower && upper || allHex(w)
}

// Word returns the type of what w decodes to, when it is one word of base64 or hex.
func (d *Codes) Word(w []byte) (Type, bool) {
	if len(w) < leastCode || !oneWord(w) {
		return "", false
	}
	return d.word(bytes.TrimRight(w, "="))
}

// word returns the type of what the beginning of one word decodes to.
func (d *Codes) word(w []byte) (Type, bool) {
	w = w[:min(len(w), mostCode)]
	if !encoded(w) {
		return "", false
	}
	d.plain = d.plain[:0]
	if allHex(w) && len(w)%2 == 0 {
		d.plain = appendHex(d.plain, w)
	} else {
		enc := base64.RawStdEncoding
		if bytes.IndexByte(w, '-') >= 0 || bytes.IndexByte(w, '_') >= 0 {
			enc = base64.RawURLEncoding
		}
		if len(w)%4 == 1 {
			w = w[:len(w)-1]
		}
		var err error
		if d.plain, err = enc.AppendDecode(d.plain, w); err != nil {
			return "", false
		}
	}
	if !readable(d.plain) {
		return "", false
	}
	d.scan()
	for _, f := range d.found {
		if d.Wants(f.Type) {
			return f.Type, true
		}
	}
	return "", false
}

// scan sets found to what is in plain.
func (d *Codes) scan() {
	d.finder.Detector = d.Detector
	d.found = d.finder.Find(d.found[:0], d.plain, 0)
}

// readable reports whether b is text: nearly all of it.
func readable(b []byte) bool {
	odd := 0
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			odd++
		}
	}
	return len(b) > 5 && odd*8 <= len(b)
}

func allHex(w []byte) bool {
	for _, c := range w {
		if !isHex(c) {
			return false
		}
	}
	return true
}

func appendHex(dst, w []byte) []byte {
	for i := 0; i+1 < len(w); i += 2 {
		dst = append(dst, hexValue(w[i])<<4|hexValue(w[i+1]))
	}
	return dst
}

// dump finds values in dumps such as those of xxd and hexdump -C: lines of words
// of hex with one or two spaces between them, behind an offset.
func (d *Codes) dump(text []byte) {
	d.plain, d.places = d.plain[:0], d.places[:0]
	for line := 0; line < len(text); {
		end := line + bytes.IndexByte(text[line:], '\n')
		if end < line {
			end = len(text)
		}
		if !d.dumpLine(text, line, end) {
			d.dumped()
		}
		line = end + 1
	}
	d.dumped()
}

// dumpLine adds the bytes of a line of a dump, and reports whether it is one: at
// least three words of one length, of which the last may be shorter.
func (d *Codes) dumpLine(text []byte, i, end int) bool {
	n := len(d.plain)
	words, size := 0, 0
	i = jsontext.SkipSpace(text[:end], i)
	for first := true; i < end; first = false {
		start := i
		for i < end && isHex(text[i]) {
			i++
		}
		length := i - start
		if first && (length == 8 || length >= 4 && i < end && text[i] == ':') { // the offset
			i = jsontext.SkipSpace(text[:end], i+1)
			continue
		}
		if length != 2 && length != 4 && length != 8 || words > 0 && length > size || i < end && text[i] != ' ' && text[i] != '\r' {
			break
		}
		for k := start; k < i; k += 2 {
			d.plain = append(d.plain, hexValue(text[k])<<4|hexValue(text[k+1]))
			d.places = append(d.places, [2]int{k, -1})
		}
		words++
		if words > 1 && length < size {
			break
		}
		size = length
		for start = i; i < end && text[i] == ' '; i++ {
		}
		if i-start > 2 {
			break
		}
	}
	if words < 3 {
		d.plain, d.places = d.plain[:n], d.places[:n]
		return false
	}
	d.characters(text, n, end)
	return true
}

// mostDump is how long a line of a dump is at most, in bytes.
const mostDump = 160

// IsDump reports whether text[i:end] is a line of a dump.
func (d *Codes) IsDump(text []byte, i, end int) bool {
	if end-i > mostDump {
		return false
	}
	yes := d.dumpLine(text, i, end)
	d.plain, d.places = d.plain[:0], d.places[:0]
	return yes
}

// characters notes where the characters of the bytes from the n-th on stand, which
// dumps have behind the digits, perhaps between bars.
func (d *Codes) characters(text []byte, n, end int) {
	digits := d.places[len(d.places)-1][0] + 2
	for end > digits && (text[end-1] == '\r' || text[end-1] == '|') {
		end--
	}
	from := end - (len(d.plain) - n)
	if from <= digits {
		return
	}
	for k := n; k < len(d.plain); k++ {
		d.places[k][1] = from + k - n
	}
}

// dumped notes what was found in the lines so far, and forgets them.
func (d *Codes) dumped() {
	if len(d.plain) > 0 && readable(d.plain) {
		d.scan()
		for _, f := range d.found {
			if !d.Wants(f.Type) {
				continue
			}
			for k := f.Start; k < f.End; k++ {
				d.add(Finding{d.places[k][0], d.places[k][0] + 2, Secret, 90})
				if c := d.places[k][1]; c >= 0 {
					d.add(Finding{c, c + 1, Secret, 90})
				}
			}
		}
	}
	d.plain, d.places = d.plain[:0], d.places[:0]
}

// oneWord reports whether w is a single word of base64 or hex, as far as a look at
// its bytes tells. It stops at the first that is none of them.
func oneWord(w []byte) bool {
	for i, c := range w {
		if !base64Byte[c] {
			return c == '=' && len(w)-i <= 2 && w[len(w)-1] == '='
		}
	}
	return true
}
