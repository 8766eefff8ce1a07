package guardrail

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Action is what a rule does.
type Action uint8

// Actions. The zero Action denies.
const (
	Deny Action = iota
	Warn        // the operation runs, and its user is told
)

// Rule is one guardrail. All conditions that are given must hold; of a list, one.
type Rule struct {
	Name string // told to users and recorded; needed

	// Where it applies. Resources are names or globs (path.Match), Labels must all
	// be there; both empty is everywhere. Groups are those whose members it speaks
	// of; empty is everybody.
	Resources []string
	Labels    map[string]string
	Groups    []string

	// Conditions on statements.
	Effects   proxy.Effects         // any of them
	Relations []string              // globs "table" or "schema.table" that are touched, by Effects where they are given
	NoWhere   bool                  // an update or delete of every row; with Effects only of these
	NoLimit   bool                  // a query whose rows nothing bounds
	Functions []string              // globs of functions that are called
	Classes   []proxy.FunctionClass // classes of functions that are called
	Settings  []string              // globs of settings that are changed
	Unknown   bool                  // what it does is not understood
	MoreThan  int                   // statements in one text; 0 is no condition

	// Conditions on the rest.
	Commands []string // globs of programs that a command line runs, and "PROGRAM ARGUMENT…" patterns
	Paths    []string // globs of files that are accessed
	Requests []string // "METHOD /path/glob" or "/path/glob"

	Action  Action
	Observe bool   // nothing is refused: what would have been is told to Config.Observed
	Message string // shown to the user; empty is made from the conditions
	Remedy  string // shown to the user: what would be allowed instead
}

// sql reports whether the rule has conditions on statements.
func (r *Rule) sql() bool {
	return r.Effects != 0 || len(r.Relations)+len(r.Functions)+len(r.Classes)+len(r.Settings) > 0 || r.NoWhere || r.NoLimit || r.Unknown || r.MoreThan > 0
}

// validate reports everything that is wrong with the rule.
func (r *Rule) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Name == "" {
		bad("it has no name")
	}
	kinds := 0
	for _, has := range []bool{r.sql(), len(r.Commands) > 0, len(r.Paths) > 0, len(r.Requests) > 0} {
		if has {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		bad("it has no condition")
	case kinds > 1:
		bad("its conditions are about different kinds of operations, so that none meets all")
	}
	if r.NoWhere && r.Effects != 0 && !r.Effects.Has(proxy.EffectUpdate|proxy.EffectDelete|proxy.EffectRead) {
		bad("no_where is about update, delete and read, and its effects are %s", r.Effects)
	}
	if r.NoLimit && r.Effects != 0 && !r.Effects.Has(proxy.EffectRead) {
		bad("no_limit is about read, and its effects are %s", r.Effects)
	}
	if r.MoreThan < 0 {
		bad("a negative number of statements")
	}
	if r.Action > Warn {
		bad("an unknown action")
	}
	for _, list := range [][]string{r.Resources, r.Relations, r.Functions, r.Settings, r.Commands, r.Paths, r.Requests} {
		for _, g := range list {
			if _, err := path.Match(g, ""); err != nil || strings.TrimSpace(g) == "" {
				bad("%q is no pattern", g)
			}
		}
	}
	for _, g := range r.Relations {
		if strings.Count(g, ".") > 1 {
			bad("relation %q is not TABLE or SCHEMA.TABLE", g)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("guardrail %q: %w", r.Name, err)
	}
	return nil
}

// appliesTo reports whether the rule speaks of a session of id at res.
func (r *Rule) appliesTo(id *proxy.Identity, res *proxy.Resource) bool {
	if len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, id.In) {
		return false
	}
	for k, v := range r.Labels {
		if res.Labels[k] != v {
			return false
		}
	}
	return len(r.Resources) == 0 || matches(r.Resources, res.Name)
}

func matches(globs []string, s string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, s); ok && err == nil {
			return true
		}
	}
	return false
}

// message is what the user is told.
func (r *Rule) message() string {
	if r.Message != "" {
		return r.Message
	}
	return "a guardrail blocks this"
}
