package masking

import "unicode/utf8"

// screen is what a terminal shows, as far as it is needed to read the lines on
// it: characters, the cursor, scrolling, erasing. See ECMA-48 and the VT100's
// manual; what it does not know moves nothing.
type screen struct {
	width, height int
	cells         []cell
	rows          []screenRow
	row, col      int
	saved         [2]int
	top, bottom   int // of the region that scrolls
	state         screenState
	params        [8]int
	count         int  // of params
	private       bool // the sequence has a '?'
	char          [utf8.UTFMax]byte
	have, charAt  int // bytes of an unfinished character, and where it begins

	// leave is called with a row that is about to scroll away.
	leave func(row int)
}

// cell is one character. at is where its bytes begin in what is being written, -1
// when it was written before. The zero value is blank.
type cell struct {
	r     rune
	at    int32
	shown cellShown
}

// cellShown is what the user's terminal shows of a cell.
type cellShown uint8

const (
	shownAsIs   cellShown = iota
	shownHidden           // a star
	shownDue              // what belongs to a value, and is to become a star
)

type screenRow struct {
	dirty bool // something was written since it was read last
	waits bool // it has cells whose bytes were not passed on
	full  bool // the line may go on in the next row
}

type screenState uint8

const (
	screenGround screenState = iota
	screenEscape
	screenSequence
	screenString // OSC, DCS …, which show nothing
	screenStringEscape
	screenSkip // one more byte
)

const (
	maxWidth  = 512
	maxHeight = 256
)

// resize makes the screen that size, within bounds, and clears it when that
// changes it.
func (s *screen) resize(width, height int) {
	if width <= 0 {
		width = 80
	}
	if height <= 0 {
		height = 24
	}
	width, height = min(width, maxWidth), min(height, maxHeight)
	if width == s.width && height == s.height {
		return
	}
	s.width, s.height, s.top, s.bottom = width, height, 0, height-1
	s.cells, s.rows = make([]cell, width*height), make([]screenRow, height)
	s.row, s.col = min(s.row, height-1), min(s.col, width-1)
}

func (s *screen) line(row int) []cell { return s.cells[row*s.width : (row+1)*s.width] }

// write shows b, whose first byte is at position at of the caller's.
func (s *screen) write(b []byte, at int) {
	for i, c := range b {
		s.one(c, at+i)
	}
}

func (s *screen) one(c byte, at int) {
	if cancels(c) {
		s.state = screenGround
	}
	switch s.state {
	case screenGround:
		s.ground(c, at)
	case screenEscape:
		if c < 0x20 { // it does what it does anywhere
			s.ground(c, at)
			return
		}
		s.escape(c)
	case screenSequence:
		s.sequence(c)
	case screenString:
		switch c {
		case 7:
			s.state = screenGround
		case 0x1b:
			s.state = screenStringEscape
		}
	case screenStringEscape:
		s.state = screenString
		if c == '\\' {
			s.state = screenGround
		}
	case screenSkip:
		s.state = screenGround
	}
}

func (s *screen) ground(c byte, at int) {
	if s.have > 0 && c&0xC0 == 0x80 && s.have < len(s.char) {
		s.char[s.have] = c
		s.have++
		if utf8.FullRune(s.char[:s.have]) {
			r, _ := utf8.DecodeRune(s.char[:s.have])
			s.have = 0
			if r >= 0x80 && r < 0xA0 { // one control character for an escape and a letter
				s.escape(byte(r - 0x40))
				return
			}
			s.put(r, s.charAt)
		}
		return
	}
	s.have = 0
	switch {
	case c >= 0xC0:
		s.char[0], s.have, s.charAt = c, 1, at
	case c >= 0x20 && c != 0x7f && c < 0x80:
		s.put(rune(c), at)
	case c == 0x1b:
		s.state = screenEscape
	case c == '\r':
		s.col = 0
	case c == '\n', c == '\v', c == '\f':
		s.down()
	case c == '\b':
		s.col = max(min(s.col, s.width-1)-1, 0)
	case c == '\t':
		s.col = min(s.col/8*8+8, s.width-1)
	}
}

// put shows r at the cursor. Behind the last column, the line goes on in the next
// row.
func (s *screen) put(r rune, at int) {
	if s.col >= s.width {
		s.col = 0
		s.down()
	}
	s.line(s.row)[s.col] = cell{r: r, at: int32(at)}
	s.rows[s.row].dirty, s.rows[s.row].waits = true, true
	if s.col == s.width-1 {
		s.rows[s.row].full = true
	}
	s.col++
}

func (s *screen) down() {
	if s.row != s.bottom {
		s.row = min(s.row+1, s.height-1)
		return
	}
	s.scroll(s.top, s.bottom, 1)
}

// scroll moves the rows from top to bottom up by n, or down when n is negative.
func (s *screen) scroll(top, bottom, n int) {
	size := bottom - top + 1
	if n >= 0 {
		n = min(n, size)
		if s.leave != nil {
			for r := top; r < top+n; r++ {
				if s.rows[r].dirty {
					s.leave(r)
				}
			}
		}
		copy(s.cells[top*s.width:(bottom+1)*s.width], s.cells[(top+n)*s.width:(bottom+1)*s.width])
		copy(s.rows[top:bottom+1], s.rows[top+n:bottom+1])
		s.erase(bottom-n+1, bottom)
		return
	}
	n = min(-n, size)
	if s.leave != nil {
		for r := bottom - n + 1; r <= bottom; r++ {
			if s.rows[r].dirty {
				s.leave(r)
			}
		}
	}
	copy(s.cells[(top+n)*s.width:(bottom+1)*s.width], s.cells[top*s.width:(bottom+1-n)*s.width])
	copy(s.rows[top+n:bottom+1], s.rows[top:bottom+1-n])
	s.erase(top, top+n-1)
}

// erase clears the rows from first to last. What is on them is read before.
func (s *screen) erase(first, last int) {
	for r := first; r <= last; r++ {
		clear(s.line(r))
		s.rows[r] = screenRow{}
	}
}

// forget is erase for rows that may hold something that was not read.
func (s *screen) forget(first, last int) {
	for r := first; r <= last; r++ {
		if s.rows[r].dirty && s.leave != nil {
			s.leave(r)
		}
	}
	s.erase(first, last)
}

func (s *screen) escape(c byte) {
	s.state = screenGround
	switch c {
	case '[':
		s.state, s.count, s.private, s.params = screenSequence, 0, false, [8]int{}
	case ']', 'P', 'X', '^', '_':
		s.state = screenString
	case '(', ')', '*', '+', '#', '%', ' ':
		s.state = screenSkip
	case '7':
		s.saved = [2]int{s.row, s.col}
	case '8':
		s.row, s.col = min(s.saved[0], s.height-1), min(s.saved[1], s.width-1)
	case 'D':
		s.down()
	case 'E':
		s.col = 0
		s.down()
	case 'M':
		if s.row == s.top {
			s.scroll(s.top, s.bottom, -1)
		} else {
			s.row = max(s.row-1, 0)
		}
	case 'c':
		s.forget(0, s.height-1)
		s.row, s.col, s.top, s.bottom = 0, 0, 0, s.height-1
	}
}

func (s *screen) sequence(c byte) {
	switch {
	case c >= '0' && c <= '9':
		if s.count == 0 {
			s.count = 1
		}
		if p := &s.params[s.count-1]; *p < 10000 {
			*p = *p*10 + int(c-'0')
		}
	case c == ';' || c == ':':
		if s.count == 0 {
			s.count = 1
		}
		if s.count < len(s.params) {
			s.count++
		}
	case c == '?':
		s.private = true
	case c < 0x20:
		s.ground(c, -1)
		if c == 0x1b {
			s.state = screenEscape
		}
	case c >= 0x40:
		s.state = screenGround
		s.control(c)
	}
}

// control does what a control sequence with the final byte c says.
func (s *screen) control(c byte) {
	n := max(s.params[0], 1)
	s.col = min(s.col, s.width-1)
	switch c {
	case 'A':
		s.row = max(s.row-n, 0)
	case 'B', 'e':
		s.row = min(s.row+n, s.height-1)
	case 'C', 'a':
		s.col = min(s.col+n, s.width-1)
	case 'D':
		s.col = max(s.col-n, 0)
	case 'E':
		s.row, s.col = min(s.row+n, s.height-1), 0
	case 'F':
		s.row, s.col = max(s.row-n, 0), 0
	case 'G', '`':
		s.col = min(n-1, s.width-1)
	case 'd':
		s.row = min(n-1, s.height-1)
	case 'H', 'f':
		s.row, s.col = min(n-1, s.height-1), min(max(s.params[1], 1)-1, s.width-1)
	case 'J':
		s.eraseScreen(s.params[0])
	case 'K':
		s.eraseLine(s.params[0])
	case 'X':
		clear(s.line(s.row)[s.col:min(s.col+n, s.width)])
	case 'P':
		l := s.line(s.row)[s.col:]
		n = min(n, len(l))
		copy(l, l[n:])
		clear(l[len(l)-n:])
		s.rows[s.row].dirty = true
	case '@':
		l := s.line(s.row)[s.col:]
		n = min(n, len(l))
		copy(l[n:], l)
		clear(l[:n])
		s.rows[s.row].dirty = true
	case 'L', 'M':
		if s.row >= s.top && s.row <= s.bottom {
			if c == 'L' {
				n = -n
			}
			s.scroll(s.row, s.bottom, n)
		}
	case 'S':
		s.scroll(s.top, s.bottom, n)
	case 'T':
		s.scroll(s.top, s.bottom, -n)
	case 'r':
		top, bottom := n-1, s.params[1]-1
		if bottom < 0 || bottom >= s.height {
			bottom = s.height - 1
		}
		if top < bottom {
			s.top, s.bottom = top, bottom
		}
		s.row, s.col = 0, 0
	case 's':
		s.saved = [2]int{s.row, s.col}
	case 'u':
		s.row, s.col = min(s.saved[0], s.height-1), min(s.saved[1], s.width-1)
	case 'h', 'l':
		if s.private && (s.params[0] == 47 || s.params[0] == 1047 || s.params[0] == 1049) {
			s.forget(0, s.height-1) // the other screen
		}
	}
}

func (s *screen) eraseScreen(how int) {
	switch how {
	case 0:
		s.eraseLine(0)
		s.forget(s.row+1, s.height-1)
	case 1:
		s.eraseLine(1)
		s.forget(0, s.row-1)
	default:
		s.forget(0, s.height-1)
	}
}

func (s *screen) eraseLine(how int) {
	if s.rows[s.row].dirty && s.leave != nil {
		s.leave(s.row)
	}
	l := s.line(s.row)
	switch how {
	case 0:
		clear(l[s.col:])
		s.rows[s.row].full = false
	case 1:
		clear(l[:s.col+1])
	default:
		clear(l)
		s.rows[s.row].full = false
	}
}

// read calls each with the text of every line that something was written on, and
// for each of its bytes the cell that it is from. A line is a row and those that
// it goes on in.
func (s *screen) read(first, last int, each func(text []byte, cells []*cell), text []byte, cells []*cell) ([]byte, []*cell) {
	for r := first; r <= last; r++ {
		for r > 0 && r == first && s.rows[r-1].full { // from the line's beginning
			r--
			first = r
		}
		end := r
		dirty := s.rows[r].dirty
		for end < s.height-1 && s.rows[end].full {
			end++
			dirty = dirty || s.rows[end].dirty
		}
		if dirty {
			text, cells = text[:0], cells[:0]
			for k := r; k <= end; k++ {
				l := s.line(k)
				for i := range l {
					n := len(text)
					switch {
					case l[i].r == 0:
						text = append(text, ' ')
					case l[i].r < 0x80:
						text = append(text, byte(l[i].r))
					default:
						text = utf8.AppendRune(text, l[i].r)
					}
					for ; n < len(text); n++ {
						cells = append(cells, &l[i])
					}
				}
				s.rows[k].dirty = false
			}
			each(text, cells)
		}
		r = end
	}
	return text, cells
}

// passed says that what was written before cut was passed on, and that positions
// count from from on. Lines on which something waits are read again.
func (s *screen) passed(cut, from int) {
	for r := range s.rows {
		if !s.rows[r].waits {
			continue
		}
		s.rows[r].waits = false
		l := s.line(r)
		for i := range l {
			switch at := int(l[i].at); {
			case l[i].r == 0 || at < 0:
			case at < cut:
				l[i].at = -1
			default:
				l[i].at = int32(at - from)
				s.rows[r].waits, s.rows[r].dirty = true, true
			}
		}
	}
}

// rest says that nothing of what was written needs to be read.
func (s *screen) rest() {
	for r := range s.rows {
		if s.rows[r].waits {
			s.rows[r] = screenRow{full: s.rows[r].full}
			l := s.line(r)
			for i := range l {
				l[i].at = -1
			}
		}
	}
}
