package guardrail

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Action is what a rule does.
type Action uint8

// Actions. The zero Action denies. Of several rules that answer, a denying one
// wins, then a rewriting one, then a holding one.
const (
	Deny    Action = iota
	Warn           // the operation runs, and its user is told
	Hold           // the operation waits until somebody of Rule.Approvers has decided
	Rewrite        // a query that nothing bounds runs with a LIMIT of Rule.Limit
)

// blocks reports whether what cannot be told from an operation counts against
// it.
func (a Action) blocks() bool { return a != Warn }

// Rule is one guardrail. All conditions that are given must hold; of a list, one.
type Rule struct {
	Name string // told to users and recorded; needed

	// Where and when it applies. Resources, Databases and Accounts are names or
	// globs (path.Match), Labels must all be there; all empty is everywhere. Groups
	// are those whose members it is about; empty is everybody.
	Resources []string
	Labels    map[string]string
	Databases []string
	Accounts  []string
	Groups    []string
	Except    []Selection // resources that it does not apply to, whatever the rest says
	During    *Hours      // only then
	Outside   *Hours      // only at other times

	// Conditions on statements.
	Effects   proxy.Effects         // any of them
	Relations []string              // globs "table" or "schema.table" that are touched, by Effects where they are given
	Destroys  bool                  // a drop or truncate that loses data
	NoWhere   bool                  // an update or delete of every row; with Effects only of these
	NoLimit   bool                  // a query whose rows nothing bounds
	Functions []string              // globs of functions that are called
	Classes   []proxy.FunctionClass // classes of functions that are called
	Settings  []string              // globs of settings that are changed; "GLOB!=VALUE" is for every value but this one
	Unknown   bool                  // what it does is not understood
	MoreThan  int                   // statements in one text; 0 means no condition
	MoreRows  int                   // rows that the resource expects it to return or change; 0 means no condition
	MoreCost  int                   // the resource's own estimate of its cost; 0 means no condition

	// Conditions on the rest.
	Commands []string     // globs of programs that a command line runs, and "PROGRAM ARGUMENT…" patterns
	Harms    []proxy.Harm // what a command line would do to the machine
	Paths    []string     // globs of files that are accessed
	Requests []string     // "METHOD /path/glob" or "/path/glob"
	Actions  []string     // globs of what APIs call a request, such as "namespaces:delete" or "*/exec:*"
	// Only turns Commands, Paths or Requests into a list of what is allowed: the
	// rule denies everything else of that kind, with Commands also shells and
	// subsystems. See [Rule.allows] for how patterns are read then.
	Only bool

	Action    Action
	Limit     int           // rows, for Rewrite
	Approvers []string      // groups of those who may decide, for Hold; "*" is everybody
	For       time.Duration // how long Hold waits; 0 is 15 minutes
	// InTransaction is how long the client waits while a transaction of its session is open, whose locks others wait for; 0 is a minute.
	InTransaction time.Duration
	Reveal        bool          // approvers may read values that are masked for them, on record; for Hold
	Undo          time.Duration // for how long what undoes an operation is kept; 0: it is not; for Hold
	Try           bool          // an operation may be run and taken back, to see what it does; for Hold
	Observe       bool          // nothing is refused: what would have been is left as a note
	Message       string        // shown to the user; empty is made from the conditions
	Remedy        string        // shown to the user: what would be allowed instead

	// remedies are those for some of the statements that the rule is about, in the place
	// of Remedy. The first that fits is shown.
	remedies []remedy
}

// remedy is what would be allowed in the place of some statements.
type remedy struct {
	effects   proxy.Effects // any of them
	functions []string      // globs of functions that are called, with or without a schema
	text      string
}

// remedy is what is shown of an operation that the rule refuses.
func (r *Rule) remedy(op proxy.Op) string {
	if s, ok := op.(*proxy.Statement); ok {
		for _, m := range r.remedies {
			if s.Facts.Effects.Has(m.effects) || len(m.functions) > 0 && (&Rule{Functions: m.functions}).calls(s.Facts) {
				return m.text
			}
		}
	}
	return r.Remedy
}

// Selection chooses resources. All that is given must hold; the zero value chooses
// every resource.
type Selection struct {
	Resources []string          // names or globs (path.Match), one of which matches
	Labels    map[string]string // all of them
}

// sql reports whether the rule has conditions on statements.
func (r *Rule) sql() bool {
	return r.Effects != 0 || len(r.Relations)+len(r.Functions)+len(r.Classes)+len(r.Settings) > 0 || r.NoWhere || r.NoLimit || r.Unknown || r.Destroys ||
		r.MoreThan > 0 || r.estimates()
}

// commands reports whether the rule has conditions on command lines.
func (r *Rule) commands() bool { return len(r.Commands)+len(r.Harms) > 0 }

// estimates reports whether the rule asks the resource before it can tell.
func (r *Rule) estimates() bool { return r.MoreRows > 0 || r.MoreCost > 0 }

// validate reports everything that is wrong with the rule.
func (r *Rule) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Name == "" {
		bad("it has no name")
	}
	kinds := 0
	for _, has := range []bool{r.sql(), r.commands(), len(r.Paths) > 0, len(r.Requests)+len(r.Actions) > 0} {
		if has {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		bad("it has no condition")
	case kinds > 1:
		bad("its conditions are about different kinds of operations, so no operation meets all of them")
	}
	r.validateStatement(bad)
	r.validateAction(bad)
	for _, list := range [][]string{r.Resources, r.Databases, r.Accounts, r.Relations, r.Functions, r.Settings, r.Commands, r.Paths, r.Requests, r.Actions} {
		for _, g := range list {
			if _, err := path.Match(g, ""); err != nil || strings.TrimSpace(g) == "" {
				bad("%q is not a pattern", g)
			}
		}
	}
	for _, s := range r.Except {
		for _, g := range s.Resources {
			if _, err := path.Match(g, ""); err != nil || strings.TrimSpace(g) == "" {
				bad("%q is not a pattern", g)
			}
		}
	}
	for _, g := range r.Relations {
		if strings.Count(g, ".") > 1 {
			bad("relation %q is not TABLE or SCHEMA.TABLE", g)
		}
	}
	for _, s := range r.Settings {
		if glob, but, found := strings.Cut(s, "!="); found && (glob == "" || but == "") {
			bad("setting %q is not NAME or NAME!=VALUE", s)
		}
	}
	for _, q := range r.Requests {
		if _, glob := cutMethod(q); !strings.HasPrefix(glob, "/") {
			bad("request %q is not METHOD /PATH or /PATH", q)
		}
	}
	if r.During != nil && r.Outside != nil {
		bad("it has hours both inside and outside which it applies: give only one of the two")
	}
	for _, h := range []*Hours{r.During, r.Outside} {
		if h != nil {
			if err := h.Validate(); err != nil {
				bad("%w", err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("guardrail %q: %w", r.Name, err)
	}
	return nil
}

// bounded are the effects of statements of which a resource can say how many
// rows they are about.
const bounded = proxy.EffectRead | proxy.EffectInsert | proxy.EffectUpdate | proxy.EffectDelete

// validateStatement reports conditions on statements that none meets.
func (r *Rule) validateStatement(bad func(format string, args ...any)) {
	if r.Destroys && r.Effects != 0 && !r.Effects.Has(proxy.EffectDrop|proxy.EffectTruncate) {
		bad("a condition on lost data needs the effect drop or truncate: got %s", r.Effects)
	}
	if r.NoWhere && r.Effects != 0 && !r.Effects.Has(proxy.EffectUpdate|proxy.EffectDelete|proxy.EffectRead) {
		bad("a condition on statements without WHERE needs the effect update, delete or read: got %s", r.Effects)
	}
	if r.NoLimit && r.Effects != 0 && !r.Effects.Has(proxy.EffectRead) {
		bad("a condition on queries without LIMIT needs the effect read: got %s", r.Effects)
	}
	if r.estimates() && r.Effects != 0 && !r.Effects.Has(bounded) {
		bad("a condition on estimated rows or costs needs the effect read, insert, update or delete: got %s", r.Effects)
	}
	if r.Unknown && (r.estimates() || r.NoWhere || r.NoLimit) {
		bad("`unknown` cannot be combined with row conditions: an unparsed statement has no estimate")
	}
	if r.MoreThan < 0 || r.MoreRows < 0 || r.MoreCost < 0 {
		bad("a number of statements, rows or costs cannot be negative")
	}
	if r.MoreThan > 0 && r.estimates() {
		bad("a condition on the number of statements cannot be combined with estimated rows or costs: only single statements have an estimate")
	}
}

// validateAction reports what the rule's action needs and has not, or has and
// does not need.
func (r *Rule) validateAction(bad func(format string, args ...any)) {
	if r.Action > Rewrite {
		bad("an unknown action")
	}
	switch {
	case r.Action == Rewrite && (!r.NoLimit || r.Limit <= 0):
		bad("a rewriting rule adds a LIMIT: it needs the condition that a query has no LIMIT, and the number of rows")
	case r.Action != Rewrite && r.Limit != 0:
		bad("only a rewriting rule has a limit")
	}
	switch {
	case r.Action == Hold && len(r.Approvers) == 0:
		bad("a holding rule needs approvers: without them nobody can decide")
	case r.Action != Hold && (len(r.Approvers) > 0 || r.For != 0 || r.InTransaction != 0 || r.Reveal || r.Undo != 0 || r.Try):
		bad("only a holding rule has approvers, times to wait, reveal, undo and try")
	case r.Undo < 0 || r.Undo > proxy.MaxUndo:
		bad("undo is %s: want at most %s", r.Undo, proxy.MaxUndo)
	case r.For < 0 || r.InTransaction < 0:
		bad("a negative time to wait")
	}
	if r.Only {
		if r.sql() {
			bad("`only` applies to commands, paths or requests: use access rules for statements")
		}
		if len(r.Harms) > 0 {
			bad("`only` is a list of what is allowed: harms are denied by a rule without it")
		}
		if r.Action != Deny {
			bad("`only` denies everything else and has no other action")
		}
	}
}

// message is what the user is told.
func (r *Rule) message() string {
	switch {
	case r.Message != "":
		return r.Message
	case r.Only:
		return "this is not on the list of allowed operations"
	case r.Action == Hold:
		return "this operation is waiting for approval"
	case r.Action == Warn:
		return "a guardrail warns of this"
	}
	return "a guardrail blocks this"
}
