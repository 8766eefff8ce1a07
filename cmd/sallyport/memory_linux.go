package main

import (
	"fmt"
	"syscall"
)

// hideMemory has the system write no core of this process, and keeps other processes of its user
// from reading its memory: it holds secrets while they are used, and what is left of them
// until the memory is used again. Root can read it all the same.
func hideMemory() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("having no core written of the gateway: %w", err)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("hiding the gateway's memory from its user's processes: %w", errno)
	}
	return nil
}
