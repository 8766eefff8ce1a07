package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// folder is a sink below a folder that is this process's alone.
type folder struct{ root string }

func (d *folder) create(name string, mode fs.FileMode) (io.WriteCloser, error) {
	path := filepath.Join(d.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // what comes last counts
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if err != nil {
		return nil, err
	}
	return synced{f}, nil
}

// synced is a file that the disk has when it was closed.
type synced struct{ *os.File }

func (s synced) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

// settle gives what is in a folder to the owner of the one that it is for, and has the disk take its names.
func settle(root, like string) error {
	own, err := ownerOf(like)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name == filepath.Join(root, lostFound) {
			return fs.SkipDir
		}
		if err := own(name); err != nil {
			return err
		}
		if entry.IsDir() {
			return syncFolder(name)
		}
		return nil
	})
}

// syncFolder has the disk take the names in a folder.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil // which does not open folders
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
