package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/newfile"
)

// folder is a sink below a folder. Whatever links others put there, nothing is written outside of it.
type folder struct {
	root *os.Root
	lost bool // nothing of it is kept: the disk need not have it
}

func (d folder) create(name string, mode fs.FileMode, again bool) (io.WriteCloser, error) {
	name = filepath.FromSlash(name)
	if err := d.root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	if again { // what comes last counts
		if err := d.root.Remove(name); err != nil {
			return nil, err
		}
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w: it differs from another name of the backup in upper and lower case alone: restore on a file system that tells them apart", name, err)
	}
	if err != nil {
		return nil, err
	}
	if d.lost {
		return f, nil
	}
	return synced{f}, nil
}

// synced is a file that the disk has when it was closed.
type synced struct{ *os.File }

func (s synced) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

// sinks hands the data directory's files to one sink and those of the configuration to another one.
type sinks struct{ data, config sink }

func (s sinks) create(name string, mode fs.FileMode, again bool) (io.WriteCloser, error) {
	if strings.HasPrefix(name, dataDir+"/") {
		return s.data.create(name, mode, again)
	}
	return s.config.create(name, mode, again)
}

// settle gives what is in a folder to the owner of another one, and has the disk take its names.
func settle(root, like *os.Root) error {
	own, err := ownerOf(like)
	if err != nil {
		return err
	}
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." {
			if err := own(root, name); err != nil {
				return err
			}
		}
		if entry.IsDir() {
			return newfile.Sync(root, name)
		}
		return nil
	})
}

// moveAll moves what a folder has into another one, and writes over nothing.
func moveAll(root *os.Root, from, to string) error {
	list, err := fs.ReadDir(root.FS(), from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := move(root, path.Join(from, e.Name()), path.Join(to, e.Name()), e.IsDir()); err != nil {
			return err
		}
	}
	return newfile.Sync(root, to)
}

// move gives a file or a folder another name, which nothing has.
func move(root *os.Root, from, to string, isFolder bool) error {
	if isFolder { // takes the place of an empty folder alone
		return root.Rename(from, to)
	}
	return newfile.Put(root, from, to)
}
