// Package deptest holds the tests of what the repository as a whole promises:
// which package may import which, what go.mod may say, and what no file may
// contain.
package deptest
