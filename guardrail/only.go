package guardrail

import (
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// anyFurther ends a pattern of Only whose program may have more arguments.
const anyFurther = "..."

// exceeds reports whether an operation is outside of what a rule with Only
// allows.
func (c *call) exceeds(r *Rule) (exceeds, understood bool) {
	switch op := c.op.(type) {
	case *proxy.Exec:
		switch {
		case len(r.Commands) == 0 || op.Kind == proxy.KindInput || op.Kind == proxy.KindRunbook: // its steps are asked about one by one
			return false, true
		case op.Kind == proxy.KindSubsystem:
			return !r.allows([]string{op.Command}), true
		case op.Kind != proxy.KindExec:
			return true, true // a shell runs anything
		}
		programs := c.parse(op).Written
		if slices.ContainsFunc(programs, func(p []string) bool { return !r.allows(p) }) {
			return true, true
		}
		understood = len(c.doubts(r)) == 0
		return !understood || len(programs) == 0, understood
	case *proxy.File:
		return len(r.Paths) > 0 && !(within(r.Paths, op.Path) && (op.Target == "" || within(r.Paths, op.Target))), true
	case *proxy.Request:
		return len(r.Requests) > 0 && !requested(r.Requests, op.Method, op.Path) || len(r.Actions) > 0 && !named(r.Actions, op.Action), true
	}
	return false, true
}

// allows reports whether a rule with Only lets a program run. Of its Commands,
// "PROGRAM" allows it with any arguments; "PROGRAM ARGUMENT…" with exactly these,
// each a glob, in their order, and "..." at the end allows more. A program is
// named as the command names it: "ls" does not allow "/tmp/ls". Writing a file by
// a redirection is the program ">".
func (r *Rule) allows(program []string) bool {
	for _, pattern := range r.Commands {
		if permits(strings.Fields(pattern), program) {
			return true
		}
	}
	return false
}

func permits(want, program []string) bool {
	if ok, err := path.Match(want[0], program[0]); !ok || err != nil {
		return false
	}
	if len(want) == 1 {
		return true
	}
	for i, w := range want[1:] {
		if w == anyFurther && i == len(want)-2 {
			return true
		}
		if i+1 >= len(program) || !allowedArgument(w, program[i+1]) {
			return false
		}
	}
	return len(program) == len(want)
}

// allowedArgument reports whether an argument is certainly one that glob means.
// What is computed while a command runs may be anything, also several words.
func allowedArgument(glob, arg string) bool {
	if strings.Contains(arg, Dynamic) {
		return false
	}
	ok, err := path.Match(glob, arg)
	return ok && err == nil
}

// within reports whether a path, as it is written, is one of globs or lies in a
// folder that is one. A path that is not clean never is, and a relative one is
// within relative globs alone.
func within(globs []string, name string) bool {
	if name != path.Clean(name) || name == ".." || strings.HasPrefix(name, "../") {
		return false
	}
	for p := name; ; p = path.Dir(p) {
		if matches(globs, p) {
			return true
		}
		if p == "." || p == "/" {
			return false
		}
	}
}

// requested reports whether a request is one of patterns.
func requested(patterns []string, method, name string) bool {
	if len(name) > 1 {
		name = strings.TrimSuffix(name, "/")
	}
	for _, p := range patterns {
		m, g := cutMethod(p)
		if (m == "" || strings.EqualFold(m, method)) && within([]string{g}, name) {
			return true
		}
	}
	return false
}
