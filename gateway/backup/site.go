package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/newfile"
)

// site is a folder that a backup is restored into, which is marked as one of which that has not come to its end. What is read
// is kept in the mark until it is proven. All names are opened below the folder, so that its owner leads root nowhere else.
type site struct {
	path    string
	root    *os.Root
	staging *os.Root // the mark
	made    bool     // by this restore
}

// restoring is the mark: the folder in a data directory into which a backup is read, until it is proven.
const restoring = ".restoring"

// Interrupted returns an error when a restore into a data directory did not come to its end: what is there is a part.
func Interrupted(data string) error {
	_, err := os.Lstat(filepath.Join(data, restoring))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = interrupted(data)
	}
	return err
}

func interrupted(data string) error {
	return fmt.Errorf("a restore into %s did not come to its end, or goes on: if it does not, remove everything in the folder, and restore again", data)
}

// claim marks a folder, which it makes where it is not there, and holds that it has nothing else. Of two restores into one
// folder one does.
func claim(path string) (_ *site, err error) {
	made, err := makeFolder(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	s := &site{path: path, root: root, made: made}
	if err := root.Mkdir(restoring, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = interrupted(path)
		}
		return nil, errors.Join(err, root.Close())
	}
	if err = s.empty(); err == nil {
		err = newfile.Sync(root, ".")
	}
	if err == nil {
		s.staging, err = root.OpenRoot(restoring)
	}
	if err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

// empty holds that a folder has nothing in it but the mark.
func (s *site) empty() error {
	list, err := fs.ReadDir(s.root.FS(), ".")
	for _, e := range list {
		if name := e.Name(); name != restoring && name != lostFound {
			return fmt.Errorf("%s is not empty: it has %q: move what is there aside; a backup is restored into an empty folder alone", s.path, name)
		}
	}
	return err
}

// place moves what is staged under a name to its place.
func (s *site) place(name string) error {
	return moveAll(s.root, restoring+"/"+name, ".")
}

// finish takes the mark away: what is in the folder is whole.
func (s *site) finish() error {
	if err := s.unmark(); err != nil {
		return err
	}
	return newfile.Sync(s.root, ".")
}

// abandon leaves the folder as it was, and closes it.
func (s *site) abandon() error {
	err := errors.Join(s.unmark(), s.root.Close())
	if s.made {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

func (s *site) unmark() error {
	return errors.Join(s.leave(), s.root.RemoveAll(restoring))
}

// leave closes the mark.
func (s *site) leave() (err error) {
	if s.staging != nil {
		err, s.staging = s.staging.Close(), nil
	}
	return err
}

func (s *site) close() error { return errors.Join(s.leave(), s.root.Close()) }

// makeFolder makes a folder, for its owner alone, unless it is there.
func makeFolder(name string) (made bool, err error) {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return false, err
	}
	above, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return true, err
	}
	return true, errors.Join(newfile.Sync(above, "."), above.Close())
}
