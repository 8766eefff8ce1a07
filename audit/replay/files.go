package replay

import (
	"bytes"
	"errors"
	"io"
	"iter"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/spreadsheet"
)

// ErrNotRecorded says that the session has no recording of what is asked for.
var ErrNotRecorded = errors.New("recording not found")

// First returns the beginning of the first recording that fits: of operation op, unless
// that is 0. It is nil when no recording fits. It reads no event after the one that it
// returns.
func First(events iter.Seq2[*audit.Event, error], op uint64, fits func(start *audit.Event) bool) (*audit.Event, error) {
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if e.Type == audit.RecordingStart && (op == 0 || e.Op == op) && fits(e) {
			return e, nil
		}
	}
	return nil, nil
}

// CSV writes the recorded rows of operation op, or of the first that has some when op
// is 0, as CSV (RFC 4180): a line with the columns of each result, and its rows.
// NULL is empty. What a spreadsheet could take for a formula gets an apostrophe
// before it; numbers stay as they are. events is the session's record from its beginning. It returns how
// many rows were written, and how many there were, which is more where only a part
// was recorded. Without rows the error is [ErrNotRecorded].
func CSV(w io.Writer, events iter.Seq2[*audit.Event, error], op uint64) (written, all uint64, err error) {
	out := spreadsheet.NewValueWriter(w)
	begun := false
	for e, err := range events {
		if err != nil {
			return written, all, err
		}
		if e.Stream != "rows" && e.Stream != "copy" || op != 0 && e.Op != op {
			continue
		}
		switch e.Type {
		case audit.RecordingStart:
			op, begun = e.Op, true
			err = out.Write(e.Columns)
		case audit.RecordingRows:
			if !begun {
				continue
			}
			written += uint64(len(e.Values))
			for _, row := range e.Values {
				err = errors.Join(err, out.Write(cells(row)))
			}
		case audit.RecordingEnd:
			if begun {
				all += e.Rows
			}
		}
		if err != nil {
			return written, all, err
		}
	}
	if !begun {
		return 0, 0, ErrNotRecorded
	}
	return written, all, out.End()
}

// cells are a row's values; NULL is empty, as COPY writes it.
func cells(row []*string) []string {
	out := make([]string, len(row))
	for i, v := range row {
		if v != nil {
			out[i] = *v
		}
	}
	return out
}

// Original writes what was sealed of one stream or result before masking, a file of
// age: that of operation op, or the first when op is 0. events is the session's
// record from its beginning. Without one the error is [ErrNotRecorded].
func Original(w io.Writer, events iter.Seq2[*audit.Event, error], op uint64) error {
	var from *audit.Event
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Type != audit.RecordingOriginal || op != 0 && e.Op != op {
			continue
		}
		if begins := bytes.HasPrefix(e.Base64, []byte("age-encryption.org/")); from == nil {
			from = e
		} else if begins && e.Op == from.Op && e.Stream == from.Stream {
			break // another result's, which is a file of its own
		}
		if e.Op == from.Op && e.Stream == from.Stream {
			if _, err := w.Write(e.Content()); err != nil {
				return err
			}
		}
	}
	if from == nil {
		return ErrNotRecorded
	}
	return nil
}
