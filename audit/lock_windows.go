package audit

import (
	"os"

	"golang.org/x/sys/windows"
)

// flock locks a file until it is closed. When another process has it locked and wait is not set,
// that is an error. It locks a byte far after the file's end, so that others can read what the file
// says.
func flock(f *os.File, wait bool) error {
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	return windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
}
