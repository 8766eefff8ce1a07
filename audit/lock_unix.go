//go:build unix

package audit

import (
	"errors"
	"os"
	"syscall"
)

// flock locks a file until it is closed. When another process has it locked and wait is not set,
// that is an error.
func flock(f *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
