//go:build race

// Package race tells tests whether the race detector is on.
package race

// Enabled reports whether the race detector is on: it makes code slower, and has it allocate.
const Enabled = true
