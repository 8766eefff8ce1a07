//go:build unix

package audit

import (
	"os"
	"syscall"
)

// wholeFile holds that a folder still has an open file, and that it has at least size bytes.
func wholeFile(f *os.File, size int64) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if st.Nlink == 0 {
		return &PlaceError{f.Name(), "is gone"}
	}
	if st.Size < size && st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		return cutOff(f, st.Size, size)
	}
	return nil
}
