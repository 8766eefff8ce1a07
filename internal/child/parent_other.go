//go:build unix && !linux

package child

import "syscall"

// dieWithParent does nothing: this system does not tell children.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
