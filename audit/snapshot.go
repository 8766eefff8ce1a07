package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/internal/plainfile"
)

// Snapshot reads a log as it is at one moment, also while another process writes it. What it
// reads is a log: one as a process leaves it that is stopped at that moment, which the next start seals.
type Snapshot struct {
	// Root is the log's directory.
	Root *os.Root
	// WithoutRecords leaves out the records of sealed sessions, which are most of a log. Their keys and proofs
	// are read all the same: the records can be put back from a copy.
	WithoutRecords bool
}

const (
	snapshotRounds = 50      // how often it is looked for what was moved meanwhile
	snapshotBuffer = 1 << 20 // bytes of a file that are read before they are handed over
)

// Read calls take with each file of the log: its name below Root, with slashes, its mode and its content. A file
// that was changed while it was read is read again: the content that take was called with last
// counts. It returns how many sessions are sealed. A link in the directory is refused, so that who writes there
// cannot have somebody with more rights read another file.
func (s Snapshot) Read(take func(name string, mode fs.FileMode, size int64, content io.Reader) error) (sessions int, err error) {
	r := &snapshotReader{Snapshot: s, take: take, taken: make(map[string]bool)}
	if sessions, err = r.read(); err != nil {
		return 0, fmt.Errorf("reading the audit log in %s: %w", s.Root.Name(), err)
	}
	return sessions, nil
}

type snapshotReader struct {
	Snapshot
	take   func(name string, mode fs.FileMode, size int64, content io.Reader) error
	taken  map[string]bool
	sealed map[string]bool // sessions of which the records are left out; nil: of none
	rounds int
	listed map[string]bool // in the first round; what began since is not of this moment
}

// path is where a file of the log is.
func (r *snapshotReader) path(name string) string {
	return filepath.Join(r.Root.Name(), filepath.FromSlash(name))
}

// read takes first what must not be ahead of what comes after it: how far sinks, copies and witnesses
// have come, the end of the gateway's own record, the signed head, the list of sealed sessions. The records of all
// that these name are there by then.
func (r *snapshotReader) read() (sessions int, err error) {
	log, err := plainfile.Open(r.Root, "log", fs.ModeDir)
	if err != nil {
		return 0, err
	}
	if err := log.Close(); err != nil {
		return 0, err
	}
	for _, folder := range []string{"export", "copies", "witnesses"} {
		if err := r.folder(folder, func(string) bool { return true }); err != nil {
			return 0, err
		}
	}
	for _, name := range []string{"log/" + tailName, "log/" + checkpointName} {
		if err := r.must(name); err != nil {
			return 0, err
		}
	}
	if sessions, err = r.list(); err != nil {
		return 0, err
	}
	for _, name := range []string{"log/key", "log/key.pub"} {
		if err := r.must(name); err != nil {
			return 0, err
		}
	}
	for _, name := range []string{masterKey, elsewhereName} {
		if _, err := r.file(name); err != nil {
			return 0, err
		}
	}
	return sessions, r.records()
}

// list takes the list of sealed sessions and the hashes of as many.
func (r *snapshotReader) list() (sessions int, err error) {
	list, err := plainfile.Open(r.Root, "log/leaves", 0)
	if err != nil {
		return 0, err
	}
	leaves, err := io.ReadAll(list)
	if err = errors.Join(err, list.Close()); err != nil {
		return 0, err
	}
	leaves = leaves[:bytes.LastIndexByte(leaves, '\n')+1]
	sessions = bytes.Count(leaves, []byte{'\n'})
	if r.WithoutRecords {
		r.sealed = make(map[string]bool, sessions)
		for line := range strings.Lines(string(leaves)) {
			id, _, _ := strings.Cut(line, " ")
			r.sealed[id] = true
		}
	}
	if err := r.take("log/leaves", 0o600, int64(len(leaves)), bytes.NewReader(leaves)); err != nil {
		return 0, err
	}
	f, err := plainfile.Open(r.Root, "log/hashes", 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size := int64(0) // each leaf's hashes are written before it
	if sessions > 0 {
		size = tlog.StoredHashCount(int64(sessions)) * tlog.HashSize
	}
	return sessions, r.take("log/hashes", 0o600, size, io.NewSectionReader(f, 0, size))
}

// must takes a file that every log has.
func (r *snapshotReader) must(name string) error {
	ok, err := r.file(name)
	if err == nil && !ok {
		err = &fs.PathError{Op: "open", Path: r.path(name), Err: fs.ErrNotExist}
	}
	return err
}

// names lists a folder in order; one that does not exist has no names.
func (r *snapshotReader) names(folder string) ([]string, error) {
	f, err := plainfile.Open(r.Root, folder, fs.ModeDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// folder takes the files of a folder that want chooses.
func (r *snapshotReader) folder(folder string, want func(name string) bool) error {
	names, err := r.names(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, newPrefix) || !want(name) {
			continue
		}
		if _, err := r.file(folder + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

// records takes the records and keys. While they are read, the log may move small ones into packs, where each is
// before its own file is gone: it is looked again until nothing was missed.
func (r *snapshotReader) records() error {
	r.listed = make(map[string]bool)
	for r.rounds = range snapshotRounds {
		missed, err := r.round()
		if err != nil || !missed {
			return err
		}
	}
	return errors.New("its records are moved faster than they are read: try again when fewer sessions end")
}

func (r *snapshotReader) round() (missed bool, err error) {
	days, err := r.names("sessions")
	if err != nil {
		return false, err
	}
	for _, day := range days {
		folder := "sessions/" + day
		names, err := r.names(folder)
		if err != nil {
			return false, err
		}
		for _, name := range names {
			for _, name := range r.parts(folder, name) {
				name = folder + "/" + name
				if r.rounds == 0 {
					r.listed[name] = true
				}
				if isPacked := strings.HasSuffix(name, packSuffix) || strings.HasSuffix(name, keysSuffix); r.taken[name] || !isPacked && !r.listed[name] {
					continue
				}
				ok, err := r.file(name)
				if err != nil {
					return false, err
				}
				missed = missed || !ok && !strings.HasSuffix(name, holdSuffix)
			}
		}
	}
	return missed, nil
}

// parts are the files to take of one that was listed, in their order: a key is written before its record, so that it is there
// where a record is.
func (r *snapshotReader) parts(folder, name string) []string {
	if id, ok := sessionOf(name, recordSuffix); ok {
		if r.sealed[id] {
			return nil
		}
		if _, err := r.Root.Lstat(folder + "/" + id + keySuffix); err == nil {
			return []string{id + keySuffix, name}
		}
		return []string{name}
	}
	_, _, isPack := records.sessions(name)
	_, _, isKeys := slots.sessions(name)
	_, isKey := sessionOf(name, keySuffix)
	_, isHold := sessionOf(name, holdSuffix)
	if isKeys || isKey || isHold || isPack && !r.WithoutRecords {
		return []string{name}
	}
	return nil
}

// file takes a file. It is not ok when the file is not there, or was not when it had been read.
func (r *snapshotReader) file(name string) (ok bool, err error) {
	for range snapshotRounds {
		again, err := r.once(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !again {
			r.taken[name] = true
			return true, nil
		}
		time.Sleep(time.Millisecond)
	}
	return false, fmt.Errorf("%s changes faster than it is read: try again", r.path(name))
}

// once takes a file, and reports whether it was written over or replaced meanwhile. What was added to it
// changes nothing of what was read.
func (r *snapshotReader) once(name string) (again bool, err error) {
	f, err := plainfile.Open(r.Root, name, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return false, err
	}
	size := before.Size()
	content := io.Reader(io.NewSectionReader(f, 0, size))
	changed := func() (bool, error) {
		after, err := r.Root.Lstat(name)
		if err != nil {
			return false, err
		}
		added := after.Size() > size
		return !os.SameFile(before, after) || after.Size() < size || !added && !after.ModTime().Equal(before.ModTime()), nil
	}
	if size <= snapshotBuffer { // what a pack takes in is small, and written over afterwards
		b, err := io.ReadAll(content)
		if err != nil {
			return false, err
		}
		if again, err := changed(); again || err != nil {
			return again, err
		}
		content, size = bytes.NewReader(b), int64(len(b))
		return false, r.take(name, before.Mode().Perm(), size, content)
	}
	if err := r.take(name, before.Mode().Perm(), size, content); err != nil {
		return false, err
	}
	return changed()
}
