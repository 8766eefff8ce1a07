package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	if err := moved(a.dir, path, id); err != nil {
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
func (a *Archive) presentKey(path, id string) ([]byte, error) { return a.keys.load(path+keySuffix, id) }

// moved says where the key of a session is that does not lie with its record; nil when no
// folder has it.
func moved(dir, path, id string) error {
	keys, err := filepath.Glob(filepath.Join(escape(dir), "sessions", "*", id+keySuffix))
	if err != nil || len(keys) == 0 {
		return err
	}
	return fmt.Errorf("its record was moved: it lies in %s, and its key in %s", filepath.Dir(path), filepath.Dir(keys[0]))
}

// erasures are the events of the gateway's own records that say that a session's content was
// destroyed, by session. What of these records cannot be read is left out: the sessions that
// it tells of are not known to be erased.
func (a *Archive) erasures() (map[string]*Event, error) {
	own, err := a.own()
	erased := make(map[string]*Event)
	for _, id := range own {
		_ = a.readBy(a.presentKey, id, func(raw []byte) bool { // up to where it can be read
			if e := (&Event{}); isErasure(typeOf(raw)) && json.Unmarshal(raw, e) == nil {
				erased[e.Session] = e
			}
			return true
		})
	}
	return erased, err
}

// own lists the gateway's own records: those that the index says are, and of those that it
// does not have those that begin so.
func (a *Archive) own() (list []string, err error) {
	there, err := listRecords(a.dir)
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
		path, err := find(a.dir, id)
		if err != nil {
			continue // it was discarded meanwhile
		}
		if _, err := os.Stat(path + keySuffix); err == nil {
			continue // it came meanwhile
		}
		if lost[id] = moved(a.dir, path, id); lost[id] == nil {
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
	keys, err := filepath.Glob(filepath.Join(escape(dir), "sessions", "*", "*"+keySuffix))
	if err == nil && len(keys) > 0 {
		err = historyError("%s, which seals the keys of %s, is missing", filepath.Join(dir, masterKey), plural(len(keys), "session", "sessions"))
	}
	return false, err
}
