// Package plainfile opens files of a folder in which somebody with fewer rights may put something else at any moment.
package plainfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens what is a file in root, or a folder where kind is fs.ModeDir. It refuses anything else, and follows no link out of root. It waits for
// nobody, also where a pipe is put into the file's place meanwhile.
func Open(root *os.Root, name string, kind fs.FileMode) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := is(root, name, kind, info); err != nil {
		return nil, err
	}
	return open(root, name, kind)
}

// open is Open, of a name that was looked at before.
func open(root *os.Root, name string, kind fs.FileMode) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = is(root, name, kind, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func is(root *os.Root, name string, kind fs.FileMode, info fs.FileInfo) error {
	if got := info.Mode().Type(); got != kind {
		return fmt.Errorf("%s: got %s, want a file or folder of the gateway's own: put what it leads to in its place", filepath.Join(root.Name(), filepath.FromSlash(name)), got)
	}
	return nil
}
