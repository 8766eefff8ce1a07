package masking

import (
	"fmt"
	"strings"
)

// What was drawn before a value was whole, by a program that pauses or that draws
// its parts at different places, is drawn over with stars as soon as it is: the
// cursor goes there and comes back. Lines that have scrolled away stay.

// movesCursor reports whether the type of a terminal, as in TERM, is of those that
// know ECMA-48's CUU, CUD and CHA.
func movesCursor(term string) bool {
	for _, family := range []string{"xterm", "screen", "tmux", "linux", "rxvt", "alacritty", "kitty", "foot", "wezterm", "gnome", "konsole", "putty", "iterm", "st-", "vte", "ghostty"} {
		if strings.HasPrefix(strings.ToLower(term), family) {
			return true
		}
	}
	return false
}

// redraw appends what draws stars over the cells that are due. It is called when
// all that the screen was told of is passed on. When the cursor would not come
// back to where it is, it waits for the next call.
func (s *stream) redraw(dst []byte) []byte {
	c := s.screen
	if !s.moves {
		s.due = false
		return dst
	}
	if c.state != screenGround || c.have > 0 || c.col >= c.width || s.shown > 0 {
		return dst
	}
	s.due = false
	at := [2]int{c.row, c.col}
	for row := range c.rows {
		line := c.line(row)
		reachable := (row >= c.top && row <= c.bottom) == (c.row >= c.top && c.row <= c.bottom)
		for col := 0; col < len(line); col++ {
			if line[col].shown != shownDue {
				continue
			}
			line[col].shown = shownHidden
			if !reachable || wideRunes(line[:col]) {
				continue
			}
			dst = appendMove(dst, at, [2]int{row, col})
			dst = append(dst, '*')
			at = [2]int{row, col + 1}
		}
	}
	return appendMove(dst, at, [2]int{c.row, c.col})
}

// appendMove appends what moves the cursor between two places, each a row and a
// column from 0 on.
func appendMove(dst []byte, from, to [2]int) []byte {
	switch up := from[0] - to[0]; {
	case up > 0:
		dst = fmt.Appendf(dst, "\x1b[%dA", up)
	case up < 0:
		dst = fmt.Appendf(dst, "\x1b[%dB", -up)
	case from[1] == to[1]:
		return dst
	}
	return fmt.Appendf(dst, "\x1b[%dG", to[1]+1)
}

// wideRunes reports whether cells may hold characters that take two columns, or
// none, so that a cell's column is not known.
func wideRunes(cells []cell) bool {
	for _, c := range cells {
		if c.r >= 0x300 {
			return true
		}
	}
	return false
}
