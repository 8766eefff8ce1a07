package ssh

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// line is the line of a terminal on which the cursor is, as its output draws
// it: characters, corrections, wrapping, the movements that line editors use. It
// knows where a prompt ends when the shell marks that (OSC 133 or 633, "B").
type line struct {
	width int
	cells []rune
	row   int // where the cursor's row begins in cells
	col   int
	// marked is where the prompt ends, by the shell's own word; -1 is unknown.
	marked int
	// lines counts the lines so far.
	lines uint64
	// drawn counts the bytes so far.
	drawn uint64
	// trail is the characters that were drawn since follow was called, wherever they were
	// drawn; nil while nobody follows.
	trail []byte
	// owed is what has still to be drawn of an echo; other output may come between.
	owed []rune
	// full is set while a program uses the screen as a whole.
	full bool
	// bracketed is set while a program has pastes marked as such.
	bracketed bool

	state   lineState
	pending []byte // of an escape sequence, or of a character
}

type lineState uint8

const (
	lineText lineState = iota
	lineEscape
	lineControl  // CSI
	lineCommand  // OSC, and other strings, which end with BEL or ST
	lineCharset  // one byte more
	lineCommand1 // ESC within a string
)

const (
	maxLine    = 8 << 10 // cells
	maxTrail   = 3 * maxAhead
	maxPending = 8 << 10
)

func newLine(width int) *line {
	l := &line{marked: -1}
	l.resize(width)
	return l
}

func (l *line) resize(width int) {
	if width <= 0 {
		width = 80
	}
	l.width = width
}

// cursor is the cursor's place in the line.
func (l *line) cursor() int { return l.row + l.col }

// from returns what the line shows from a place on.
func (l *line) from(place int) string {
	if place < 0 || place > len(l.cells) {
		return ""
	}
	return strings.TrimRight(string(l.cells[place:]), " ")
}

// write draws output.
func (l *line) write(b []byte) {
	l.drawn += uint64(len(b))
	for _, c := range b {
		l.byte(c)
	}
}

func (l *line) byte(c byte) {
	switch l.state {
	case lineEscape:
		l.escape(c)
	case lineControl:
		if l.hold(c); c >= 0x40 && c <= 0x7e {
			l.state = lineText
			l.control(c, string(l.pending[:len(l.pending)-1]))
			l.pending = l.pending[:0]
		}
	case lineCommand:
		switch c {
		case 7:
			l.command()
		case 0x1b:
			l.state = lineCommand1
		default:
			l.hold(c)
		}
	case lineCommand1:
		l.command()
		if c != '\\' {
			l.state = lineEscape
			l.escape(c)
		}
	case lineCharset:
		l.state = lineText
	default:
		l.text(c)
	}
}

func (l *line) hold(c byte) {
	if len(l.pending) < maxPending {
		l.pending = append(l.pending, c)
	}
}

func (l *line) text(c byte) {
	switch {
	case c == '\n', c == 0x0b, c == 0x0c:
		l.next()
	case c == '\r':
		l.col = 0
	case c == '\b':
		l.col = max(0, l.col-1)
	case c == '\t':
		l.leave('\t')
		for l.set(' '); l.col%8 != 0 && l.col < l.width; {
			l.set(' ')
		}
	case c == 0x1b:
		l.pending, l.state = l.pending[:0], lineEscape
	case c < ' ' || c == 0x7f:
	case c < utf8.RuneSelf:
		l.pending = l.pending[:0]
		l.put(rune(c))
	default:
		if l.pending = append(l.pending, c); utf8.FullRune(l.pending) || len(l.pending) >= utf8.UTFMax {
			r, _ := utf8.DecodeRune(l.pending)
			l.pending = l.pending[:0]
			l.put(r)
		}
	}
}

// follow begins a trail.
func (l *line) follow() { l.trail = make([]byte, 0, 64) }

// trailed reports whether text was drawn in one piece since follow was called.
func (l *line) trailed(text string) bool { return bytes.Contains(l.trail, []byte(text)) }

// next begins a new line.
func (l *line) next() {
	l.leave('\n')
	l.cells, l.row, l.col, l.marked = l.cells[:0], 0, 0, -1
	l.lines++
}

func (l *line) leave(r rune) {
	if l.trail != nil && len(l.trail) < maxTrail {
		l.trail = utf8.AppendRune(l.trail, r)
	}
	if len(l.owed) > 0 && l.owed[0] == r {
		l.owed = l.owed[1:]
	}
}

func (l *line) put(r rune) {
	l.leave(r)
	l.set(r)
}

// set draws r at the cursor.
func (l *line) set(r rune) {
	if l.col >= l.width {
		l.row, l.col = l.row+l.width, 0
	}
	at := l.cursor()
	if at >= maxLine {
		return
	}
	for len(l.cells) <= at {
		l.cells = append(l.cells, ' ')
	}
	l.cells[at] = r
	l.col++
}

func (l *line) escape(c byte) {
	switch c {
	case '[':
		l.state = lineControl
	case ']', 'P', 'X', '^', '_':
		l.state = lineCommand
	case '(', ')', '*', '+', '#', '%', ' ':
		l.state = lineCharset
	case 'c', 'D', 'E', 'M':
		l.state = lineText
		l.next()
	default:
		l.state = lineText
	}
}

// control acts on a CSI sequence (ECMA-48, section 8.3).
func (l *line) control(final byte, args string) {
	n := func(unset int) int {
		first, _, _ := strings.Cut(args, ";")
		v, err := strconv.Atoi(first)
		if err != nil || v < 0 {
			return unset
		}
		return min(v, maxLine)
	}
	at := min(l.cursor(), len(l.cells))
	switch final {
	case 'C':
		l.col = min(l.width-1, l.col+max(1, n(1)))
	case 'D':
		l.col = max(0, l.col-max(1, n(1)))
	case 'G':
		l.col = max(0, min(l.width, n(1))-1)
	case 'A':
		l.row = max(0, l.row-l.width*max(1, n(1)))
	case 'B':
		l.row = min(l.row+l.width*max(1, n(1)), max(l.row, len(l.cells)/l.width*l.width))
	case 'K', 'J':
		switch n(0) {
		case 0:
			l.cells = l.cells[:at]
		case 2, 3:
			l.cells = l.cells[:0]
		}
	case 'P': // delete characters
		l.cells = append(l.cells[:at], l.cells[min(len(l.cells), at+max(1, n(1))):]...)
	case '@': // insert blanks
		if k := max(1, n(1)); len(l.cells)+k <= maxLine {
			l.cells = append(l.cells[:at], append([]rune(strings.Repeat(" ", k)), l.cells[at:]...)...)
		}
	case 'H', 'f', 'd', 'L', 'M':
		l.next()
	case 'h', 'l':
		modes, private := strings.CutPrefix(args, "?")
		for mode := range strings.SplitSeq(modes, ";") {
			switch {
			case !private:
			case mode == "47" || mode == "1047" || mode == "1049":
				l.full = final == 'h'
				l.next()
			case mode == "2004":
				l.bracketed = final == 'h'
			}
		}
	}
}

// command acts on an OSC string: the marks of shells.
func (l *line) command() {
	l.state = lineText
	mark, ok := bytes.CutPrefix(l.pending, []byte("133;"))
	if !ok {
		mark, ok = bytes.CutPrefix(l.pending, []byte("633;"))
	}
	if ok && len(mark) > 0 {
		switch mark[0] {
		case 'B':
			l.marked = l.cursor()
		case 'A', 'C', 'D':
			l.marked = -1
		}
	}
	l.pending = l.pending[:0]
}
