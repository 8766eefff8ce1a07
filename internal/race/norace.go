//go:build !race

package race

// Enabled reports whether the race detector is on: it makes code slower, and has it allocate.
const Enabled = false
