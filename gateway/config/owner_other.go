//go:build !unix

package config

import "io/fs"

// trusted trusts what the system lets this process read.
func trusted(string, fs.FileInfo) error { return nil }
