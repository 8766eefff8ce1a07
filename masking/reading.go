package masking

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// Programs write over what they wrote, and control a terminal by sequences that it
// does not show. What is sent is more than what is seen then: backspaces delete
// nothing of a file, and a sequence may hold any text. Values are looked for in
// both.

// reading is the text of a stream's bytes. The zero value is ready for use.
type reading struct {
	// text is what a terminal shows of the bytes, and from seen on the bytes
	// themselves when some of their text is not shown. It is valid until the next
	// read.
	text []byte
	seen int

	changed bool  // text is not the bytes themselves
	places  []int // where in the bytes each byte of text is; -1 is nowhere
	own     []byte
	marks   []bool
}

// read reads the bytes that s holds.
func (r *reading) read(s *stream) {
	b := s.buf
	r.changed = bytes.IndexByte(b, 0x1b) >= 0 || bytes.IndexByte(b, '\b') >= 0 || bytes.IndexByte(b, 0) >= 0
	if !r.changed {
		r.text, r.seen = b, len(b)
		return
	}
	if r.own == nil {
		r.own = make([]byte, 0, 2*maxHeld)
	}
	r.own, r.places = r.own[:0], r.places[:0]
	hidden := r.shown(s)
	r.seen = len(r.own)
	if hidden {
		r.sent(s)
	}
	r.text = r.own
}

// shown appends what a terminal shows, without escape sequences and with characters
// written over where backspaces went back to them, and each character of two bytes
// as one. It reports whether text is missing.
func (r *reading) shown(s *stream) (hidden bool) {
	line, at := 0, 0 // where the line begins, and the cursor
	for i := 0; i < len(s.buf); {
		c := s.buf[i]
		switch {
		case c == 0x1b:
			end := escape(s.buf, i)
			hidden = hidden || !s.bare(s.buf[i:end])
			if moves(s.buf[i:end]) {
				r.append('\n', -1)
				line, at = len(r.own), len(r.own)
			}
			i = end
			continue
		case c == '\n' || c == '\r':
			r.append(c, i)
			line, at = len(r.own), len(r.own)
		case c == '\b':
			end := at
			at = max(at-1, line)
			for at > line && end-at < utf8.UTFMax && continues(r.own[at]) {
				at--
			}
		case c == 0 && wideNUL(s.buf, i):
		case at == len(r.own):
			r.append(c, i)
			at++
		default:
			end := at
			if !continues(c) || !unfinishedRune(r.own[line:at]) {
				for end++; end < len(r.own) && end-at < utf8.UTFMax && continues(r.own[end]); end++ {
				}
				hidden = true
			}
			r.own, r.places = slices.Replace(r.own, at, end, c), slices.Replace(r.places, at, end, i)
			at++
		}
		i++
	}
	return hidden
}

// sent appends the bytes without the escape sequences that hold no text.
func (r *reading) sent(s *stream) {
	for i := 0; i < len(s.buf); i++ {
		c := s.buf[i]
		if c == 0x1b {
			end := escape(s.buf, i)
			if !s.bare(s.buf[i:end]) {
				for ; i < end; i++ {
					r.append(s.buf[i], i)
				}
			} else if moves(s.buf[i:end]) {
				r.append('\n', -1)
			}
			i = end - 1
			continue
		}
		if c != 0 || !wideNUL(s.buf, i) {
			r.append(c, i)
		}
	}
}

func (r *reading) append(c byte, place int) {
	r.own, r.places = append(r.own, c), append(r.places, place)
}

// continues reports whether c is a further byte of a character in UTF-8.
func continues(c byte) bool { return !utf8.RuneStart(c) }

// unfinishedRune reports whether b ends in a character that lacks bytes.
func unfinishedRune(b []byte) bool {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax); i-- {
		if utf8.RuneStart(b[i]) {
			return !utf8.FullRune(b[i:])
		}
	}
	return false
}

// place returns where among the bytes the byte i of text is; -1 is nowhere.
func (r *reading) place(i int) int {
	if !r.changed {
		return i
	}
	return r.places[i]
}

// span returns the first of the bytes that f has, and the end of the last.
func (r *reading) span(f *detect.Finding) (start, end int) {
	if !r.changed {
		return f.Start, f.End
	}
	start = -1
	for _, p := range r.places[f.Start:f.End] {
		if p >= 0 && (start < 0 || p < start) {
			start = p
		}
		end = max(end, p+1)
	}
	return max(start, 0), end
}

// mark notes which of n bytes belong to found.
func (r *reading) mark(found []detect.Finding, n int) {
	r.marks = slices.Grow(r.marks[:0], n)[:n]
	clear(r.marks)
	for i := range found {
		for _, p := range r.places[found[i].Start:found[i].End] {
			if p >= 0 {
				r.marks[p] = true
			}
		}
	}
}

// marked reports whether all the bytes of f are marked.
func (r *reading) marked(f *detect.Finding) bool {
	for _, p := range r.places[f.Start:f.End] {
		if p >= 0 && !r.marks[p] {
			return false
		}
	}
	return true
}

const (
	maxSequence     = 64  // bytes of a control sequence
	maxCommand      = 512 // bytes of an operating system command
	maxIntermediate = 4   // bytes before the last of another sequence
)

// escape returns the end of the escape sequence at i, as far as it has come. See
// ECMA-48.
func escape(b []byte, i int) int {
	if i+1 >= len(b) {
		return len(b)
	}
	switch b[i+1] {
	case '[':
		k := i + 2
		for k < len(b) && k-i < maxSequence && (b[k] < 0x40 || b[k] > 0x7e) && !cancels(b[k]) && b[k] != 0x1b {
			k++
		}
		if k < len(b) && k-i < maxSequence && b[k] != 0x1b {
			k++
		}
		return k
	case ']':
		for k := i + 2; k < len(b) && k-i < maxCommand; k++ {
			if b[k] == 7 || b[k] == '\\' && b[k-1] == 0x1b || cancels(b[k]) {
				return k + 1
			}
		}
		return min(len(b), i+maxCommand)
	}
	k := i + 1
	for k < len(b)-1 && k-i < maxIntermediate && b[k] >= 0x20 && b[k] <= 0x2f {
		k++
	}
	if b[k] < ' ' && !cancels(b[k]) { // which does what it does anywhere
		return k
	}
	return k + 1
}

// complete reports whether an escape sequence has its end.
func complete(sequence []byte) bool {
	if len(sequence) < 2 {
		return false
	}
	last := sequence[len(sequence)-1]
	switch sequence[1] {
	case '[':
		return len(sequence) > 2 && last >= 0x40 && last <= 0x7e
	case ']':
		return last == 7 || len(sequence) > 3 && last == '\\' && sequence[len(sequence)-2] == 0x1b
	}
	return last >= 0x30 && last <= 0x7e
}

// cancels reports whether c is one of the control characters, CAN and SUB, that end
// an escape sequence.
func cancels(c byte) bool { return c == 0x18 || c == 0x1a }

// moves reports whether the escape sequence moves what follows it elsewhere.
func moves(sequence []byte) bool {
	last := sequence[len(sequence)-1]
	return len(sequence) > 2 && sequence[1] == '[' && last >= 0x40 && last <= 0x7e &&
		last != 'm' && last != 'K' && last != 'h' && last != 'l'
}

// bare reports whether nothing of the escape sequence is text. On a terminal, it
// has short numbers at most. The output of a command may go to a file, where the
// letter that ends a sequence may begin a value: there, only colours are bare.
func (s *stream) bare(sequence []byte) bool {
	if len(sequence) < 2 || sequence[1] != '[' {
		return len(sequence) < 2 || s.terminal && sequence[1] != ']' && !isDigit(sequence[len(sequence)-1])
	}
	digits := 0
	for i, c := range sequence[2:] {
		if isDigit(c) {
			if digits++; digits > freeDigits {
				return false
			}
			continue
		}
		digits = 0
		if c != ';' && c != ':' && c != '?' {
			return i == len(sequence)-3 && (c == 'm' || s.terminal && c >= 0x40)
		}
	}
	return true
}
