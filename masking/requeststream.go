package masking

import (
	"bytes"

	"github.com/sallyport/sallyport/proxy"
)

// What a client sends into a command or a file is looked at as it comes, and none of it is
// held back: programs wait for it, and files have places. So a piece in which a value is
// refused is not passed on, and neither is anything after it; a value that is cut over
// pieces is refused with the last of them.

// sentStream looks at a stream from the client.
type sentStream struct {
	session *session
	place   string
	notes   *laterNotes
	p       inspector
	buf     []byte // the end of what was passed on, and what is looked at
	plain   []byte // the same without NULs, which UTF-16 and UTF-32 have
	failed  error
}

// sentTail is how much of what was passed on is looked at again, in bytes, since a value may
// begin in it.
const sentTail = 2 << 10

// newSentStream returns what looks at a stream of op; nil when no rule does. Of a shell at a
// terminal the typed lines are asked about, and not the keys.
func (x *session) newSentStream(op proxy.Op, shape *proxy.Shape) *sentStream {
	if x.view.requests == nil || op == nil || shape.Kind != proxy.ShapeStream {
		return nil
	}
	if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindShell && e.Terminal {
		return nil
	}
	place := "in the standard input"
	if shape.Media == "file" {
		place = "in the content of a file"
	}
	return &sentStream{session: x, place: place, notes: x.later(op), p: newInspector(x.view, nil)}
}

// see judges what comes next. After an error nothing may be passed on any more.
func (s *sentStream) see(src []byte) error {
	for len(src) > 0 && s.failed == nil {
		n := min(len(src), 32<<10)
		seen := len(s.buf)
		s.buf = append(s.buf, src[:n]...)
		s.look(s.buf, seen)
		if bytes.IndexByte(s.buf, 0) >= 0 {
			s.plain = s.plain[:0]
			before := 0
			for i, c := range s.buf {
				if i == seen {
					before = len(s.plain)
				}
				if c != 0 {
					s.plain = append(s.plain, c)
				}
			}
			s.look(s.plain, before)
		}
		s.buf = append(s.buf[:0], s.buf[max(0, len(s.buf)-sentTail):]...)
		src = src[n:]
	}
	return s.failed
}

// look answers what is found in b and does not end before seen.
func (s *sentStream) look(b []byte, seen int) {
	x := s.session
	for _, f := range x.judgedIn(&s.p, b, nil) {
		if f.End <= seen || accident(b, f.Start, f.End) {
			continue
		}
		says := x.view.requestsOf(f.Type)
		if says.Requests >= RequestsTokenise {
			s.failed = refusedError(refusedRequest(says, sentWhat(f.Type)+" "+s.place))
			return
		}
		s.notes.add(says.rule, f.Type, s.place)
	}
}

// sentIn judges one text of an operation without statements.
func (x *session) sentIn(p *inspector, v []byte, place string, notes *sentNotes) proxy.Verdict {
	for _, f := range x.judgedIn(p, v, nil) {
		says := x.view.requestsOf(f.Type)
		if says.Requests >= RequestsTokenise {
			return refusedRequest(says, sentWhat(f.Type)+" "+place)
		}
		notes.add(says.rule, f.Type, place)
	}
	return proxy.Pass()
}
