package audit

import (
	"errors"
	"os"
	"syscall"
)

// syncData puts a file's contents on the disk, and of what describes it as much
// as is needed to read them.
func syncData(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = c.Control(func(fd uintptr) {
		for {
			if serr = syscall.Fdatasync(int(fd)); !errors.Is(serr, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, serr)
}
