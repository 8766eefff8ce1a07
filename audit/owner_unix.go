//go:build unix

package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// What root makes in a folder of another user's is that user's: a command that root runs on the log of a
// gateway must not leave files that the gateway cannot read. Only what was made just now is given away, through
// descriptors, so that nothing else can be put in its place.

// openOwned is os.OpenFile.
func openOwned(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&os.O_CREATE == 0 || os.Geteuid() != 0 {
		return os.OpenFile(name, flag, perm)
	}
	var f *os.File
	err := inFolder(name, func(folder *os.Root, base string, uid, gid int) (err error) {
		if f, err = folder.OpenFile(base, flag|os.O_EXCL, perm); err == nil && uid != 0 {
			err = f.Chown(uid, gid)
		}
		return err
	})
	if errors.Is(err, fs.ErrExist) && flag&os.O_EXCL == 0 {
		return os.OpenFile(name, flag&^os.O_CREATE, perm)
	}
	if err != nil && f != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return f, err
}

// makeFolder is os.Mkdir, for its owner only.
func makeFolder(name string) error {
	const mode = 0o700
	if os.Geteuid() != 0 {
		return os.Mkdir(name, mode)
	}
	return inFolder(name, func(folder *os.Root, base string, uid, gid int) error {
		if err := folder.Mkdir(base, mode); err != nil || uid == 0 {
			return err
		}
		made, err := folder.OpenFile(base, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		return errors.Join(made.Chown(uid, gid), made.Close())
	})
}

// inFolder has something made in the folder that name is in, which uid and gid own.
func inFolder(name string, do func(folder *os.Root, base string, uid, gid int) error) error {
	folder, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	st, err := folder.Stat(".")
	if err != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the system does not say who owns " + filepath.Dir(name))
	}
	err = do(folder, filepath.Base(name), int(owner.Uid), int(owner.Gid))
	var at *fs.PathError
	if errors.As(err, &at) {
		at.Path = name
	}
	return err
}
