//go:build !unix

package plainfile

const nonblock = 0 // folders of these systems do not hold pipes
