package audit

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// What happens when a record cannot be written: the disk is full or fails, the log's
// folder is gone, a write does not return, or the code below panics. A strict log ends the session
// before its next operation. A log of best effort loses events, counts them, and
// says so in the record when it can be written again.

// defaultStall is how long writing may take before it counts as failed.
const defaultStall = 10 * time.Second

var (
	errStalled = errors.New("writing takes too long")
	errPanic   = errors.New("writing panicked")
)

// writing is a write that may not return.
type writing struct {
	b    []byte // owned by the write until it is done
	done chan struct{}
	n    int
	err  error
}

// write writes b at the stream's offset, over what an earlier attempt wrote in part. With best effort it comes back after
// the log's stall time at the latest.
func (s *stream) write(b []byte) (n int, err error) {
	if s.resumes {
		n, err = s.writeOrStall(b)
	} else {
		s.busy.Store(s.log.tick.Load())
		n, err = s.writeWhole(s.file, b, s.offset)
		s.busy.Store(0)
	}
	s.log.wrote(err)
	return n, err
}

func (s *stream) writeOrStall(b []byte) (int, error) {
	f, at := s.file, s.offset
	w := &writing{b: b, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.n, w.err = s.writeWhole(f, w.b, at)
	}()
	t := time.NewTimer(s.log.stall)
	defer t.Stop()
	select {
	case <-w.done:
		return w.n, w.err
	case <-t.C:
		s.writing = w
		return 0, errStalled
	}
}

// resume tries to write what could not be written. Streams of best effort do so with
// their next event, the others when they have ended. When it succeeds, an event says how
// much is missing.
func (s *stream) resume() error {
	err := s.writePending()
	if err != nil {
		s.lost++
		return s.err
	}
	s.degraded()
	return nil
}

// writePending writes what could not be written.
func (s *stream) writePending() error {
	if w := s.writing; w != nil {
		select {
		case <-w.done:
			s.writing = nil
			if w.err == nil { // it came through after all
				s.offset += int64(w.n)
				s.pending = s.pending[:copy(s.pending, s.pending[w.n:])]
			}
		default:
			return errStalled
		}
	}
	if len(s.pending) == 0 {
		return nil
	}
	n, err := s.write(s.pending)
	if err != nil {
		return err
	}
	s.offset += int64(n)
	s.pending = s.pending[:0]
	return nil
}

// degraded appends an event that says how much is missing, and why.
func (s *stream) degraded() {
	lost, cause := s.lost, s.err
	s.err, s.lost = nil, 0
	s.json = append(num(str(s.clock.object(s.json[:0], s.index+1, time.Now(), Degraded), "error", cause.Error()), "lost", lost), '}')
	s.append()
}

// guardSteps is into how many steps the stall time is divided.
const guardSteps = 4

// guard ends strict sessions whose record is being written for too long, until
// the log is closed. The write itself cannot be ended.
func (l *Log) guard() {
	t := time.NewTicker(max(l.stall/guardSteps, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-l.stop:
			return
		}
		l.nudge() // so that the log's place is looked at, also when nothing is written
		now := l.tick.Add(1)
		stuck := func(since int64) bool { return since != 0 && now-since > guardSteps }
		disk := stuck(l.syncing.Load())
		l.recorders.Range(func(_, v any) bool {
			if r := v.(*recorder); r.strict && r.session.Err() == nil && (disk || stuck(r.stream.busy.Load())) {
				err := &WriteError{Session: r.session.ID, Err: errStalled}
				l.failed(err)
				r.session.Kill(err)
			}
			return true
		})
	}
}

// wrote notes how the latest write of a record ended.
func (l *Log) wrote(err error) {
	if err != nil {
		cause := err
		l.failing.Store(&cause)
	} else if l.failing.Load() != nil {
		l.failing.Store(nil)
	}
}

// wholeEvery is how long a record counts as whole after it was looked at: looking at it takes half as
// long as writing to it.
const wholeEvery = 5 * time.Millisecond

// writeWhole writes b at a place of the record's file, which is where it was opened and whole up to
// there.
func (s *stream) writeWhole(f file, b []byte, at int64) (int, error) {
	if lost := s.log.lost.Load(); lost != nil {
		return 0, *lost
	}
	if now := time.Now(); now.Sub(s.whole) > wholeEvery {
		if err := f.Whole(at); err != nil {
			return 0, err
		}
		s.whole = now
	}
	return s.log.writeSafely(f, b, at)
}

// writeSafely writes b at a place of f, with a panic as its error.
func (l *Log) writeSafely(f file, b []byte, at int64) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("%w: %T", errPanic, v)
		}
	}()
	return f.WriteAt(b, at)
}

// syncFile puts a file's content on the disk.
func (l *Log) syncFile(name string) error {
	f, err := l.disk.Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(l.syncSafely(f), f.Close())
}

// syncSafely syncs f, with a panic as its error.
func (l *Log) syncSafely(f file) error { return l.safely(f.Sync) }

// safely has the disk do something that may take too long, with a panic as its error.
func (l *Log) safely(sync func() error) error {
	l.syncing.Store(l.tick.Load())
	defer l.syncing.Store(0)
	return withoutPanic(sync)
}

// withoutPanic is do, with a panic as its error.
func withoutPanic(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %T", errPanic, v)
		}
	}()
	return do()
}
