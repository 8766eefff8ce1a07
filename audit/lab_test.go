package audit

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// lab is a storage that fails when it is told to, and knows what of it would be left if
// the machine lost power now: of files what was synced, and of folders the names that
// were there when they were synced.
type lab struct {
	system
	release chan struct{} // ends a call that hangs

	mu    sync.Mutex
	calls int
	fault func(c call) (torn bool, err error)
	names map[string]*inode            // of files now
	kept  map[string]map[string]*inode // of folders, when they were synced; nil is a folder
}

// call is a call of a lab.
type call struct {
	op   string
	name string
	n    int // the how-manieth it is, from 1
}

// inode is what a file holds.
type inode struct {
	synced []byte
	dirty  []span // written since
}

type span struct{ from, to int64 }

func newLab() *lab {
	return &lab{release: make(chan struct{}), names: make(map[string]*inode), kept: make(map[string]map[string]*inode)}
}

// breaks has calls fail: torn ones write all but the last byte.
func (d *lab) breaks(fault func(c call) (torn bool, err error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// mends has calls succeed again, and those that hang go on.
func (d *lab) mends() {
	d.breaks(nil)
	close(d.release)
}

// count returns how many calls there were.
func (d *lab) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

func (d *lab) call(op, name string) (torn bool, err error) {
	d.mu.Lock()
	d.calls++
	c, fault := call{op, name, d.calls}, d.fault
	d.mu.Unlock()
	if fault == nil {
		return false, nil
	}
	torn, err = fault(c)
	if err != nil {
		err = &fs.PathError{Op: op, Path: name, Err: err}
	}
	return torn, err
}

func (d *lab) Open(name string, flag int, perm fs.FileMode) (file, error) {
	if _, err := d.call("open", name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, statErr := os.Stat(name)
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	c := d.names[name]
	if c == nil {
		c = &inode{}
		if statErr == nil { // from before the lab
			if c.synced, err = os.ReadFile(name); err != nil {
				return nil, err
			}
		}
		d.names[name] = c
	}
	return &labFile{f, d, c}, nil
}

func (d *lab) Mkdir(name string) error {
	if _, err := d.call("mkdir", name); err != nil {
		return err
	}
	return d.system.Mkdir(name)
}

func (d *lab) Rename(from, to string) error {
	if _, err := d.call("rename", to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := os.Rename(from, to)
	if err == nil {
		d.names[to] = d.names[from]
		delete(d.names, from)
	}
	return err
}

func (d *lab) Remove(name string) error {
	if _, err := d.call("remove", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := os.Remove(name)
	if err == nil {
		delete(d.names, name)
	}
	return err
}

func (d *lab) Lock(name string, wait bool) (io.Closer, error) {
	if _, err := d.call("lock", name); err != nil {
		return nil, err
	}
	return d.system.Lock(name, wait)
}

func (d *lab) SyncFolder(name string) error {
	if _, err := d.call("sync folder", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	list, err := os.ReadDir(name)
	kept := make(map[string]*inode)
	for _, e := range list {
		path := filepath.Join(name, e.Name())
		switch {
		case e.IsDir():
			kept[e.Name()] = nil
		case d.names[path] != nil:
			kept[e.Name()] = d.names[path]
		}
	}
	d.kept[name] = kept
	return err
}

type labFile struct {
	*os.File
	lab *lab
	c   *inode
}

func (f *labFile) WriteAt(b []byte, at int64) (int, error) {
	torn, err := f.lab.call("write", f.Name())
	f.lab.mu.Lock()
	defer f.lab.mu.Unlock()
	n := len(b)
	if err != nil {
		if n = max(n-1, 0); !torn {
			return 0, err
		}
	}
	n, werr := f.File.WriteAt(b[:n], at)
	f.c.dirty = append(f.c.dirty, span{at, at + int64(n)})
	return n, errors.Join(err, werr)
}

func (f *labFile) Whole(size int64) error { return wholeFile(f.File, size) }

func (f *labFile) Truncate(size int64) error {
	if _, err := f.lab.call("truncate", f.Name()); err != nil {
		return err
	}
	f.lab.mu.Lock()
	defer f.lab.mu.Unlock()
	return f.File.Truncate(size)
}

// Sync is that of a file system that drops what it cannot write: syncing again succeeds
// without it.
func (f *labFile) Sync() error {
	_, failed := f.lab.call("sync", f.Name())
	f.lab.mu.Lock()
	defer f.lab.mu.Unlock()
	st, err := f.File.Stat()
	if err != nil {
		return err
	}
	dirty := f.c.dirty
	f.c.dirty = nil
	if failed != nil {
		return failed
	}
	now := make([]byte, st.Size())
	if _, err := f.File.ReadAt(now, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	was := f.c.synced
	f.c.synced = make([]byte, len(now))
	copy(f.c.synced, was)
	for _, s := range dirty {
		if s.from < int64(len(now)) {
			copy(f.c.synced[s.from:], now[s.from:min(s.to, int64(len(now)))])
		}
	}
	return nil
}

// losePower copies to a folder what is left of another when the machine loses power.
func (d *lab) losePower(t testing.TB, from, to string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	var restore func(from, to string)
	restore = func(from, to string) {
		require.NoError(t, os.MkdirAll(to, 0o700))
		for name, c := range d.kept[from] {
			if c == nil {
				restore(filepath.Join(from, name), filepath.Join(to, name))
				continue
			}
			require.NoError(t, os.WriteFile(filepath.Join(to, name), c.synced, 0o600))
		}
	}
	restore(from, to)
}

// openOn opens a log on a lab.
func openOn(t testing.TB, d *lab, dir string, c Config) *Log {
	t.Helper()
	l, err := tryOpenOn(d, dir, c)
	require.NoError(t, err)
	return l
}

func tryOpenOn(d *lab, dir string, c Config) (*Log, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return open(dir, c, d)
}

// writes has a fault for writes only.
func writes(fault func() (torn bool, err error)) func(c call) (bool, error) {
	return func(c call) (bool, error) {
		if c.op != "write" {
			return false, nil
		}
		return fault()
	}
}

// full is a disk without room.
func full() (torn bool, err error) { return false, syscall.ENOSPC }
