package audit

import (
	"errors"
	"os"
	"strings"
)

// ending is a session that has ended and is not a leaf yet.
type ending struct {
	leaf
	file string
}

// ended has the record of a session that ended sealed soon.
func (l *Log) ended(s leaf, file string) {
	l.mu.Lock()
	l.endings = append(l.endings, ending{s, file})
	l.mu.Unlock()
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

func (l *Log) sealEnded() {
	l.mu.Lock()
	list := l.endings
	l.endings = nil
	l.mu.Unlock()
	for _, e := range list {
		if err := l.sealOne(e); err != nil {
			// It is sealed when the log is opened next, from what the file holds.
			l.failed(&WriteError{Session: e.ID, Err: err})
		}
	}
	if len(list) > 0 {
		l.nudge()
	}
}

// sealOne writes a session's compact form, and makes a leaf of it. A record that
// cannot be made compact is sealed as it is.
func (l *Log) sealOne(e ending) error {
	sealed, compact := e.leaf, false
	if !l.uncompressed {
		var err error
		if sealed, err = l.compactOne(e); err == nil {
			compact = true
		} else {
			sealed = e.leaf
			l.logger.Warn("audit: a record cannot be made compact and is sealed as it was written", "session", e.ID, "err", err)
		}
	}
	if !compact && l.durability != OS {
		if err := l.syncFile(e.file); err != nil {
			return err
		}
	}
	at, err := l.tree.seal(sealed)
	if err != nil {
		return err
	}
	l.isSealed(e.ID, at)
	return nil
}

func (l *Log) compactOne(e ending) (leaf, error) {
	key, err := l.keys.load(strings.TrimSuffix(e.file, recordSuffix)+keySuffix, e.ID)
	if err != nil {
		return leaf{}, err
	}
	return l.compact(e.file, e.leaf, key)
}

func (l *Log) syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(l.syncSafely(f), f.Close())
}
