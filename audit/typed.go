package audit

import (
	"bytes"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// inputTape records the lines that are typed at a terminal. The gateway cannot
// see whether a terminal echoes, so it waits for the echo: a line is recorded
// once every character of it has come back, next and in order. What is typed at
// a prompt that shows nothing never is; neither are lines that were edited in
// ways that the echo does not follow. So nothing is recorded of the input that
// the terminal has not shown.
type inputTape struct {
	r  *recorder
	op uint64

	mu     sync.Mutex
	typed  []byte // waits for its echo
	line   []byte // echoed, of the line that is being typed
	broken bool   // something of this line was not echoed
}

// maxTyped bounds what may wait for its echo, in bytes.
const maxTyped = 4 << 10

// inputOf is the tape of what is typed at op's terminal.
func (r *recorder) inputOf(op uint64) *inputTape {
	r.noted.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tapes[op] {
		if in, ok := t.(*inputTape); ok {
			return in
		}
	}
	if r.tapes == nil {
		r.tapes = make(map[uint64][]tape)
	}
	in := &inputTape{r: r, op: op}
	r.tapes[op] = append(r.tapes[op], in)
	return in
}

func (t *inputTape) finish() error { return nil }

// type_ notes what was typed.
func (t *inputTape) type_(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.typed)+len(b) > maxTyped {
		// A paste that is not echoed in time is not recorded.
		t.typed, t.line, t.broken = t.typed[:0], t.line[:0], !endsLine(b)
		return
	}
	t.typed = append(t.typed, b...)
}

const (
	interrupt = 0x03
	erase     = 0x7f
)

func endsLine(b []byte) bool { return len(b) > 0 && isEnd(b[len(b)-1]) }

func isEnd(c byte) bool { return c == '\r' || c == '\n' || c == interrupt }

// show compares what the terminal shows with what was typed, and records the
// lines that came back whole.
func (t *inputTape) show(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.typed) > 0 && len(b) > 0 {
		c := t.typed[0]
		n := 0
		if isEnd(c) {
			if err := t.end(c); err != nil {
				return err
			}
			b = bytes.TrimLeft(b, "\r\n")
		} else if n = t.echo(c, b); n == 0 || t.broken {
			t.forget()
			return nil // what is shown here is not an echo
		}
		b, t.typed = b[n:], t.typed[1:]
	}
	return nil
}

// echo takes c into the line when b begins with its echo, whose length it
// returns; 0 when b does not.
func (t *inputTape) echo(c byte, b []byte) int {
	switch {
	case c == b[0] && c >= 0x20 && c != erase:
		t.line = append(t.line, c)
		return 1
	case c == erase && len(t.line) > 0:
		t.line = t.line[:len(t.line)-1]
		return erased(b)
	}
	return 0
}

// forget drops what was typed up to the end of its line.
func (t *inputTape) forget() {
	t.line = t.line[:0]
	for i, c := range t.typed {
		if isEnd(c) {
			t.typed, t.broken = t.typed[i+1:], false
			return
		}
	}
	t.typed, t.broken = t.typed[:0], true
}

// end ends a line with c.
func (t *inputTape) end(c byte) error {
	line, broken := t.line, t.broken
	t.line, t.broken = t.line[:0], false
	if c == interrupt || broken || len(line) == 0 {
		return nil
	}
	typed := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindInput}, Command: string(line), Terminal: true}
	if redacted := t.r.session.Redacted(t.r.session.Context(), typed); redacted != nil {
		line = redacted.Text
	}
	return t.r.put(RecordingInput, t.op, "terminal", func(b []byte) []byte { return data(b, append(line, '\r')) })
}

// erased returns the length of the echo of an erased character, 0 when b does
// not begin with one.
func erased(b []byte) int {
	for _, echo := range []string{"\b \b", "\b\x1b[K"} {
		if bytes.HasPrefix(b, []byte(echo)) {
			return len(echo)
		}
	}
	return 0
}
