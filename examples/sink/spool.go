package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/audit"
)

// event is one event as a batch's file has it.
type event struct {
	Session string          `json:"session"`
	Index   uint64          `json:"index"`
	Type    string          `json:"type"`
	User    string          `json:"user,omitempty"`
	Event   json.RawMessage `json:"event"`
}

// spool is an [audit.Sink] that keeps each batch as a file of a folder. The log
// calls Deliver from one goroutine.
type spool struct {
	dir  string
	next int // the number of the next file
}

// openSpool opens the folder, which is made, and goes on after the last file in it.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := batches(dir)
	if err != nil {
		return nil, err
	}
	s := &spool{dir: dir, next: 1}
	if n := len(files); n > 0 {
		if _, err := fmt.Sscanf(filepath.Base(files[n-1]), "%d.jsonl", &s.next); err != nil {
			return nil, fmt.Errorf("spool: %s has no number: %w", files[n-1], err)
		}
		s.next++
	}
	return s, nil
}

// batches lists the files of a folder, oldest first.
func batches(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	slices.Sort(files) // the numbers have leading zeros
	return files, err
}

// Name names the place in the log up to which this sink was served. It must not
// change.
func (*spool) Name() string { return "spool" }

// Deliver makes a file of the batch. It returns nil only when the file is on the
// disk under its name: after any error the same events come again, so that none is
// lost, and some may come twice.
func (s *spool) Deliver(_ context.Context, batch []audit.Outgoing) error {
	name := filepath.Join(s.dir, fmt.Sprintf("%012d.jsonl", s.next))
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, o := range batch {
		e := event{Session: o.Session, Index: o.Index, Type: o.Type, Event: o.JSON}
		if o.Start != nil {
			e.User = o.Start.User
		}
		if err := enc.Encode(e); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	s.next++
	return nil
}

// take reads the events of a folder, each once, those of a session in order.
func take(dir string) iter.Seq2[*event, error] {
	return func(yield func(*event, error) bool) {
		files, err := batches(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		taken := make(map[string]uint64) // the last index, by session
		for _, file := range files {
			if !takeBatch(file, taken, yield) {
				return
			}
		}
	}
}

func takeBatch(file string, taken map[string]uint64, yield func(*event, error) bool) bool {
	f, err := os.Open(file)
	if err != nil {
		return yield(nil, err)
	}
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		e := &event{}
		switch err := dec.Decode(e); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			yield(nil, fmt.Errorf("%s: %w", file, err))
			return false
		}
		if e.Index <= taken[e.Session] {
			continue // it came before
		}
		taken[e.Session] = e.Index
		if !yield(e, nil) {
			return false
		}
	}
}
