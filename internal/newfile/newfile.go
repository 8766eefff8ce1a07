// Package newfile puts files that were written whole where nothing is, or where an older one is, and has the disk take their names.
package newfile

import (
	"bytes"
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

// Make writes a file that its owner alone reads, where nothing is: the error is fs.ErrExist where something is, also when
// that has come meanwhile. The disk has it when Make returns; nobody reads a part of it.
func Make(file string, text []byte) error { return write(file, text, Put) }

// Replace writes a file that its owner alone reads. The disk has it when Replace returns; where that fails, and for
// who reads it meanwhile, what was there is there.
func Replace(file string, text []byte) error { return write(file, text, (*os.Root).Rename) }

// Publish writes a file that everybody may read, and its folder where that is not there, unless the file says that already. Who reads it at any
// time sees what was there, or this.
func Publish(file string, text []byte) error {
	if b, err := os.ReadFile(file); err == nil && bytes.Equal(b, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// write has put give a file of that text its name.
func write(file string, text []byte, put func(root *os.Root, from, to string) error) (err error) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := os.CreateTemp(root.Name(), ".new-*") // with the mode 0600
	if err != nil {
		return err
	}
	from := filepath.Base(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = put(root, from, filepath.Base(file))
	}
	if err != nil {
		return errors.Join(err, root.Remove(from))
	}
	return Sync(root, ".")
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
