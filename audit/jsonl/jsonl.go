// Package jsonl writes events as lines of JSON, to a file or a stream.
package jsonl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sallyport/sallyport/audit"
)

// Writer is a sink that writes to a stream, such as standard output. A stream
// that was written has the events; nobody confirms them.
type Writer struct {
	W      io.Writer
	Called string       // the sink's name
	Format audit.Format // nil is audit.Outgoing.Append
}

// Name returns Called.
func (w *Writer) Name() string { return w.Called }

// Deliver writes one line per event.
func (w *Writer) Deliver(_ context.Context, batch []audit.Outgoing) error {
	_, err := w.W.Write(lines(nil, batch, w.Format))
	return err
}

// File is a sink that appends to a file and has it on the disk before events
// count as delivered. The file is opened for each batch, so that it can be
// moved away at any time. A line that a crash cut short is ended before the next, and its
// event comes again.
type File struct {
	Path   string
	Called string       // the sink's name
	Format audit.Format // nil is audit.Outgoing.Append
}

// Name returns Called.
func (f *File) Name() string { return f.Called }

// Deliver appends one line per event.
func (f *File) Deliver(_ context.Context, batch []audit.Outgoing) error {
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	b, err := whole(file)
	if err == nil {
		_, err = file.Write(lines(b, batch, f.Format))
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// whole returns what ends a line that was cut short.
func whole(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", f.Name())
	}
	if st.Size() == 0 {
		return nil, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], st.Size()-1); err != nil {
		return nil, err
	}
	if last[0] == '\n' {
		return nil, nil
	}
	return []byte{'\n'}, nil
}

func lines(b []byte, batch []audit.Outgoing, format audit.Format) []byte {
	for _, r := range batch {
		if format != nil {
			b = format(b, r)
		} else {
			b = r.Append(b)
		}
	}
	return b
}
