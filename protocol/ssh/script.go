package ssh

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// script has the lines judged that a shell without a terminal is given by its
// input, as in "ssh HOST bash <FILE": the same tripwire as typed, with nothing to
// be guessed. A line is passed on as a whole, and together with others that may run. One
// that is refused ends the input, since what follows it was written for what it would have
// done; what was passed on before runs to its end.
type script struct {
	ch     *channel
	line   []byte // begun, and not judged yet
	long   bool   // the line is data, of which the beginning was not judged
	ready  []byte // may run, and is not passed on yet
	over   bool
	failed error // of passing on what may run, while a line waits
}

// maxScriptLine bounds what is held of a line; a longer one is data.
const maxScriptLine = 16 << 10

// input sees what is written to the shell.
func (s *script) input(b []byte, pass func([]byte) error) error {
	s.ch.beforeHold = func() { s.failed = s.flush(pass) }
	for len(b) > 0 && !s.over {
		n := bytes.IndexByte(b, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(b)
		}
		s.line = append(s.line, b[:n]...)
		b = b[n:]
		switch {
		case s.long, !whole && len(s.line) > maxScriptLine:
			s.long = !whole
		case !whole:
			continue
		case !s.may(s.line):
			err := s.flush(pass)
			s.end()
			return err
		}
		s.ready, s.line = append(s.ready, s.line...), s.line[:0]
	}
	return s.flush(pass)
}

// flush passes on what may run.
func (s *script) flush(pass func([]byte) error) error {
	if s.failed != nil || len(s.ready) == 0 {
		return s.failed
	}
	err := pass(s.ready)
	s.ready = s.ready[:0]
	return err
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
	s.over, s.line, s.ready = true, nil, nil
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
