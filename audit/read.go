package audit

import (
	"bufio"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Archive reads the records in a log's directory, while the log is written or
// not. It checks each session's chain as it reads, and that the record of a sealed session
// ends as it was sealed; what proves that it was sealed so is [Verify].
type Archive struct {
	dir     string
	keys    *sessionKeys
	given   Keys // that it was opened with
	sealed  *sealedList
	cabinet *cabinet
	disk    *disk // where its index is written, and keys are
}

func newArchive(dir string, keys *sessionKeys, d *disk) *Archive {
	return &Archive{dir: dir, keys: keys, sealed: newSealedList(dir), cabinet: newCabinet(dir, d), disk: d}
}

// OpenArchive opens the log in dir for reading, by the key in it.
func OpenArchive(dir string) (*Archive, error) { return OpenArchiveWith(dir, Keys{}) }

// OpenArchiveWith opens the log in dir for reading, by the given keys.
func OpenArchiveWith(dir string, k Keys) (*Archive, error) {
	if _, err := os.Stat(filepath.Join(dir, "log", "key.pub")); err != nil {
		return nil, fmt.Errorf("no audit log: %w", err)
	}
	keys, err := openKeys(dir, k, nil)
	if err != nil {
		return nil, err
	}
	a := newArchive(dir, keys, newDisk(system{}))
	a.given = k
	return a, nil
}

// Sessions lists the identifiers of the recorded sessions, oldest first. The
// gateway's own records are among them.
func (a *Archive) Sessions() ([]string, error) {
	there, err := a.cabinet.list()
	var ids []string
	for id, has := range there {
		if has&recordThere != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// Events reads a session's events in order. The sequence ends after an error; a sealed
// session that ends otherwise than it was sealed is one. A session that is still open, or
// was when the gateway stopped, ends without one at its last whole event.
func (a *Archive) Events(id string) iter.Seq2[*Event, error] { return decoded(id, a.Raw(id)) }

// decoded reads events from what was recorded. It ends after an error.
func decoded(id string, list iter.Seq2[[]byte, error]) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for raw, err := range list {
			if err != nil {
				yield(nil, err)
				return
			}
			e := &Event{}
			if err := json.Unmarshal(raw, e); err != nil {
				yield(nil, fmt.Errorf("session %s: %w", id, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Raw reads a session's events as they were recorded: a JSON object each, valid
// until the next.
func (a *Archive) Raw(id string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := a.read(id, func(b []byte) bool { return yield(b, nil) }); err != nil {
			yield(nil, fmt.Errorf("session %s: %w", id, err))
		}
	}
}

func (a *Archive) read(id string, each func(b []byte) bool) error {
	return a.readBy(a.loadKey, id, each)
}

func (a *Archive) readBy(load func(path, id string) ([]byte, error), id string, each func(b []byte) bool) error {
	f, key, sealed, err := a.openRecord(load, id)
	if err != nil {
		return err
	}
	defer f.Close()
	return readEvents(bufio.NewReaderSize(f, 64<<10), key, id, sealed, each)
}

// openRecord opens a session's record, and returns its key and its leaf, which is nil when it
// is not sealed.
func (a *Archive) openRecord(load func(path, id string) ([]byte, error), id string) (*stored, []byte, *leaf, error) {
	path, sealed, err := a.find(id)
	if err != nil {
		return nil, nil, nil, err
	}
	key, err := load(path, id)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := a.cabinet.open(path)
	return f, key, sealed, err
}

// readEvents reads a record, which must end as sealed says unless that is nil.
func readEvents(f io.Reader, key []byte, id string, sealed *leaf, each func(b []byte) bool) error {
	r, err := newReader(f)
	if err != nil {
		return err
	}
	if r.id != id {
		return errors.New("the file is another session's")
	}
	if err := r.unlock(key); err != nil {
		return err
	}
	return r.rest(sealed, each)
}

// rest calls each with the events that follow, until it returns false. A record that is
// still written ends with its last whole event, others as they were sealed.
func (r *reader) rest(sealed *leaf, each func(json []byte) bool) error {
	for {
		frame, err := r.next()
		switch {
		case err != nil && sealed != nil:
			return r.ended(err, *sealed)
		case errors.Is(err, io.EOF), errors.Is(err, errTorn) && r.salt == nil:
			return nil
		case err != nil:
			return err
		}
		more, err := r.open(frame, each)
		if err != nil || !more {
			return err
		}
	}
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID returns an identifier of the same form as a session's, for the gateway's
// own record.
func newID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}

// beganOf is the time that an identifier says, to the millisecond.
func beganOf(id string) (time.Time, bool) {
	b, err := idEncoding.DecodeString(id)
	if err != nil || len(b) != 16 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16)), true
}
