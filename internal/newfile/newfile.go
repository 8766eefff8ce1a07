// Package newfile puts files that were written whole where nothing is, or where an older one is, and has the disk take their names.
package newfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Put gives a file in root another name, which nothing has: the error is fs.ErrExist where something has it, also when that has come meanwhile.
func Put(root *os.Root, from, to string) error {
	err := root.Link(from, to) // unlike a rename it replaces nothing
	if err == nil {
		return root.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, serr := root.Lstat(to); !errors.Is(serr, fs.ErrNotExist) { // the file system has no links
		return errors.Join(err, &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist})
	}
	return root.Rename(from, to)
}

// Replace writes a file that its owner alone reads. The disk has it when Replace returns; where that fails, and for
// who reads it meanwhile, what was there is there.
func Replace(file string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // with the mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	folder, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(Sync(folder, "."), folder.Close())
}

// Sync has the disk take the names in a folder of root.
func Sync(root *os.Root, folder string) error {
	if runtime.GOOS == "windows" {
		return nil // which does not open folders
	}
	f, err := root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
