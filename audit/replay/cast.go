package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// castHeader is the first line of an asciicast, version 3
// (docs.asciinema.org/manual/asciicast/v3).
type castHeader struct {
	Version   int      `json:"version"`
	Term      castTerm `json:"term"`
	Timestamp int64    `json:"timestamp,omitempty"`
	Command   string   `json:"command,omitempty"`
	Title     string   `json:"title,omitempty"`
}

type castTerm struct {
	Cols int    `json:"cols"`
	Rows int    `json:"rows"`
	Type string `json:"type,omitempty"`
}

// Cast writes the recording of one terminal, that of operation op, as an
// asciicast of version 3. events is the session's record from its beginning.
func Cast(w io.Writer, events iter.Seq2[*audit.Event, error], op uint64, title string) error {
	c := &cast{w: bufio.NewWriter(w), op: op, header: castHeader{Version: 3, Title: title}}
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Op != op {
			continue
		}
		if err := c.event(e); err != nil {
			return err
		}
	}
	if !c.begun {
		return fmt.Errorf("operation %d has no recording of a terminal", op)
	}
	return c.w.Flush()
}

type cast struct {
	w      *bufio.Writer
	op     uint64
	header castHeader
	begun  bool
	last   time.Time // of the event that was written last, as it was rounded
	half   []byte    // beginning of a character
}

func (c *cast) event(e *audit.Event) error {
	at := e.When()
	switch e.Type {
	case audit.OperationStart:
		c.header.Command = e.Text
	case audit.RecordingStart:
		if e.Stream != "terminal" {
			return nil
		}
		c.begun, c.last = true, at
		c.header.Timestamp = at.Unix()
		c.header.Term = castTerm{Cols: or(e.Width, 80), Rows: or(e.Height, 24), Type: e.Term}
		return c.line(c.header)
	case audit.RecordingOutput:
		if e.Stream != "terminal" {
			return nil
		}
		return c.add(at, "o", c.text(e.Content()))
	case audit.RecordingInput:
		return c.add(at, "i", string(e.Content()))
	case audit.RecordingResize:
		return c.add(at, "r", strconv.Itoa(e.Width)+"x"+strconv.Itoa(e.Height))
	case audit.OperationEnd:
		if _, err := strconv.Atoi(e.Code); err == nil || e.Code == "" {
			return c.add(at, "x", or(e.Code, "0"))
		}
	}
	return nil
}

// text is output as JSON can hold it.
func (c *cast) text(b []byte) (text string) {
	text, c.half = characters(append(c.half, b...))
	return text
}

// add writes an event with the time since the one before. Times are rounded so
// that their sum does not drift.
func (c *cast) add(at time.Time, code, data string) error {
	if !c.begun {
		return nil
	}
	micros := max(0, at.Sub(c.last).Microseconds())
	c.last = c.last.Add(time.Duration(micros) * time.Microsecond)
	return c.line([]any{json.Number(strconv.FormatFloat(float64(micros)/1e6, 'f', 6, 64)), code, data})
}

func (c *cast) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.w.Write(append(b, '\n'))
	return err
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
