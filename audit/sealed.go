package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A record that the list of sealed sessions names is whole, or reading it is an error:
// what is missing at its end is never taken for a session that goes on.

// sealedList is the list of sealed sessions, read as far as it was needed. It is safe for
// concurrent use.
type sealedList struct {
	file string

	mu     sync.Mutex
	offset int64 // read
	leaves map[string]leaf
	order  []string
}

func newSealedList(dir string) *sealedList {
	return &sealedList{file: filepath.Join(dir, "log", "leaves"), leaves: make(map[string]leaf)}
}

// find returns a session's leaf. It is not listed when ok is false.
func (s *sealedList) find(id string) (l leaf, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok = s.leaves[id]; ok {
		return l, true, nil
	}
	err = s.readOn()
	l, ok = s.leaves[id]
	return l, ok, err
}

// all lists the sealed sessions in the order in which they were sealed.
func (s *sealedList) all() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.readOn()
	return s.order[:len(s.order):len(s.order)], err
}

// readOn reads what was listed since.
func (s *sealedList) readOn() error {
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, s.offset, 1<<62))
	if err != nil {
		return err
	}
	whole := strings.LastIndexByte(string(b), '\n') + 1
	for line := range strings.Lines(string(b[:whole])) {
		l, err := parseLeaf(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return fmt.Errorf("the list of sealed sessions, at byte %d: %w", s.offset, err)
		}
		s.leaves[l.ID] = l
		s.order = append(s.order, l.ID)
		s.offset += int64(len(line))
	}
	return nil
}

// Missing lists the sessions that are sealed and have no record any more.
func (a *Archive) Missing() ([]string, error) {
	sealed, err := a.sealed.all()
	if err != nil {
		return nil, err
	}
	there, err := a.cabinet.list()
	var missing []string
	for _, id := range sealed {
		if there[id]&recordThere == 0 {
			missing = append(missing, id)
		}
	}
	return missing, err
}

// errMissing says that a sealed session's record is gone.
var errMissing = errors.New("it is sealed, and its record is missing")

// find returns the path of a session's record, without its suffix, and its leaf, which is nil
// when it is not sealed.
func (a *Archive) find(id string) (path string, sealed *leaf, err error) {
	l, ok, err := a.sealed.find(id) // before the record, which is replaced before it is listed
	if err != nil {
		return "", nil, err
	}
	path, err = a.cabinet.find(id)
	if !ok {
		return path, nil, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errMissing
	}
	return path, &l, err
}

// ended holds that a record that was read to its end is what its leaf commits to; err is
// what reading ended with.
func (r *reader) ended(err error, l leaf) error {
	switch {
	case errors.Is(err, errTorn):
		return fmt.Errorf("the record is cut off in event %d of %d", r.index+1, l.Events)
	case !errors.Is(err, io.EOF):
		return err
	case r.id != l.ID:
		return fmt.Errorf("the record is that of session %s", quoteID(r.id))
	case r.index < l.Events:
		return fmt.Errorf("the record ends after event %d of %d", r.index, l.Events)
	case r.index > l.Events:
		return fmt.Errorf("the record goes on after event %d, with which it was sealed", l.Events)
	case r.chain != l.Chain:
		return errors.New("the record is consistent in itself, and is not the one that was sealed")
	}
	return nil
}

// Whole holds that a session's record has the length and the end that it was sealed with,
// if it is sealed. It reads where frames begin and none of them: what was altered inside
// is found when it is read.
func (a *Archive) Whole(id string) error {
	path, sealed, err := a.find(id)
	if err != nil || sealed == nil {
		return err
	}
	f, err := a.cabinet.open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = openFile(f, id, nil, sealed)
	return err
}
