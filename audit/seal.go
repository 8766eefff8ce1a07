package audit

import (
	"sync/atomic"
	"time"
)

// ending is a session that has ended and is not a leaf yet.
type ending struct {
	leaf
	path   string
	stream *stream // of what may not be written whole; nil when everything is
	ready  bool    // what the leaf commits to is on the disk, but for its name
	failed bool    // before, which was logged
}

// sealStep is how many records are put on the disk before they become leaves together.
const sealStep = 64

// ended has the record of a session that ended sealed soon.
func (l *Log) ended(list ...*ending) {
	l.mu.Lock()
	l.endings = append(l.endings, list...)
	l.mu.Unlock()
	l.nudgeSealing()
}

func (l *Log) nudgeSealing() {
	select {
	case l.sealing <- struct{}{}:
	default:
	}
}

// seal makes leaves of sessions that ended, until the log is closed.
func (l *Log) seal() {
	defer close(l.sealed)
	for {
		select {
		case <-l.sealing:
			l.sealEnded()
		case <-l.stop:
			return // Close seals what is left
		}
	}
}

// sealEnded makes leaves of the sessions that ended. A leaf is listed once the disk has
// what it commits to. What cannot be sealed now is tried again, and at last when the log
// is opened next.
func (l *Log) sealEnded() {
	l.mu.Lock()
	list := l.endings
	l.endings = nil
	l.mu.Unlock()
	if len(list) == 0 {
		return
	}
	var failed []*ending
	for len(list) > 0 {
		step := list[:min(sealStep, len(list))]
		list = list[len(step):]
		for _, do := range []func(*ending) error{l.prepare, l.name, l.list} {
			done := step[:0]
			for _, e := range step {
				if err := withoutPanic(func() error { return do(e) }); err != nil {
					if !e.failed {
						l.failed(&WriteError{Session: e.ID, Err: err})
					}
					e.failed = true
					failed = append(failed, e)
					continue
				}
				done = append(done, e)
			}
			step = done
		}
	}
	l.nudge()
	if len(failed) > 0 {
		l.mu.Lock()
		l.endings = append(l.endings, failed...)
		l.mu.Unlock()
		l.retry(&l.resealing, l.nudgeSealing)
	}
}

// retry does something again a little later, once.
func (l *Log) retry(waiting *atomic.Bool, do func()) { l.retryIn(l.stall/retrySteps, waiting, do) }

func (l *Log) retryIn(wait time.Duration, waiting *atomic.Bool, do func()) {
	if waiting.CompareAndSwap(false, true) {
		time.AfterFunc(wait, func() {
			waiting.Store(false)
			do()
		})
	}
}

// retrySteps is how often what failed is tried in the stall time.
const retrySteps = 10

// prepare puts a session's record on the disk in its compact form, after its key. A
// record that cannot be made compact stays as it is.
func (l *Log) prepare(e *ending) error {
	if e.ready {
		return nil
	}
	if err := e.stream.finish(); err != nil {
		return err
	}
	if e.stream.unnamed {
		if err := l.syncFile(e.path + keySuffix); err != nil {
			return err
		}
	}
	compact := !l.uncompressed || e.stream.unsynced // what the disk has dropped is written anew
	if compact {
		sealed, err := l.compactOne(e)
		if err == nil {
			e.leaf, e.ready, e.stream = sealed, true, nil
			return nil
		}
		if e.stream.unsynced {
			return err
		}
		l.logger.Warn("audit: a record cannot be made compact and is sealed as it was written", "session", e.ID, "err", err)
	}
	if err := l.syncFile(e.path + recordSuffix); err != nil {
		e.stream.unsynced = true
		return err
	}
	e.ready, e.stream = true, nil
	return nil
}

// name puts the name of a session's record on the disk.
func (l *Log) name(e *ending) error { return l.syncNames(e.path) }

// list makes a session a leaf.
func (l *Log) list(e *ending) error {
	at, err := l.tree.seal(e.leaf)
	if err == nil {
		l.isSealed(e.ID, at)
		if l.packs != nil {
			l.packs.sealed(e.path)
		}
	}
	return err
}

func (l *Log) compactOne(e *ending) (leaf, error) {
	key, err := l.keys.load(e.path+keySuffix, e.ID)
	if err != nil {
		return leaf{}, err
	}
	return l.compact(e.path+recordSuffix, e.leaf, key)
}
