package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Erasing a session destroys its key. What remains is ciphertext that nobody can
// read, and the proof that it is what was recorded. Copies of the key that were
// made elsewhere, and bundles that were exported, are not reached.

// Errors of erasing.
var (
	ErrHeld = errors.New("the session is held, and must not be erased")
	ErrOpen = errors.New("the session is still open, or not sealed yet")
	ErrOwn  = errors.New("the record is the gateway's own, which says what was erased, and is kept")

	ErrNotHeld = errors.New("the session is not held")
)

const holdSuffix = ".hold"

// Erase destroys a session's content, unless it is held. The event that says who
// did it and why is on the disk before.
func (l *Log) Erase(a Action) error {
	a.Type = AdminErase
	if err := l.erase(a.Session, func() error { return l.Act(a) }); err != nil {
		return err
	}
	return l.unindex(a.Session)
}

// unindex takes sessions that were erased out of the index.
func (l *Log) unindex(ids ...string) error {
	gone := make(map[string]bool)
	for _, id := range ids {
		gone[id] = true
	}
	if err := (&index{l.archive}).purge(func(id string) bool { return gone[id] }); err != nil {
		return fmt.Errorf("the content is erased, but stays in the index until the next start: %w", err)
	}
	return nil
}

func (l *Log) erase(id string, record func() error) error {
	path, err := l.sealedSession(id)
	if err != nil {
		return err
	}
	own := false // one that does not open can be erased
	_ = l.archive.readBy(l.archive.presentKey, id, func(raw []byte) bool {
		own = isOwn(typeOf(raw))
		return false
	})
	if own {
		return ErrOwn
	}
	l.holds.Lock()
	defer l.holds.Unlock()
	if held, err := isHeld(path); held || err != nil {
		return errors.Join(err, errIf(held, ErrHeld))
	}
	has, err := l.archive.cabinet.hasKey(path)
	if err != nil {
		return err
	}
	if has {
		if err := record(); err != nil {
			return err
		}
	}
	// Again where it was, too: the disk may have refused to take that.
	return errors.Join(l.destroy(id), errIf(!has, ErrErased))
}

func errIf(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// sealedSession returns the path of a session that is a leaf of the tree.
func (l *Log) sealedSession(id string) (string, error) {
	path, err := l.archive.cabinet.find(id)
	if err != nil {
		return "", err
	}
	sealed, err := l.tree.ids()
	if err != nil {
		return "", err
	}
	if !sealed[id] {
		return "", ErrOpen
	}
	return path, nil
}

// Hold keeps a session from being erased, by anybody and by rules, until Release.
// Holding it again changes nothing.
func (l *Log) Hold(a Action) error {
	path, err := l.archive.cabinet.find(a.Session)
	if err != nil {
		return err
	}
	l.holds.Lock()
	defer l.holds.Unlock()
	if has, err := l.archive.cabinet.hasKey(path); !has || err != nil {
		return errors.Join(err, errIf(!has, ErrErased))
	}
	a.Type = AdminHold
	if err := l.Act(a); err != nil {
		return err
	}
	defer l.eachFollower((*Follower).holdsChanged)
	return l.disk.replace(path+holdSuffix, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600)
}

// Release ends a hold.
func (l *Log) Release(a Action) error {
	path, err := l.archive.cabinet.find(a.Session)
	if err != nil {
		return err
	}
	l.holds.Lock()
	defer l.holds.Unlock()
	if held, err := isHeld(path); !held || err != nil {
		return errors.Join(err, errIf(!held, ErrNotHeld))
	}
	a.Type = AdminRelease
	if err := l.Act(a); err != nil {
		return err
	}
	defer l.eachFollower((*Follower).holdsChanged)
	if err := l.disk.remove(path + holdSuffix); err != nil {
		return err
	}
	return l.disk.syncNames(filepath.Dir(path), filepath.Dir(path))
}

// Held reports whether a session is held.
func (a *Archive) Held(id string) (bool, error) {
	path, err := a.cabinet.find(id)
	if err != nil {
		return false, err
	}
	return isHeld(path)
}

func isHeld(path string) (bool, error) {
	_, err := os.Stat(path + holdSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Expire erases the sessions that ended longer ago than keep says for what their
// first event tells; keep returns 0 for those that stay for ever. Sessions that
// are held, open, or the gateway's own stay. It returns how many were erased.
func (l *Log) Expire(now time.Time, keep func(start *Event) time.Duration) (erased int, err error) {
	sealed, err := l.tree.ids()
	if err != nil {
		return 0, err
	}
	there, err := l.archive.cabinet.list()
	if err != nil {
		return 0, err
	}
	var errs []error
	var gone []string
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if !sealed[id] || there[id]&keyThere == 0 {
			continue
		}
		if held, herr := l.archive.Held(id); held || herr != nil {
			errs = append(errs, herr)
			continue
		}
		expired, err := l.archive.expired(id, now, keep)
		if err == nil && expired {
			err = l.erase(id, func() error {
				return l.own.event(now, RecordExpired, synced, func(b []byte) []byte { return str(b, "session", id) })
			})
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("session %s: %w", id, err))
		case expired:
			gone = append(gone, id)
		}
	}
	if erased = len(gone); erased > 0 {
		errs = append(errs, l.unindex(gone...))
	}
	return erased, errors.Join(errs...)
}

// expired reports whether a session ended longer ago than it is to be kept.
func (a *Archive) expired(id string, now time.Time, keep func(start *Event) time.Duration) (bool, error) {
	var first, last *Event
	for e, err := range a.Events(id) {
		if err != nil {
			return false, err
		}
		if first == nil {
			if e.Type != SessionStart {
				return false, nil
			}
			for_ := keep(e)
			began, err := time.Parse(time.RFC3339Nano, e.Time)
			if err != nil || for_ <= 0 || now.Sub(began) < for_ {
				return false, err
			}
			first = e
		}
		last = e
	}
	if last == nil {
		return false, nil
	}
	ended, err := time.Parse(time.RFC3339Nano, last.Time)
	return err == nil && now.Sub(ended) >= keep(first), err
}
