package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// storage is where a log writes. Tests have one that fails and loses power.
type storage interface {
	Open(name string, flag int, perm fs.FileMode) (file, error)
	Mkdir(name string) error // for the gateway's user only
	Rename(from, to string) error
	Remove(name string) error
	SyncFolder(name string) error // puts the names of its files on the disk
	// Lock takes a lock, which ends with the process at the latest; when another has it and wait is
	// not set, that is an error.
	Lock(name string, wait bool) (io.Closer, error)
}

// file is one of its files.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	// Whole holds that a folder still has the file, and that it has at least size bytes. It
	// allocates nothing.
	Whole(size int64) error
}

// system is the operating system's files.
type system struct{}

func (system) Open(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := openOwned(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

func (system) Mkdir(name string) error      { return makeFolder(name) }
func (system) Rename(from, to string) error { return os.Rename(from, to) }
func (system) Remove(name string) error     { return os.Remove(name) }

func (system) Lock(name string, wait bool) (io.Closer, error) {
	if wait {
		return waitLock(name)
	}
	return lockFile(name)
}

func (system) SyncFolder(name string) error { return syncFolder(name) }

type systemFile struct{ *os.File }

func (f systemFile) Sync() error            { return syncData(f.File) }
func (f systemFile) Whole(size int64) error { return wholeFile(f.File, size) }

// disk writes files and knows which folders have names that are not on the disk. It is
// safe for concurrent use.
type disk struct {
	storage

	syncing sync.Mutex // held while folders are synced
	mu      sync.Mutex
	changes map[string]uint64 // how often a folder's names have changed
	synced  map[string]uint64 // how often they had when it was synced last
}

func newDisk(s storage) *disk {
	return &disk{storage: s, changes: make(map[string]uint64), synced: make(map[string]uint64)}
}

// changed notes that name was put into its folder, or taken out of it.
func (d *disk) changed(name string) {
	d.mu.Lock()
	d.changes[filepath.Dir(name)]++
	d.mu.Unlock()
}

// create makes a file that is not there yet.
func (d *disk) create(name string, perm fs.FileMode) (file, error) {
	f, err := d.Open(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, perm)
	if err == nil {
		d.changed(name)
	}
	return f, err
}

// open opens a file for writing, and makes it when it is not there.
func (d *disk) open(name string) (file, error) {
	f, err := d.Open(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		d.changed(name)
	}
	return f, err
}

// mkdirAll makes a folder and those that it lies in, where they are not there yet.
func (d *disk) mkdirAll(name string) error {
	err := d.mkdir(name)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(name) != name {
		if err = d.mkdirAll(filepath.Dir(name)); err == nil {
			err = d.mkdir(name)
		}
	}
	return err
}

// mkdir makes a folder where it is not there yet.
func (d *disk) mkdir(name string) error {
	err := d.Mkdir(name)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err == nil:
		d.changed(name)
	}
	return err
}

func (d *disk) rename(from, to string) error {
	err := d.Rename(from, to)
	if err == nil {
		d.changed(to)
	}
	return err
}

func (d *disk) remove(name string) error {
	err := d.Remove(name)
	if err == nil {
		d.changed(name)
	}
	return err
}

// syncNames puts a folder's names on the disk, and those of the folders that it lies in
// up to top and to the highest that was made. What was synced by this disk and has not
// changed since is there.
func (d *disk) syncNames(folder, top string) error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	for ; len(folder) >= len(top) || d.isChanged(folder); folder = filepath.Dir(folder) {
		if err := d.syncFolder(folder); err != nil || folder == filepath.Dir(folder) {
			return err
		}
	}
	return nil
}

func (d *disk) isChanged(folder string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes[folder] != d.synced[folder]
}

func (d *disk) syncFolder(name string) error {
	d.mu.Lock()
	changes := d.changes[name]
	synced, known := d.synced[name]
	d.mu.Unlock()
	if known && synced == changes {
		return nil
	}
	if err := d.SyncFolder(name); err != nil {
		return err
	}
	d.mu.Lock()
	d.synced[name] = changes
	d.mu.Unlock()
	return nil
}

// newPrefix begins the name of what replace writes, until it has its own.
const newPrefix = ".new-"

// replace writes a file so that a crash leaves the old one or the new one, and the new
// one once it has returned.
func (d *disk) replace(name string, b []byte, perm fs.FileMode) error {
	folder := filepath.Dir(name)
	f, err := d.create(filepath.Join(folder, newPrefix+newID()), perm)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, d.destroy(f.Name()))
	}
	return d.syncNames(folder, folder)
}

// replaceSecret is replace, and overwrites what the file held before where the file system writes
// in place.
func (d *disk) replaceSecret(name string, b []byte) error {
	before, err := d.Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, err := sizeOf(name)
	if err == nil {
		err = d.replace(name, b, 0o600)
	}
	if err == nil {
		err = zero(before, 0, size)
	}
	return errors.Join(err, before.Close())
}

// destroy wipes a file, and has the disk take that it is gone.
func (d *disk) destroy(name string) error {
	if err := d.wipe(name); err != nil {
		return err
	}
	return d.syncNames(filepath.Dir(name), filepath.Dir(name))
}

// wipe overwrites a file, where the file system writes in place, and removes it.
func (d *disk) wipe(name string) error {
	size, err := sizeOf(name)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		err = d.overwrite(name, 0, size)
	}
	return errors.Join(err, d.remove(name))
}

// overwrite writes zeros over a part of a file, and has the disk take them.
func (d *disk) overwrite(name string, at, size int64) error {
	f, err := d.Open(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(zero(f, at, size), f.Close())
}

func zero(f file, at, size int64) error {
	if _, err := f.WriteAt(make([]byte, size), at); err != nil {
		return err
	}
	return f.Sync()
}

func sizeOf(name string) (int64, error) {
	st, err := os.Lstat(name)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
