package audit

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"time"
)

// Record is one session's record, opened to be read from any place. What it
// returns is authentic for who trusts the session's key, wherever it begins: a
// frame opens only as the events that it was sealed as, and each continues the
// chain of the one before. That the record is the sealed one is for [Verify]. It
// is used by one goroutine.
type Record struct {
	id     string
	file   io.ReaderAt
	size   int64
	close  func() error
	key    []byte
	sealed *leaf // nil when it is not sealed
	frames []frameStart
	end    int64 // of the last whole frame
}

// frameStart is where a frame begins.
type frameStart struct {
	offset int64
	first  uint64 // index of its first event
}

// Open opens a session's record. It reads where its frames begin, and nothing of
// them: for a gigabyte of an ended session that takes milliseconds.
func (a *Archive) Open(id string) (*Record, error) {
	f, key, sealed, err := a.openRecord(a.loadKey, id)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	r, err := openFile(f, id, key, sealed)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("session %s: %w", id, err)
	}
	return r, nil
}

// openFile is the record that was opened, which it closes with it.
func openFile(f *stored, id string, key []byte, sealed *leaf) (*Record, error) {
	r := &Record{id: id, file: f, size: f.Size(), close: f.Close, key: key, sealed: sealed}
	return r, r.locate()
}

// Close closes the record's file.
func (r *Record) Close() error { return r.close() }

// locate finds the frames, which must end as they were sealed if they were. Of what the
// file says it believes no more than that frames follow each other inside of it.
func (r *Record) locate() error {
	head, err := newReader(io.NewSectionReader(r.file, 0, r.size))
	if err != nil {
		return err
	}
	if head.id != r.id {
		return errors.New("the file is another session's")
	}
	at, first := head.bytes, uint64(1)
	h := make([]byte, frameLen)
	for {
		if _, err := r.file.ReadAt(h, at); err != nil {
			break // the end, perhaps of what is written so far
		}
		n, events := binary.BigEndian.Uint32(h), uint64(1)
		if head.salt != nil {
			events = uint64(binary.BigEndian.Uint32(h[4:]))
		}
		next := at + frameLen + int64(n) + sha256.Size
		if n < sealLen || n > maxFrame || events == 0 {
			return fmt.Errorf("event %d: a length of %d bytes", first, n)
		}
		if next > r.size {
			break
		}
		r.frames = append(r.frames, frameStart{at, first})
		at, first = next, first+events
	}
	r.end = at
	if r.sealed != nil {
		torn := io.EOF
		if at < r.size {
			torn = errTorn
		}
		last := reader{id: r.id, index: first - 1, chain: head.chain}
		if len(r.frames) > 0 {
			if _, err := r.file.ReadAt(last.chain[:], at-sha256.Size); err != nil {
				return err
			}
		}
		return last.ended(torn, *r.sealed)
	}
	if len(r.frames) == 0 {
		return errors.New("the record holds no event")
	}
	return nil
}

// reader reads the record from frame i on.
func (r *Record) reader(i int) (*reader, error) {
	out, err := newReader(io.NewSectionReader(r.file, 0, r.end))
	if err != nil {
		return nil, err
	}
	if err := out.unlock(r.key); err != nil {
		return nil, err
	}
	at := r.frames[i]
	if i > 0 {
		// The chain goes on from what the frame before ends with.
		if _, err := r.file.ReadAt(out.chain[:], at.offset-sha256.Size); err != nil {
			return nil, err
		}
	}
	out.index, out.bytes = at.first-1, at.offset
	out.r = bufio.NewReaderSize(io.NewSectionReader(r.file, at.offset, r.end-at.offset), 64<<10)
	return out, nil
}

// firstOf returns the first event of frame i, and its last.
func (r *Record) firstOf(i int) (first, last *Event, err error) {
	rd, err := r.reader(i)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := rd.next()
	if err != nil {
		return nil, nil, err
	}
	var end []byte
	_, err = rd.open(sealed, func(b []byte) bool {
		if first == nil {
			first = &Event{}
			if err := json.Unmarshal(b, first); err != nil {
				return false
			}
		}
		end = b
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	last = &Event{}
	return first, last, json.Unmarshal(end, last)
}

// Span returns when the first and the last event were recorded.
func (r *Record) Span() (begin, end time.Time, err error) {
	first, _, err := r.firstOf(0)
	if err != nil {
		return begin, end, err
	}
	_, last, err := r.firstOf(len(r.frames) - 1)
	if err != nil {
		return begin, end, err
	}
	return first.When(), last.When(), nil
}

// From reads the events in order, beginning with one that is not after at and
// at least so many bytes of the record before it.
func (r *Record) From(at time.Time, before int64) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		if err := r.from(at, before, func(e *Event) bool { return yield(e, nil) }); err != nil {
			yield(nil, fmt.Errorf("session %s: %w", r.id, err))
		}
	}
}

func (r *Record) from(at time.Time, before int64, each func(e *Event) bool) error {
	var failed error
	i := sort.Search(len(r.frames), func(i int) bool {
		first, _, err := r.firstOf(i)
		if err != nil {
			failed = err
			return true
		}
		return first.When().After(at)
	})
	if failed != nil {
		return failed
	}
	i = max(0, i-1)
	for start := r.frames[i].offset; i > 0 && start-r.frames[i].offset < before; {
		i--
	}
	rd, err := r.reader(i)
	if err != nil {
		return err
	}
	err = rd.rest(r.sealed, func(b []byte) bool {
		e := &Event{}
		if failed = json.Unmarshal(b, e); failed != nil {
			return false
		}
		return each(e)
	})
	return errors.Join(failed, err)
}
