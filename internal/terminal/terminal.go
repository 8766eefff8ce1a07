// Package terminal makes texts of unknown origin safe to show on a terminal.
package terminal

import "strings"

// Visible returns s as one line that a terminal can be sent. Line breaks and tabs
// become spaces, other control characters become their pictures (ESC becomes ␛), and
// what reorders or breaks text without being seen becomes U+FFFD. What is safe
// stays as it is, so that Visible of its own result changes nothing.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20:
			return '␀' + r
		case r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\ufffd'
		}
		return r
	}, s)
}

// VisibleLines returns s with each of its lines as Visible returns it.
func VisibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Visible(l)
	}
	return strings.Join(lines, "\n")
}
