// Package shell says what a command line does, by a shell's grammar: which
// programs it runs, through pipes, substitutions, sh -c, sudo, env, xargs, find
// -exec and the like, and what they would do to the machine. What is computed
// while it runs is not known here, and said to be so.
package shell

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds on what is parsed.
const (
	maxBytes   = 64 << 10
	maxNesting = 100   // of parentheses, braces, substitutions
	maxDepth   = 8     // of shells in shells
	maxSteps   = 20000 // of statements and programs that are read
)

// Grammar reads command lines of POSIX shells and bash. The zero value is ready
// and safe for concurrent use.
type Grammar struct{}

// Facts returns what an operation's command line does. A command of its own
// begins in the account's home folder; where a line that is typed begins is not
// known.
func (Grammar) Facts(op *proxy.Exec) *proxy.CommandFacts {
	return &read(op.Command, op.Kind != proxy.KindInput).CommandFacts
}

// Programs returns every program that command would run with its arguments, and
// every file that it writes by a redirection as {">", FILE}, as they are written.
// The error says what cannot be told from the text; what could be is returned with
// it.
func (Grammar) Programs(command string) ([][]string, error) {
	r := read(command, true)
	var errs []error
	for _, why := range append(r.Unknown, r.Unfollowed...) {
		errs = append(errs, errors.New(why))
	}
	return r.Written, errors.Join(errs...)
}

// Check returns why command cannot be understood; nil when it can.
func (g Grammar) Check(command string) error {
	_, err := g.Programs(command)
	return err
}

// reading is one command line while it is read.
type reading struct {
	proxy.CommandFacts
	steps     *int // shared with readings aside
	functions map[string]*syntax.Stmt
	called    map[string]bool
	inside    []string // functions that are being read
	traps     []string // texts that run at the end
	opened    feed     // what a process substitution in the words of a command gives
	asks      int      // how many of what is unknown are shells that read the session's input
	fetches   bool     // a substitution prints what comes over the network
}

// read reads a command line. begins is true when it begins in the account's home
// folder.
func read(command string, begins bool) *reading {
	r := &reading{steps: new(int), functions: make(map[string]*syntax.Stmt), called: make(map[string]bool)}
	s := &state{vars: make(map[string][]word), cwd: place{base: elsewhere}}
	if begins {
		s.cwd.base = atHome
	}
	r.text(command, s, feed{kind: fromSession}, 0)
	for _, t := range r.traps {
		r.text(t, s.clone(), feed{kind: fromElsewhere}, 1)
	}
	for _, name := range slices.Sorted(maps.Keys(r.functions)) {
		if body := r.functions[name]; !r.called[name] { // what its arguments would be is not known, nor whether it runs
			aside := r.aside()
			aside.functions[name] = nil
			aside.stmt(body, s.with(nil), feed{kind: fromElsewhere})
			r.Programs, r.Written = append(r.Programs, aside.Programs...), append(r.Written, aside.Written...)
			r.Unknown, r.Unfollowed = append(r.Unknown, aside.Unknown...), append(r.Unfollowed, aside.Unfollowed...)
			r.Fetched = append(r.Fetched, aside.Fetched...)
			r.certain(aside)
		}
	}
	if *r.steps >= maxSteps {
		r.unclear("the command is too long, or its loops are nested too deeply")
	}
	return r
}

// aside is a reading whose findings need not be those of r.
func (r *reading) aside() *reading {
	return &reading{steps: r.steps, functions: maps.Clone(r.functions), called: make(map[string]bool), inside: r.inside}
}

// certain takes over the harms that do not depend on anything.
func (r *reading) certain(from *reading) {
	for _, h := range from.Harms {
		if !h.Possible {
			r.Harms = append(r.Harms, h)
		}
	}
}

// maxReasons bounds what is told of one command.
const maxReasons = 4

// reason adds a reason, once.
func reason(list []string, text string) []string {
	if len(list) >= maxReasons || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// unclear notes what cannot be told.
func (r *reading) unclear(format string, args ...any) {
	r.Unknown = reason(r.Unknown, fmt.Sprintf(format, args...))
}

// unseen notes commands that are not in the text. fetched is true when they come over the network.
func (r *reading) unseen(fetched bool, format string, args ...any) {
	r.unclear(format, args...)
	if fetched {
		r.Fetched = reason(r.Fetched, fmt.Sprintf(format, args...))
	}
}

// unfollowed notes what a program does by itself.
func (r *reading) unfollowed(format string, args ...any) {
	r.Unfollowed = reason(r.Unfollowed, fmt.Sprintf(format, args...))
}

// step bounds the work on one command.
func (r *reading) step() bool {
	*r.steps++
	return *r.steps < maxSteps
}

// text reads the text of a command.
func (r *reading) text(command string, s *state, in feed, depth int) feed {
	switch {
	case len(command) > maxBytes:
		r.unclear("the command is longer than %d bytes", maxBytes)
		return feed{kind: fromElsewhere}
	case depth > maxDepth:
		r.unclear("shells are nested too deeply")
		return feed{kind: fromElsewhere}
	case strings.IndexByte(command, 0) >= 0:
		r.unclear("the command has a NUL in it")
		return feed{kind: fromElsewhere}
	case nesting(command) > maxNesting:
		r.unclear("the command is nested too deeply")
		return feed{kind: fromElsewhere}
	case strings.Trim(command, string(carryAny)+string(carrySome)+" \t\r\n") == "" && strings.ContainsRune(command, carryAny):
		r.unseen(r.fetches, "the text of a command is computed: write the command itself")
		return feed{kind: fromElsewhere}
	}
	if strings.ContainsRune(command, carryAny) || strings.ContainsRune(command, carrySome) {
		r.unfollowed("a part of the text of a command is computed")
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		r.unclear("it is not valid shell syntax")
		return feed{kind: fromElsewhere}
	}
	defer func(before int) { s.depth = before }(s.depth)
	s.depth = depth
	return r.stmts(file.Stmts, s, in)
}

// nesting is an upper bound of how deeply a text is nested, whatever is quoted.
func nesting(text string) int {
	depth, most := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{', '`':
			depth++
			most = max(most, depth)
		case ')', '}':
			depth = max(0, depth-1)
		}
	}
	return most
}
