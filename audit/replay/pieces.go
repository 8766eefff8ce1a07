package replay

import (
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/audit"
)

// Piece is a part of a recording, in its order. One of Output, Input and a size is set.
type Piece struct {
	At            time.Duration // since the recording began
	Output        string        // what draws of what was shown; see Screen
	Input         string        // a line that was typed
	Width, Height int           // the terminal's size from here on
}

// Pieces reads the recording of an operation: start is its beginning, as First returns it, and events
// the session's record from there or from before. The sequence ends after an error of events.
func Pieces(events iter.Seq2[*audit.Event, error], start *audit.Event) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		var screen Screen
		var out, half []byte
		begun := start.When()
		for e, err := range events {
			if err != nil {
				yield(Piece{}, err)
				return
			}
			if e.Op != start.Op || e.Index <= start.Index {
				continue
			}
			p := Piece{At: e.When().Sub(begun)}
			switch {
			case e.Type == audit.RecordingOutput && e.Stream == start.Stream:
				out = screen.Append(append(out[:0], half...), e.Content())
				p.Output, half = characters(out)
			case e.Type == audit.RecordingInput:
				p.Input = strings.ToValidUTF8(string(e.Content()), "\ufffd")
			case e.Type == audit.RecordingResize:
				p.Width, p.Height = e.Width, e.Height
			case e.Type == audit.RecordingEnd && e.Stream == start.Stream:
				return
			}
			if p == (Piece{At: p.At}) {
				continue
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// characters is output as text. A character that is cut waits for its rest, and what is not a
// character becomes U+FFFD.
func characters(b []byte) (text string, half []byte) {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				half = append([]byte(nil), b[len(b)-i:]...)
				b = b[:len(b)-i]
			}
			break
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd"), half
}
