//go:build !unix

package plainfile

const nonblock = 0 // there are no pipes with names in folders
