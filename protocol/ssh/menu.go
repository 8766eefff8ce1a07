package ssh

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// menu is a list on a terminal from which one entry is chosen: by arrows, or by
// typing part of its name. It is drawn with what every terminal since the VT100
// understands.
type menu struct {
	choices       []Choice
	columns, rows int

	filter string
	shown  []int // places in choices that match
	cursor int   // place in shown
	top    int   // first of shown on the screen
	escape []byte
}

// pressed is what a key meant.
type pressed uint8

const (
	pressedNothing pressed = iota
	pressedEnter           // current is chosen
	pressedLeave
)

const (
	enterScreen = "\x1b[?1049h\x1b[H\x1b[2J"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

func newMenu(choices []Choice, columns, rows int) *menu {
	m := &menu{choices: choices}
	m.resize(columns, rows)
	m.match()
	return m
}

func (m *menu) resize(columns, rows int) {
	if columns <= 0 || rows <= 0 {
		columns, rows = 80, 24
	}
	m.columns, m.rows = min(columns, 500), min(rows, 500)
}

// current is the entry under the cursor; ok is false when none matches.
func (m *menu) current() (c Choice, ok bool) {
	if len(m.shown) == 0 {
		return Choice{}, false
	}
	return m.choices[m.shown[m.cursor]], true
}

// match finds the entries that hold the filter's text.
func (m *menu) match() {
	m.shown, m.cursor, m.top = m.shown[:0], 0, 0
	for i, c := range m.choices {
		if strings.Contains(strings.ToLower(c.login()+" "+c.About), strings.ToLower(m.filter)) {
			m.shown = append(m.shown, i)
		}
	}
}

func (m *menu) move(by int) {
	if n := len(m.shown); n > 0 {
		m.cursor = max(0, min(n-1, m.cursor+by))
	}
}

// press takes one byte of what is typed.
func (m *menu) press(b byte) pressed {
	if len(m.escape) > 0 {
		return m.inEscape(b)
	}
	switch {
	case b == '\r' || b == '\n':
		if _, ok := m.current(); ok {
			return pressedEnter
		}
	case b == 0x1b:
		m.escape = append(m.escape[:0], b)
	case b == 3 || b == 4 || b == 'q' && m.filter == "": // Ctrl-C, Ctrl-D
		return pressedLeave
	case b == 0x10: // Ctrl-P
		m.move(-1)
	case b == 0x0e: // Ctrl-N
		m.move(1)
	case b == 0x15: // Ctrl-U
		m.filter = ""
		m.match()
	case b == 0x7f || b == '\b':
		if m.filter != "" {
			m.filter = m.filter[:len(m.filter)-1]
			m.match()
		}
	case b == '/' && m.filter == "": // as in pagers, so that a name may begin with q
		m.filter = " "
		m.match()
	case b > ' ' && b < 0x7f && len(m.filter) < 64:
		m.filter = strings.TrimPrefix(m.filter, " ") + string(b)
		m.match()
	}
	return pressedNothing
}

// inEscape reads the rest of an escape sequence: arrows, page keys, home and end.
func (m *menu) inEscape(b byte) pressed {
	m.escape = append(m.escape, b)
	if len(m.escape) == 2 && (b == '[' || b == 'O') {
		return pressedNothing
	}
	if len(m.escape) < 16 && (b >= '0' && b <= '9' || b == ';') {
		return pressedNothing
	}
	sequence := string(m.escape[1:])
	m.escape = m.escape[:0]
	page := max(1, m.height()-1)
	switch sequence {
	case "[A", "OA":
		m.move(-1)
	case "[B", "OB":
		m.move(1)
	case "[5~":
		m.move(-page)
	case "[6~":
		m.move(page)
	case "[H", "OH", "[1~":
		m.move(-len(m.shown))
	case "[F", "OF", "[4~":
		m.move(len(m.shown))
	}
	return pressedNothing
}

// height is how many entries fit on the screen.
func (m *menu) height() int { return max(1, m.rows-4) }

// draw returns the bytes that draw the menu anew.
func (m *menu) draw() string {
	if m.cursor < m.top {
		m.top = m.cursor
	}
	if m.cursor >= m.top+m.height() {
		m.top = m.cursor - m.height() + 1
	}
	width := 0
	for _, i := range m.shown {
		width = max(width, utf8.RuneCountInString(printable(m.choices[i].login())))
	}
	var b strings.Builder
	b.WriteString("\x1b[?25l\x1b[H")
	line := func(text string, reversed bool) {
		if r := []rune(text); len(r) > m.columns-1 {
			text = string(r[:max(0, m.columns-1)])
		}
		if reversed {
			text = "\x1b[7m" + text + "\x1b[0m"
		}
		b.WriteString(text + "\x1b[K\r\n")
	}
	title := "Where to?"
	if m.filter != "" {
		title += "  /" + strings.TrimSpace(m.filter)
	}
	line(title, false)
	line("", false)
	for i := m.top; i < min(len(m.shown), m.top+m.height()); i++ {
		c := m.choices[m.shown[i]]
		line(fmt.Sprintf("  %-*s  %s  ", width, printable(c.login()), printable(c.About)), i == m.cursor)
	}
	if len(m.shown) == 0 {
		line("  no resource has a name like this", false)
	}
	b.WriteString("\x1b[J")
	hint := "arrows, Enter: connect, type to filter, q: leave"
	if len(m.shown) > m.height() {
		hint = fmt.Sprintf("%d of %d; ", m.cursor+1, len(m.shown)) + hint
	}
	b.WriteString("\r\n" + hint[:min(len(hint), max(0, m.columns-1))])
	return b.String()
}
