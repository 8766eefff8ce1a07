package replay

import (
	"bytes"
	"iter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/audit"
)

// Hit is a place where a text is shown.
type Hit struct {
	Op   uint64        // the operation whose terminal or output shows it
	At   time.Duration // since the recording of that operation began
	Line string        // in which it is shown, or a part of a long one
}

// hitLine is how much of a line a Hit holds on each side of the text, in bytes.
const hitLine = 80

// Find finds where terminals and commands have shown a text, in either case, at most limit
// times: of operation op, or of all when op is 0. events is the session's record from its
// beginning. Colours in the middle of the text do not hide it.
func Find(events iter.Seq2[*audit.Event, error], op uint64, text string, limit int) ([]Hit, error) {
	want := lower([]byte(text))
	if len(want) == 0 {
		return nil, nil
	}
	var hits []Hit
	searched := make(map[key]*search)
	for e, err := range events {
		if err != nil {
			return hits, err
		}
		if op != 0 && e.Op != op {
			continue
		}
		k := key{e.Op, e.Stream}
		switch e.Type {
		case audit.RecordingStart:
			if e.Stream != "rows" && e.Stream != "copy" {
				searched[k] = &search{begun: e.When()}
			}
		case audit.RecordingEnd:
			delete(searched, k)
		case audit.RecordingOutput:
			s := searched[k]
			if s == nil {
				continue
			}
			for _, line := range s.find(e.Content(), want) {
				if hits = append(hits, Hit{e.Op, e.When().Sub(s.begun), line}); len(hits) == limit {
					return hits, nil
				}
			}
		}
	}
	return hits, nil
}

// key names a stream.
type key struct {
	op     uint64
	stream string
}

// search looks through one stream.
type search struct {
	begun time.Time
	plain Plain
	shown []byte // what was shown last, after the last hit
	seen  int    // of shown, that have no hit
}

// find returns the lines of the hits in what a stream shows next.
func (s *search) find(b, want []byte) (lines []string) {
	s.shown = s.plain.Append(s.shown, b)
	for {
		from := max(0, s.seen-len(want))
		i := bytes.Index(lower(s.shown[from:]), want)
		if i < 0 {
			break
		}
		at := from + i
		end := at + len(want)
		lines = append(lines, around(s.shown, at, end))
		s.shown, s.seen = s.shown[end:], 0
	}
	if keep := hitLine + len(want); len(s.shown) > 16*keep {
		s.shown = append([]byte(nil), s.shown[len(s.shown)-keep:]...)
	}
	s.seen = len(s.shown)
	return lines
}

// lower is text in lower case, of the same length: letters that have another one stay.
func lower(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if l := unicode.ToLower(r); utf8.RuneLen(l) == utf8.RuneLen(r) {
			return l
		}
		return r
	}, b)
}

// around is the line of a hit, as far as it was shown.
func around(b []byte, at, end int) string {
	from := max(bytes.LastIndexByte(b[:at], '\n')+1, at-hitLine)
	to := len(b)
	if i := bytes.IndexByte(b[end:], '\n'); i >= 0 {
		to = end + i
	}
	return string(bytes.TrimSpace(bytes.ToValidUTF8(b[from:min(to, end+hitLine)], nil)))
}
