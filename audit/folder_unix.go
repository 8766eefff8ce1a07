//go:build unix

package audit

import (
	"errors"
	"os"
)

// syncFolder puts the names of a folder's files on the disk.
func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
