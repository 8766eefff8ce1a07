//go:build !unix

package backup

import "os"

// ownerOf returns what gives a file to the owner of a folder, which the system does by itself.
func ownerOf(*os.Root) (func(name string) error, error) {
	return func(string) error { return nil }, nil
}
