//go:build unix && !linux

package pgembed

import "syscall"

// dieWithParent does nothing: this system does not tell children.
func dieWithParent(*syscall.SysProcAttr) {}
