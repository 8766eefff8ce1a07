package guardrail

import (
	"errors"
	"path"
	"strings"
)

var errNoGrammar = errors.New("no grammar for commands is configured")

// parse reads a command line, once.
func (c *call) parse(command string) {
	if c.parsed {
		return
	}
	c.parsed, c.err = true, errNoGrammar
	if c.guardrail.config.Commands != nil {
		c.programs, c.err = c.guardrail.config.Commands.Programs(command)
	}
}

// command reports whether a command line runs what the rule is about.
func (c *call) command(r *Rule, command string) (meets, understood bool) {
	c.parse(command)
	for _, p := range c.programs {
		for _, pattern := range r.Commands {
			if runs(pattern, p) {
				return true, true
			}
		}
	}
	return c.err != nil && r.Action.blocks(), c.err == nil
}

// runs matches "PROGRAM" or "PROGRAM ARGUMENT…": each argument of the pattern
// must match one of the program's, in any order; "-x" also matches where it
// is among other letters, as in -rxf.
func runs(pattern string, program []string) bool {
	want := strings.Fields(pattern)
	if len(program) == 0 {
		return false
	}
	if ok, err := path.Match(want[0], path.Base(program[0])); !ok || err != nil {
		return false
	}
	for _, w := range want[1:] {
		if !hasArgument(w, program[1:]) {
			return false
		}
	}
	return true
}

func hasArgument(want string, args []string) bool {
	letter := len(want) == 2 && want[0] == '-' && want[1] != '-'
	for _, a := range args {
		if known, _, dynamic := strings.Cut(a, Dynamic); dynamic {
			if strings.HasPrefix(want, known) {
				return true // what is computed may be the rest of it
			}
			continue
		}
		if ok, err := path.Match(want, a); ok && err == nil {
			return true
		}
		if letter && len(a) > 2 && a[0] == '-' && a[1] != '-' && strings.IndexByte(a[1:], want[1]) >= 0 {
			return true
		}
	}
	return false
}

// file matches a path, cleaned, and every folder above it.
func file(globs []string, name string) bool {
	for p := path.Clean("/" + name); ; p = path.Dir(p) {
		if matches(globs, p) || matches(globs, strings.TrimPrefix(p, "/")) {
			return true
		}
		if p == "/" {
			return false
		}
	}
}

func request(patterns []string, method, name string) bool {
	for _, p := range patterns {
		m, g := cutMethod(p)
		if m != "" && !strings.EqualFold(m, method) {
			continue
		}
		if file([]string{g}, name) {
			return true
		}
	}
	return false
}

// cutMethod splits "METHOD /path" and "/path".
func cutMethod(pattern string) (method, glob string) {
	m, g, ok := strings.Cut(pattern, " ")
	if !ok {
		return "", pattern
	}
	return m, strings.TrimSpace(g)
}
