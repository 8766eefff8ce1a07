// Package witness tells witnesses of a log's heads: files, and services of C2SP's
// tlog-witness protocol.
package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/audit"
)

// File is a witness that appends every head to a file, which should be on another
// machine's disk, or one that is only written once. It is used by one log.
type File struct {
	Path   string
	Called string // the witness's name
}

// Name returns Called.
func (f *File) Name() string { return f.Called }

// tail is more than the two heads that stand last have, in bytes.
const tail = 8 << 10

// Add appends a head, unless it is the last that is there, and has the disk take
// it.
func (f *File) Add(_ context.Context, h audit.Head) (lines []byte, err error) {
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	last, whole, err := lastOf(file)
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", f.Path, err)
	}
	if last != nil {
		if err := h.Continues(last); err != nil {
			return nil, err
		}
		if bytes.Equal(last, h.Note) {
			return nil, nil
		}
	}
	if whole >= 0 {
		// A line that a crash left half written goes. Where the file can only grow, the
		// line breaks end it.
		_ = file.Truncate(whole)
	}
	if _, err := file.Write(append([]byte("\n\n"), h.Note...)); err != nil {
		return nil, err
	}
	return nil, file.Sync()
}

// lastOf reads the last head of a file. whole is how much of the file is whole
// lines, or -1 when all is.
func lastOf(file *os.File) (last []byte, whole int64, err error) {
	st, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	from := max(0, st.Size()-tail)
	b, err := io.ReadAll(io.NewSectionReader(file, from, tail))
	if err != nil {
		return nil, 0, err
	}
	whole = -1
	if n := len(b); n > 0 && b[n-1] != '\n' {
		whole = from + int64(bytes.LastIndexByte(b, '\n')+1)
	}
	notes, err := audit.ReadCheckpoints(bytes.NewReader(b), tail)
	if err != nil {
		return nil, 0, err
	}
	if len(notes) == 0 {
		if len(bytes.TrimSpace(b)) > tail/2 {
			err = errors.New("the file holds other data than heads of a log")
		}
		return nil, whole, err
	}
	return notes[len(notes)-1], whole, nil
}
