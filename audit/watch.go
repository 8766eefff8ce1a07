package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"time"
)

// watchEvery is how often a watched record is looked at.
const watchEvery = 50 * time.Millisecond

// Watch reads the record of an open session from its beginning and goes on as it
// is written, until the session or ctx ends. An event is a JSON object, valid
// until the next; nil says that there are no more for now. Watching costs the
// session nothing: what is read is what is on record.
func (l *Log) Watch(ctx context.Context, id string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := l.watch(ctx, id, func(b []byte) bool { return yield(b, nil) }); err != nil {
			yield(nil, fmt.Errorf("session %s: %w", id, err))
		}
	}
}

func (l *Log) watch(ctx context.Context, id string, each func(b []byte) bool) error {
	f, key, sealed, err := l.archive.openRecord(l.archive.loadKey, id)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := bufio.NewReader(f)
	r, err := newReader(buf)
	if err != nil {
		return err
	}
	if err := r.unlock(key); err != nil {
		return err
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		_, open := l.recorders.Load(id) // before reading: what is written by then is seen
		left := false
		err := r.rest(sealed, func(b []byte) bool {
			left = !each(b)
			return !left
		})
		if err != nil || left {
			return err
		}
		if !open || !each(nil) {
			return nil
		}
		if _, err := f.Seek(r.bytes, io.SeekStart); err != nil {
			return err
		}
		buf.Reset(f)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
