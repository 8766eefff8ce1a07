package guardrail

import (
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// ungrammatical are the facts of commands when no grammar is configured.
var ungrammatical = &proxy.CommandFacts{Unknown: []string{"no grammar for commands is configured"}}

// parse reads a command line, once.
func (c *call) parse(op *proxy.Exec) *proxy.CommandFacts {
	if c.command == nil {
		c.command = ungrammatical
		if c.guardrail.config.Commands != nil {
			c.command = c.guardrail.config.Commands.Facts(op)
		}
	}
	return c.command
}

// does reports whether a command line does what the rule is about. What cannot
// be told counts when the rule blocks.
func (c *call) does(r *Rule, op *proxy.Exec) (meets, understood bool) {
	facts := c.parse(op)
	if slices.ContainsFunc(facts.Programs, r.names) ||
		slices.ContainsFunc(facts.Harms, func(h proxy.CommandHarm) bool { return !h.Possible && slices.Contains(r.Harms, h.Kind) }) {
		return true, true
	}
	understood = len(c.doubts(r)) == 0
	return !understood && r.Action.blocks(), understood
}

// doubts are what cannot be told of a command line and matters to the rule.
func (c *call) doubts(r *Rule) (why []string) {
	if c.command == nil {
		return nil
	}
	for _, h := range c.command.Harms {
		if h.Possible && slices.Contains(r.Harms, h.Kind) {
			why = append(why, h.Text)
		}
	}
	why = append(why, c.command.Unknown...)
	if r.Only {
		why = append(why, c.command.Unfollowed...)
	}
	return why
}

// names reports whether the rule is about a program.
func (r *Rule) names(program []string) bool {
	return slices.ContainsFunc(r.Commands, func(pattern string) bool { return runs(pattern, program) })
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

// acts reports whether what a request does has a name that is one of globs.
func acts(globs []string, op *proxy.Request) bool {
	return named(globs, op.Action) || slices.ContainsFunc(op.Also, func(name string) bool { return named(globs, name) })
}

// named reports whether a name of an API is one of globs, of which "*" ends at a slash.
func named(globs []string, name string) bool {
	return name != "" && slices.ContainsFunc(globs, func(g string) bool {
		ok, err := path.Match(g, name)
		return ok && err == nil
	})
}

// cutMethod splits "METHOD /path" and "/path".
func cutMethod(pattern string) (method, glob string) {
	m, g, ok := strings.Cut(pattern, " ")
	if !ok {
		return "", pattern
	}
	return m, strings.TrimSpace(g)
}
