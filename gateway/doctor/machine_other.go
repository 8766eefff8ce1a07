//go:build !linux

package doctor

import "errors"

// Space implements Machine.
func (This) Space(string) (bytes, freeBytes, files, freeFiles uint64, err error) {
	return 0, 0, 0, 0, errors.ErrUnsupported
}

// Writable implements Machine.
func (This) Writable(string) error { return errors.ErrUnsupported }

// Descriptors implements Machine.
func (This) Descriptors() (uint64, error) { return 0, errors.ErrUnsupported }

// Synchronised implements Machine.
func (This) Synchronised() (synchronised, known bool) { return false, false }
