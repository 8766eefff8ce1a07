package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/audit/internal/segment"
)

// A session whose key is gone was erased when an event of the gateway's own record says
// so. Otherwise somebody took the key away.

// ErrKeyMissing says that a session's key is gone and no record says that it was erased.
var ErrKeyMissing = errors.New("its key is missing, and no record says that it was erased")

// isErasure reports whether an event says that a session's content was destroyed.
func isErasure(typ string) bool { return typ == AdminErase || typ == RecordExpired }

// loadKey returns a session's key. The error of one that was erased says by what.
func (a *Archive) loadKey(path, id string) ([]byte, error) {
	key, err := a.presentKey(path, id)
	if !errors.Is(err, ErrErased) {
		return key, err
	}
	if err := a.cabinet.moved(path); err != nil {
		return nil, err
	}
	erased, err := a.erasures()
	if err != nil {
		return nil, err
	}
	e := erased[id]
	switch {
	case e == nil:
		return nil, ErrKeyMissing
	case e.Type == RecordExpired:
		return nil, fmt.Errorf("%w on %s by a rule of retention", ErrErased, e.Time)
	}
	return nil, fmt.Errorf("%w on %s by %s: %s", ErrErased, e.Time, e.User, e.Reason)
}

// presentKey returns a session's key. That it is gone is ErrErased, however it went.
func (a *Archive) presentKey(path, id string) ([]byte, error) {
	sealed, err := a.cabinet.key(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrErased
	}
	if err != nil {
		return nil, err
	}
	key, _, err := a.keys.unseal(sealed, "its key", id)
	return key, err
}

// erasures are the events of the gateway's own records that say that a session's content was
// destroyed, by session. What of these records cannot be read is left out: the sessions that
// it tells of are not known to be erased.
func (a *Archive) erasures() (map[string]*Event, error) {
	own, err := a.own()
	erased := make(map[string]*Event)
	for _, id := range own {
		a.erasuresIn(erased, id)
	}
	return erased, err
}

// erasuresIn adds what a record says was erased, up to where it can be read, if it is the
// gateway's own.
func (a *Archive) erasuresIn(erased map[string]*Event, id string) {
	own := false
	_ = a.readBy(a.presentKey, id, func(raw []byte) bool {
		own = own || isOwn(typeOf(raw))
		if e := (&Event{}); own && isErasure(typeOf(raw)) && json.Unmarshal(raw, e) == nil {
			erased[e.Session] = e
		}
		return own
	})
}

// Own lists the gateway's own records, the oldest first.
func (a *Archive) Own() ([]string, error) {
	list, err := a.own()
	slices.Sort(list) // identifiers begin with the time
	return list, err
}

// own lists the gateway's own records: those that the index says are, and of those that it
// does not have those that begin so.
func (a *Archive) own() (list []string, err error) {
	there, err := a.cabinet.list()
	if err != nil {
		return nil, err
	}
	leaves, err := readLeafLines(a.dir)
	if err != nil {
		return nil, err
	}
	_, err = (&index{a}).each(&leaves, func(from, first int, s *segment.Segment) error {
		for i := range s.Len() {
			id, doc := leaves.id(from+i), s.Doc(i)
			if len(doc) == 0 || wasUnreadable(doc) {
				continue
			}
			if doc[0] == documentOwn {
				list = append(list, id)
			}
			delete(there, id)
		}
		return nil
	})
	for id, has := range there {
		if has != recordThere|keyThere {
			continue
		}
		_ = a.readBy(a.presentKey, id, func(raw []byte) bool { // one that does not open is not known to be
			if isOwn(typeOf(raw)) {
				list = append(list, id)
			}
			return false
		})
	}
	return list, err
}

// lostKeys are the sessions that have a record and no key, although nothing says that they
// were erased, and why.
func (a *Archive) lostKeys(there map[string]byte) (map[string]error, error) {
	lost := make(map[string]error)
	for id, has := range there {
		if has != recordThere {
			continue
		}
		path, err := a.cabinet.find(id)
		if err != nil {
			continue // it was discarded meanwhile
		}
		if has, err := a.cabinet.hasKey(path); has && err == nil {
			continue // it came meanwhile
		}
		if lost[id] = a.cabinet.moved(path); lost[id] == nil {
			lost[id] = ErrKeyMissing
		}
	}
	if len(lost) == 0 {
		return nil, nil
	}
	erased, err := a.erasures()
	for id := range erased {
		delete(lost, id)
	}
	return lost, err
}

// elsewhereName is the file that says that the key by which the sessions' keys are sealed
// is not kept with them.
const elsewhereName = "master.elsewhere"

const elsewhereText = "The keys of the sessions are sealed by a key that is kept elsewhere.\n"

// keysLost says why the sessions' keys cannot be opened by a log that was given no key; nil
// when they can be, when there are none, or when they are sealed by a key that is kept
// elsewhere, which elsewhere says then.
func keysLost(dir string) (elsewhere bool, err error) {
	_, err = os.Stat(filepath.Join(dir, masterKey))
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(dir, elsewhereName)); err == nil {
		return true, nil
	}
	there, err := newCabinet(dir, nil).list()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	keys := 0
	for _, has := range there {
		if has&keyThere != 0 {
			keys++
		}
	}
	if err == nil && keys > 0 {
		err = historyError("%s, which seals the keys of %s, is missing", filepath.Join(dir, masterKey), plural(keys, "session", "sessions"))
	}
	return false, err
}
