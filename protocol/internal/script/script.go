// Package script has the lines judged that a shell without a terminal is given by its input, as in "ssh HOST bash <FILE" and
// "kubectl exec -i POD -- sh <FILE". It is a tripwire: a shell has endless ways to run what no line says.
package script

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Lines are those of one shell. A line is passed on as a whole, and together with others that may run. One
// that is refused ends the input, since what follows it was written for what it would have
// done; what was passed on before runs to its end.
type Lines struct {
	// May reports whether a line may run, and tells the client when it may not.
	May func(line string) bool
	// End ends the shell's input. It is called when a line is refused.
	End func()

	pass   func([]byte) error
	line   []byte // begun, and not judged yet
	long   bool   // the line is data, of which the beginning was not judged
	ready  []byte // may run, and is not passed on yet
	over   bool
	failed error // of passing on what may run, while a line waits
}

// maxLine bounds what is held of a line; a longer one is data.
const maxLine = 16 << 10

// Input sees what is written to the shell.
func (l *Lines) Input(b []byte, pass func([]byte) error) error {
	l.pass = pass
	for len(b) > 0 && !l.over {
		n := bytes.IndexByte(b, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(b)
		}
		l.line = append(l.line, b[:n]...)
		b = b[n:]
		switch {
		case l.long, !whole && len(l.line) > maxLine:
			l.long = !whole
		case !whole:
			continue
		case !l.may(l.line):
			err := l.flush()
			l.over, l.line, l.ready = true, nil, nil
			l.End()
			return err
		}
		l.ready, l.line = append(l.ready, l.line...), l.line[:0]
	}
	return l.flush()
}

// Waits passes on what comes before a line that waits for a decision. May is running.
func (l *Lines) Waits() {
	if l.pass != nil {
		l.failed = l.flush()
	}
}

// flush passes on what may run.
func (l *Lines) flush() error {
	if l.failed != nil || len(l.ready) == 0 {
		return l.failed
	}
	err := l.pass(l.ready)
	l.ready = l.ready[:0]
	return err
}

// Last passes on a line that has no end.
func (l *Lines) Last(pass func([]byte) error) error {
	if l.over || len(l.line) == 0 || !l.may(l.line) {
		return nil
	}
	return pass(l.line)
}

// may judges a line. What no shell would take for a command is data.
func (l *Lines) may(line []byte) bool {
	text := strings.TrimSpace(string(line))
	if text == "" || text[0] == '#' || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' }) {
		return true
	}
	return l.May(text)
}
