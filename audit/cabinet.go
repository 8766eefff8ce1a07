package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The records of a day lie in one folder. Each has a file of its own, and so has its key,
// until both are put into a pack. Where a session has both, the file of its own counts.

const (
	recordSuffix = ".rec"
	keySuffix    = ".key"
)

// cabinet finds what is stored of sessions. A session's path is that of its files, without
// their suffixes; one that is in a pack has the path that it had before. It is safe for
// concurrent use, also while records are packed.
type cabinet struct {
	dir  string
	disk *disk

	mu    sync.Mutex
	packs map[string]listing  // of folders
	lists map[string]packList // of packs that were read
}

// packList is what a pack lists. Packs do not change; a file that takes the place of one does.
type packList struct {
	of   fs.FileInfo
	list []entry
}

// maxLists is of how many packs it is kept.
const maxLists = 64

func (p packList) find(id string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(p.list, id, func(e entry, id string) int { return strings.Compare(e.id(), id) })
	if !ok {
		return entry{}, false
	}
	return p.list[i], true
}

// listing has the names of a folder's packs and of their keys.
type listing struct {
	names   []string
	changed time.Time // when the folder was changed before
	at      time.Time // when they were read
}

// clockStep is more than the times of files are apart from each other at least.
const clockStep = 2 * time.Second

// isOf reports whether the folder that has this state is still as it was listed.
func (l *listing) isOf(st fs.FileInfo) bool {
	return st.ModTime().Equal(l.changed) && l.at.Sub(l.changed) > clockStep
}

func newCabinet(dir string, d *disk) *cabinet {
	return &cabinet{dir: dir, disk: d, packs: make(map[string]listing), lists: make(map[string]packList)}
}

// folders lists the folders of days.
func (s *cabinet) folders() (list []string, err error) {
	days, err := os.ReadDir(filepath.Join(s.dir, "sessions"))
	for _, day := range days {
		if day.IsDir() {
			list = append(list, filepath.Join(s.dir, "sessions", day.Name()))
		}
	}
	return list, err
}

// find returns the path of a session.
func (s *cabinet) find(id string) (string, error) {
	if len(id) != idLen || !isID(id) {
		return "", fmt.Errorf("%q is not the identifier of a session", id)
	}
	// It lies in the folder of the day on which it began, as its identifier says.
	var likely []string
	if began, ok := beganOf(id); ok {
		for _, day := range []time.Time{began, began.Add(time.Minute)} { // it was created a little later
			likely = append(likely, filepath.Join(s.dir, "sessions", day.UTC().Format(time.DateOnly)))
		}
		if path, err := s.findIn(slices.Compact(likely), id); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	all, err := s.folders()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return s.findIn(slices.DeleteFunc(all, func(folder string) bool { return slices.Contains(likely, folder) }), id)
}

func (s *cabinet) findIn(folders []string, id string) (string, error) {
	var damaged error
	for _, folder := range folders {
		path := filepath.Join(folder, id)
		if _, err := os.Lstat(path + recordSuffix); err == nil {
			return path, nil
		}
		if s.isListed(folder, id) {
			return path, nil
		}
		f, _, err := s.seek(path, records)
		if err == nil {
			return path, f.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			damaged = errors.Join(damaged, err)
		}
	}
	if damaged != nil {
		return "", damaged
	}
	return "", fmt.Errorf("session %s: %w", id, fs.ErrNotExist)
}

// dayOf is the name of the folder in which a session most likely lies.
func dayOf(id string) string {
	began, _ := beganOf(id)
	return began.UTC().Format(time.DateOnly)
}

// stored is a record that was opened to be read. One that is still being written is read
// as far as it goes by then.
type stored struct {
	*io.SectionReader
	file *os.File
	size int64
}

// Size returns its length when it was opened, in bytes.
func (s *stored) Size() int64 { return s.size }

// Close closes its file.
func (s *stored) Close() error { return s.file.Close() }

// record opens a session's record, and returns its path.
func (s *cabinet) record(id string) (path string, f *stored, err error) {
	if path, err = s.find(id); err != nil {
		return "", nil, err
	}
	f, err = s.open(path)
	return path, f, err
}

// open opens the record at a path.
func (s *cabinet) open(path string) (*stored, error) {
	f, err := os.Open(path + recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return s.openPacked(path)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &stored{io.NewSectionReader(f, 0, math.MaxInt64), f, st.Size()}, nil
}

// openPacked opens a session's record in its pack.
func (s *cabinet) openPacked(path string) (*stored, error) {
	f, e, err := s.seek(path, records)
	if err != nil {
		return nil, err
	}
	return &stored{io.NewSectionReader(f, e.offset(), e.size()), f, e.size()}, nil
}

// key reads a session's key as it is sealed. The error of one that is not there, or was
// destroyed, is fs.ErrNotExist.
func (s *cabinet) key(path string) ([]byte, error) {
	b, err := os.ReadFile(path + keySuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && isZero(b) { // one whose name a crash has left
		return s.packedKey(path)
	}
	return b, err
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

// packedKey reads a session's key in the pack's file of keys.
func (s *cabinet) packedKey(path string) ([]byte, error) {
	f, e, err := s.seek(path, slots)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if e.isErased() {
		return nil, fmt.Errorf("the key of session %s: %w", filepath.Base(path), fs.ErrNotExist)
	}
	return e.key(), nil
}

// hasKey reports whether a session has a key.
func (s *cabinet) hasKey(path string) (bool, error) {
	_, err := s.key(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// destroyKey destroys a session's key wherever it is: in a file of its own and in a pack. It may
// be done again. The keys are locked.
func (s *cabinet) destroyKey(path string) error {
	err := s.disk.destroy(path + keySuffix)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	names, lerr := s.relist(filepath.Dir(path))
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	for _, name := range names {
		f, e, serr := slots.seekIn(filepath.Dir(path), []string{name}, filepath.Base(path), slots.seek)
		if errors.Is(serr, fs.ErrNotExist) {
			continue
		}
		if serr == nil {
			serr = errors.Join(f.Close(), s.disk.overwrite(f.Name(), e.at+idLen, sealedKeyLen))
		}
		err = errors.Join(err, serr)
	}
	return err
}

// seek finds a session in the packs of the folder that it lies in, or in their files of keys, and
// returns the open file. The error of one that is in none is fs.ErrNotExist.
func (s *cabinet) seek(path string, t table) (*os.File, entry, error) {
	folder, id := filepath.Split(path)
	folder = filepath.Clean(folder)
	seek := t.seek
	if t == records {
		seek = s.look
	}
	known := s.known(folder)
	f, e, err := t.seekIn(folder, known, id, seek)
	if err == nil {
		return f, e, nil
	}
	now, lerr := s.relist(folder)
	if lerr != nil {
		return nil, entry{}, lerr
	}
	if slices.Equal(known, now) && !errors.Is(err, fs.ErrNotExist) {
		return nil, entry{}, err
	}
	return t.seekIn(folder, now, id, seek)
}

// look finds a session in a pack, by the list that it has or had when it was read.
func (s *cabinet) look(f *os.File, id string) (entry, error) {
	st, err := f.Stat()
	if err != nil {
		return entry{}, err
	}
	s.mu.Lock()
	p, ok := s.lists[f.Name()]
	s.mu.Unlock()
	if !ok || !os.SameFile(p.of, st) || p.of.Size() != st.Size() || !p.of.ModTime().Equal(st.ModTime()) {
		p.of = st
		if p.list, err = records.readFrom(f); p.list == nil {
			return entry{}, err // what is wrong with one that has a list shows where it is read
		}
		s.mu.Lock()
		if len(s.lists) >= maxLists {
			clear(s.lists)
		}
		s.lists[f.Name()] = p
		s.mu.Unlock()
	}
	e, ok := p.find(id)
	if !ok {
		return entry{}, fmt.Errorf("session %s: %w", id, fs.ErrNotExist)
	}
	return e, nil
}

// isListed reports whether a pack of a folder listed a session when it was read.
func (s *cabinet) isListed(folder, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.packs[folder].names {
		if first, last, ok := records.sessions(name); ok && first <= id && id <= last {
			if _, ok := s.lists[filepath.Join(folder, name)].find(id); ok {
				return true
			}
		}
	}
	return false
}

func (s *cabinet) known(folder string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packs[folder].names
}

// relist lists the packs of a folder, and their files of keys, unless it is as it was listed.
func (s *cabinet) relist(folder string) ([]string, error) {
	now := time.Now()
	st, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	before := s.packs[folder]
	s.mu.Unlock()
	if before.isOf(st) {
		return before.names, nil
	}
	names, err := namesIn(folder)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, _, isPack := records.sessions(name)
		_, _, isKeys := slots.sessions(name)
		return !isPack && !isKeys
	})
	slices.Sort(names)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs[folder] = listing{names, st.ModTime(), now}
	return names, nil
}

// namesIn lists the files of a folder; none when it is not there.
func namesIn(folder string) ([]string, error) {
	d, err := os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

const (
	recordThere = 1 << iota
	keyThere
)

// list lists which sessions have a record, and which a key. What a damaged pack has is not among
// them.
func (s *cabinet) list() (map[string]byte, error) {
	folders, err := s.folders()
	if err != nil {
		return nil, err
	}
	there := make(map[string]byte)
	for _, folder := range folders {
		names, err := namesIn(folder)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if id, ok := sessionOf(name, recordSuffix); ok {
				there[id] |= recordThere
			} else if id, ok := sessionOf(name, keySuffix); ok {
				there[id] |= keyThere
			}
		}
		// After the files: what was packed meanwhile is in a pack by now.
		if names, err = s.relist(folder); err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := listPacked(there, filepath.Join(folder, name)); err != nil {
				return nil, err
			}
		}
	}
	return there, nil
}

// listPacked notes what a pack or a file of keys holds. That it is damaged is for verifying to
// tell.
func listPacked(there map[string]byte, file string) error {
	t, has := records, byte(recordThere)
	if strings.HasSuffix(file, keysSuffix) {
		t, has = slots, keyThere
	}
	list, err := t.read(file)
	if err != nil && !errors.As(err, new(*packError)) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range list {
		if t == records || !e.isErased() {
			there[e.id()] |= has
		}
	}
	return nil
}

// sessionOf returns the session of which a file is, by its name.
func sessionOf(name, suffix string) (id string, ok bool) {
	id, ok = strings.CutSuffix(name, suffix)
	return id, ok && len(id) == idLen && isID(id)
}

// moved says where the key of a session is that does not lie with its record; nil when no
// folder has it.
func (s *cabinet) moved(path string) error {
	folders, err := s.folders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if folder == filepath.Dir(path) {
			continue
		}
		has, err := s.hasKey(filepath.Join(folder, filepath.Base(path)))
		if err != nil {
			return err
		}
		if has {
			return fmt.Errorf("its record was moved: it lies in %s, and its key in %s: move it back", filepath.Dir(path), folder)
		}
	}
	return nil
}

// isSame reports whether a session's record in a file of its own is the one in its pack.
func (s *cabinet) isSame(path string) (bool, error) {
	own, err := os.ReadFile(path + recordSuffix)
	if err != nil {
		return false, err
	}
	f, err := s.openPacked(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	packed, err := io.ReadAll(f)
	return bytes.Equal(own, packed), err
}
