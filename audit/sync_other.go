//go:build !linux

package audit

import "os"

// syncData puts a file on the disk.
func syncData(f *os.File) error { return f.Sync() }
