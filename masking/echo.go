package masking

import "sync"

// typed is what a user typed in a terminal and has not been shown yet. It is used
// by both directions of the terminal.
type typed struct {
	mu  sync.Mutex
	buf []byte
}

const maxTyped = 64

// add notes what was typed. What is pasted is not waited for.
func (t *typed) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(b) > maxTyped/2 || len(t.buf)+len(b) > maxTyped {
		t.buf = t.buf[:0]
		return
	}
	t.buf = append(t.buf, b...)
}

// echoes reports whether b, which comes from the other side, is what was typed
// next.
func (t *typed) echoes(b []byte) bool {
	if t == nil || len(b) > maxTyped/2 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return false
	}
	n := 0
	for n < len(b) && n < len(t.buf) && t.buf[n] == b[n] {
		n++
	}
	if n == 0 || n < len(b) {
		t.buf = t.buf[:0]
		return false
	}
	t.buf = t.buf[:copy(t.buf, t.buf[n:])]
	return true
}

// The echo of what a user types is shown at once. Of what may become a value, and
// would wait otherwise, stars are shown; as soon as it is known what it is, the
// cursor goes back and it is written. So the last digits of a value are never
// sent, and those of a number that is none are seen when it ends.

// maxShown bounds how many stars stand for what waits.
const maxShown = 48

// conceal appends stars for what of buf waits from the shown-th byte on.
func (s *stream) conceal(dst []byte) []byte {
	held := s.buf[s.done:]
	if len(held) == s.shown || len(held) > maxShown || s.key > 0 || s.screen == nil || s.screen.state != screenGround || s.screen.have > 0 {
		return dst
	}
	for _, c := range held {
		if c < ' ' || c > '~' {
			return dst
		}
	}
	if s.screen.col < len(held) || s.screen.col >= s.screen.width {
		return dst // the cursor would not come back
	}
	for _, c := range held[s.shown:] {
		if isAlnum(c) {
			c = '*'
		}
		dst = append(dst, c)
	}
	s.shown = len(held)
	return dst
}

// reveal appends what takes the cursor back to before the stars.
func (s *stream) reveal(dst []byte) []byte {
	for range s.shown {
		dst = append(dst, '\b')
	}
	s.shown = 0
	return dst
}
