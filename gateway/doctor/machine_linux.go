package doctor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Space implements Machine.
func (This) Space(dir string) (bytes, freeBytes, files, freeFiles uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(max(st.Bsize, 0))
	return st.Blocks * block, st.Bavail * block, st.Files, st.Ffree, nil
}

// Writable implements Machine.
func (This) Writable(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &os.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}

// Descriptors implements Machine. It is the hard limit, up to which Go raises the other.
func (This) Descriptors() (uint64, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Max, err
}

// Synchronised implements Machine.
func (This) Synchronised() (synchronised, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false // a container may not ask
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}
