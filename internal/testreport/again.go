package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// again runs what failed once more, a package at a time, by run, which is given the
// package and a pattern of its tests' names. What passes moves from the failed to
// the unsteady.
func (c *counts) again(w io.Writer, run func(pkg, pattern string) (*counts, error)) error {
	for _, pkg := range slices.Sorted(maps.Keys(c.failures)) {
		f := c.failures[pkg]
		if f.final || len(f.tests) == 0 {
			continue
		}
		names := strings.Join(f.tests, "|")
		fmt.Fprintf(w, "=== again, by themselves: %s %s\n", pkg, names)
		second, err := run(pkg, "^("+names+")$")
		if err != nil {
			return err
		}
		if !second.ok() {
			continue
		}
		c.failed -= f.count
		c.unsteady += len(f.tests)
		for _, t := range f.tests {
			fmt.Fprintf(w, "UNSTEADY\t%s %s: failed among others, passes alone\n", pkg, t)
		}
	}
	return nil
}

// test runs go test and reports what it says. Its exit status is not needed: what
// it would say is in the counts.
func test(w io.Writer, args []string) (*counts, error) {
	cmd := exec.Command("go", append([]string{"test"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c, err := report(w, out)
	if err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil && c.ok() {
		return nil, fmt.Errorf("go test: %w", err)
	}
	return c, nil
}
