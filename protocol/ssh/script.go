package ssh

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// script has the lines judged that a shell without a terminal is given by its
// input, as in "ssh HOST bash <FILE": the same tripwire as typed, with nothing to
// be guessed. A line is passed on as a whole. One that is refused ends the input,
// since what follows it was written for what it would have done; what was
// passed on before runs to its end.
type script struct {
	ch   *channel
	line []byte // begun, and not passed on yet
	long bool   // the line is passed on without being judged
	over bool
}

// maxScriptLine bounds what is held of a line; a longer one is data.
const maxScriptLine = 16 << 10

// input sees what is written to the shell.
func (s *script) input(b []byte, pass func([]byte) error) error {
	for len(b) > 0 && !s.over {
		n := bytes.IndexByte(b, '\n') + 1
		switch {
		case n == 0 && !s.long && len(s.line)+len(b) <= maxScriptLine:
			s.line = append(s.line, b...)
			return nil
		case n == 0:
			n, s.long = len(b), true
		case s.long:
			s.long = false
			if err := pass(b[:n]); err != nil {
				return err
			}
			b = b[n:]
			continue
		}
		line := b[:n]
		if len(s.line) > 0 {
			s.line = append(s.line, line...)
			line = s.line
		}
		if !s.long && !s.may(line) {
			s.end()
			return nil
		}
		if err := pass(line); err != nil {
			return err
		}
		s.line = s.line[:0]
		b = b[n:]
	}
	return nil
}

// last passes on a line that has no end.
func (s *script) last(pass func([]byte) error) error {
	if s.over || len(s.line) == 0 || !s.may(s.line) {
		return nil
	}
	return pass(s.line)
}

// end ends the shell's input.
func (s *script) end() {
	s.over, s.line = true, nil
	s.ch.up.CloseWrite()
}

// may judges a line. What no shell would take for a command is data.
func (s *script) may(line []byte) bool {
	text := strings.TrimSpace(string(line))
	if text == "" || text[0] == '#' || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' }) {
		return true
	}
	if !s.ch.mayRun(text) {
		s.ch.refusedLine.Store(true)
		return false
	}
	return true
}
