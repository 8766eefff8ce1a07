// Package screen tells what of a terminal's output draws, and what of it is text.
package screen

import (
	"bytes"
	"unicode/utf8"
)

// Screen passes on of a terminal's output what draws on the screen, and leaves
// out what else it could do to the terminal that shows it (ECMA-48, and xterm's
// control sequences): answers to queries, the clipboard, titles, modes of
// mouse and keyboard, printing. The zero Screen is at the beginning of a stream.
type Screen struct {
	state screenState
	seq   []byte // of the sequence that is being read
	rune  []byte // beginning of a character
}

type screenState uint8

const (
	ground  screenState = iota
	escape              // after ESC
	control             // in a control sequence, after ESC [
	text                // in a string that is dropped, after ESC ] and the like
	textEnd             // there, after an ESC
)

// maxSequence bounds a control sequence, in bytes. Longer ones are dropped.
const maxSequence = 64

// Append appends to dst what src draws. Sequences and characters may be cut
// between calls.
func (s *Screen) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		if s.state == ground && len(s.rune) == 0 {
			n := asItIs(src)
			dst = append(dst, src[:n]...)
			if src = src[n:]; len(src) == 0 {
				break
			}
		}
		c := src[0]
		src = src[1:]
		switch s.state {
		case ground:
			dst = s.ground(dst, c)
		case escape:
			dst = s.escape(dst, c)
		case control:
			dst = s.control(dst, c)
		case text:
			switch c {
			case 0x07, 0x18, 0x1a: // BEL ends it; CAN and SUB give it up
				s.state = ground
			case 0x1b:
				s.state = textEnd
			}
		case textEnd:
			s.state = ground
			if c != '\\' { // the ESC began something else
				s.begin()
				dst = s.escape(dst, c)
			}
		}
	}
	return dst
}

// asItIs is how much of the beginning of b is characters, and controls, that draw and
// are passed on as they are.
func asItIs(b []byte) int {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if !drawn[c] {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r < 0xa0 || n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// drawn says of each ASCII character whether it draws.
var drawn = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c < 0x7f || bytes.IndexByte([]byte("\n\r\t\b\x0e\x0f"), byte(c)) >= 0
	}
	return t
}()

func (s *Screen) begin() { s.state, s.seq = escape, append(s.seq[:0], 0x1b) }

func (s *Screen) ground(dst []byte, c byte) []byte {
	if len(s.rune) > 0 || c >= utf8.RuneSelf {
		return s.character(dst, c)
	}
	switch {
	case c == 0x1b:
		s.begin()
	case drawn[c]:
		dst = append(dst, c)
	}
	return dst
}

// character collects a character of several bytes. Those that are controls, or
// none, show as U+FFFD.
func (s *Screen) character(dst []byte, c byte) []byte {
	if len(s.rune) > 0 && utf8.RuneStart(c) { // the one before was not finished
		s.rune = s.rune[:0]
		return s.ground(append(dst, "\ufffd"...), c)
	}
	s.rune = append(s.rune, c)
	if !utf8.FullRune(s.rune) {
		return dst
	}
	r, _ := utf8.DecodeRune(s.rune)
	if r < 0xa0 {
		r = utf8.RuneError
	}
	s.rune = s.rune[:0]
	return utf8.AppendRune(dst, r)
}

func (s *Screen) escape(dst []byte, c byte) []byte {
	s.seq = append(s.seq, c)
	switch {
	case c == '[':
		s.state = control
		return dst
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_' || c == 'k':
		s.state = text
		return dst
	case c >= 0x20 && c < 0x30 && len(s.seq) < 4: // which character set follows
		return dst
	case c == 0x1b:
		s.begin()
		return dst
	}
	s.state = ground
	switch {
	case len(s.seq) == 2 && bytes.IndexByte([]byte("78DEHMc=>"), c) >= 0,
		len(s.seq) == 3 && bytes.IndexByte([]byte("()*+"), s.seq[1]) >= 0 && bytes.IndexByte([]byte("0AB"), c) >= 0,
		len(s.seq) == 3 && s.seq[1] == '#' && c == '8':
		dst = append(dst, s.seq...)
	}
	return dst
}

func (s *Screen) control(dst []byte, c byte) []byte {
	switch {
	case c == 0x1b:
		s.begin()
		return dst
	case c == 0x18 || c == 0x1a:
		s.state = ground
		return dst
	case c < 0x20: // acts in the middle of the sequence, as it would outside
		return s.ground(dst, c)
	}
	if len(s.seq) < maxSequence {
		s.seq = append(s.seq, c)
	}
	if c < 0x40 {
		return dst
	}
	s.state = ground
	if c < 0x7f && len(s.seq) < maxSequence && draws(s.seq[2:len(s.seq)-1], c) {
		dst = append(dst, s.seq...)
	}
	return dst
}

// draws reports whether a control sequence only draws.
func draws(params []byte, final byte) bool {
	private := len(params) > 0 && params[0] >= '<'
	if bytes.IndexFunc(params, func(r rune) bool { return r >= 0x20 && r < 0x30 }) >= 0 {
		return final == 'q' && !private && params[len(params)-1] == ' ' // the cursor's form
	}
	switch final {
	case 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'L', 'M', 'P', 'X', 'Z', '`', 'a', 'd', 'e', 'f', 'g', 'm', 'r', 's', 'u', '@':
		return !private
	case 'S', 'T': // with more parameters it is about the mouse
		return !private && bytes.IndexByte(params, ';') < 0
	case 'b': // how often the last character comes again
		return !private && len(params) <= 3
	case 'J', 'K':
		return !private || params[0] == '?'
	case 'h', 'l':
		return !private && (len(params) == 1 && (params[0] == '4' || params[0] == '2')) || private && screenMode(params)
	}
	return false
}

// screenMode reports whether all of the private modes are of the screen.
func screenMode(params []byte) bool {
	if params[0] != '?' {
		return false
	}
	for mode := range bytes.SplitSeq(params[1:], []byte{';'}) {
		switch string(mode) {
		case "1", "3", "5", "6", "7", "12", "25", "45", "47", "1047", "1048", "1049", "2026":
		default:
			return false
		}
	}
	return true
}
