package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
)

// An erasure is on record before the key is destroyed. When the process is killed between both, or
// the disk refuses, the key is destroyed later: by the running log as soon as that is possible, and
// at the next start.

// unfinished are the sessions whose erasure is on record, and which may have a key.
type unfinished struct {
	mu      sync.Mutex
	ids     []string
	waiting atomic.Bool // it is tried again soon
}

// destroy destroys the key of a session whose erasure is on record. When that fails it is tried
// again.
func (l *Log) destroy(id string) error {
	err := withoutPanic(func() error { return l.destroyNow(id) })
	if err == nil {
		return nil
	}
	u := &l.unfinished
	u.mu.Lock()
	if !slices.Contains(u.ids, id) {
		u.ids = append(u.ids, id)
	}
	u.mu.Unlock()
	select {
	case <-l.stop: // the next start does it
	default:
		l.retry(&u.waiting, l.destroyRest)
	}
	return fmt.Errorf("the erasure of session %s is on record, and its key is not destroyed yet, which is tried again until it is: %w", id, err)
}

func (l *Log) destroyNow(id string) (err error) {
	path, err := l.archive.cabinet.find(id)
	if err != nil {
		return err
	}
	unlock, err := l.archive.lockKeys()
	if err != nil {
		return err
	}
	return errors.Join(l.archive.cabinet.destroyKey(path), unlock())
}

// destroyRest destroys what could not be destroyed.
func (l *Log) destroyRest() {
	u := &l.unfinished
	u.mu.Lock()
	ids := u.ids
	u.ids = nil
	u.mu.Unlock()
	for _, id := range ids {
		if l.destroy(id) != nil {
			continue
		}
		l.logger.Info("audit: the key of an erased session, which could not be destroyed at first, is destroyed", "session", id)
		if err := l.unindex(id); err != nil {
			l.failed(err)
		}
	}
}

// finishErasures destroys the keys of sessions of which a record says that they were erased, as a
// process that stopped between both has left them.
func (l *Log) finishErasures(record string) {
	erased := make(map[string]*Event)
	l.archive.erasuresIn(erased, record)
	for id := range erased {
		path, err := l.archive.cabinet.find(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		has := true
		if err == nil {
			has, err = l.archive.cabinet.hasKey(path)
		}
		if has || err != nil {
			err = l.destroy(id)
		}
		if err != nil {
			l.failed(err)
		}
	}
}
