package masking

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Mode says how far a rule goes beyond masking plain values.
type Mode uint8

// Modes, each including the one before it.
const (
	// Display masks values where they are returned. Numbers and truth values
	// that are computed from a masked column pass.
	Display Mode = iota
	// Balanced lets nothing pass that may be computed from a masked column.
	Balanced
	// Strict refuses statements that use a masked column in a condition, a join,
	// an order or a grouping.
	Strict
)

var modeNames = [...]string{"display", "balanced", "strict"}

// String returns the mode's name in configuration.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "strict"
}

// ParseMode returns the mode of that name; "" is Display.
func ParseMode(name string) (Mode, error) {
	if i := slices.Index(modeNames[:], name); i >= 0 {
		return Mode(i), nil
	}
	if name == "" {
		return Display, nil
	}
	return Strict, fmt.Errorf("unknown mode %q: want display, balanced or strict", name)
}

// Rule says what is masked, how, and for which users. A rule that names no columns, tags,
// types of columns and types of values is about everything that is found by
// itself: the default set. Where there are such rules, the default set applies
// where they say; otherwise it applies everywhere.
type Rule struct {
	Name string // in refusals and records
	// Resources chooses where it applies. Nil is everywhere.
	Resources func(r *proxy.Resource) bool
	// Groups are those that it applies to. Nil is everybody.
	Groups []string
	// Off switches the default set off; rules with Columns or Types stay.
	Off bool
	// Columns are columns that are masked whole: "column", "table.column" or
	// "schema.table.column", each part a pattern as in path.Match. They bind to the
	// base column where it is known, else to the name in the result.
	Columns []string
	// Tags are names of [Config.Tags], whose columns are masked whole.
	Tags []string
	// ColumnTypes are names of the database's types, such as "inet". Columns of a
	// result that have one are masked whole; with Columns or Tags, only those
	// of their columns are that have one.
	ColumnTypes []string
	// Types are types of found values that With applies to, instead of the default
	// set's transform.
	Types []detect.Type
	With  Transform
	Options
	Mode Mode
	// WriteBack says what is done about masks that are written into columns that the rule
	// masks.
	WriteBack WriteBack
	// Requests says what is done about the rule's columns and types of values in what
	// clients send.
	Requests Requests
	// Profile is the profile that the rule belongs to: it applies to the sessions for which
	// [Config.Profiles] names it. It adds to what is masked otherwise: of two that meet, the
	// more restrictive wins. Empty is every session.
	Profile string
	// Adds has the rule do in every session what one of a profile does in its sessions: it adds
	// to what is masked otherwise, and shows nothing that is hidden without it.
	Adds bool
	// Except are groups that the rule does not apply to; the default set still does.
	// Sessions in which that makes a difference leave a note of kind
	// [proxy.NoteExempted].
	Except []string
}

// selects reports whether the rule is about some columns or types only.
func (r *Rule) selects() bool {
	return len(r.Columns)+len(r.Tags)+len(r.ColumnTypes)+len(r.Types) > 0
}

// adds reports whether the rule adds to what the others come to.
func (r *Rule) adds() bool { return r.Adds || r.Profile != "" }

// about reports whether the rule names columns.
func (r *Rule) about() bool { return len(r.Columns)+len(r.Tags)+len(r.ColumnTypes) > 0 }

// title is how a rule is called that perhaps has no name.
func (r *Rule) title(i int) string { return cmp.Or(r.Name, "masking rule "+strconv.Itoa(i+1)) }

// columnRule is a compiled pattern of a Rule.
type columnRule struct {
	schema, relation, column string   // patterns; "" matches everything
	oids                     []uint32 // of the types that a column has; nil is any
	with                     treatment
	mode                     modeOfRule
	writeBack                writeBackOfRule
	requests                 requestsOfRule
}

// modeOfRule is a mode and the name of the rule that it is from.
type modeOfRule struct {
	Mode
	rule string
}

func (m modeOfRule) or(other modeOfRule) modeOfRule {
	if other.Mode > m.Mode {
		return other
	}
	return m
}

// columnRules compiles what r says about columns.
func (r *Rule) columnRules(tags map[string][]string) ([]columnRule, error) {
	names := slices.Clone(r.Columns)
	for _, t := range r.Tags {
		if len(tags[t]) == 0 {
			return nil, fmt.Errorf("no column has the tag %q", t)
		}
		names = append(names, tags[t]...)
	}
	var oids []uint32
	for _, t := range r.ColumnTypes {
		oid, ok := typeNamed(strings.ToLower(t))
		if !ok {
			return nil, fmt.Errorf("unknown type of columns %q", t)
		}
		oids = append(oids, oid)
	}
	if oids != nil && len(names) == 0 {
		return []columnRule{{oids: oids}}, nil
	}
	var list []columnRule
	for _, s := range names {
		c, err := parseColumn(s)
		if err != nil {
			return nil, err
		}
		c.oids = oids
		list = append(list, c)
	}
	return list, nil
}

func parseColumn(s string) (columnRule, error) {
	parts := strings.Split(strings.ToLower(s), ".")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return columnRule{}, fmt.Errorf("column %q is not COLUMN, TABLE.COLUMN or SCHEMA.TABLE.COLUMN", s)
	}
	for _, p := range parts {
		if _, err := path.Match(p, "x"); err != nil {
			return columnRule{}, fmt.Errorf("column %q: %w", s, err)
		}
	}
	parts = append(make([]string, 3-len(parts)), parts...)
	return columnRule{schema: parts[0], relation: parts[1], column: parts[2]}, nil
}

func glob(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, strings.ToLower(name))
	return ok || err != nil
}

// named reports whether the rule is about columns that are called name.
func (c *columnRule) named(name string) bool { return c.column != "" && glob(c.column, name) }

// typed reports whether the rule is about columns of type oid; 0 is not known.
func (c *columnRule) typed(oid uint32) bool {
	return c.oids == nil || oid == 0 && c.column != "" || slices.Contains(c.oids, oid)
}

// matches reports whether the rule is about the column. Names that are empty are
// not known and are taken to match.
func (c *columnRule) matches(schema, relation, column string) bool {
	return glob(c.column, column) && c.of(schema, relation)
}

// of reports whether the rule may be about columns of the relation.
func (c *columnRule) of(schema, relation string) bool {
	return (relation == "" || glob(c.relation, relation)) && (schema == "" || glob(c.schema, schema))
}

// view is what the rules come to for one session. It is immutable.
type view struct {
	masker  *Masker
	spread  *spread // in the session's database
	found   bool    // the default set applies
	scans   bool    // some types that are found by content are masked
	with    treatment
	types   map[detect.Type]treatment
	columns []columnRule
	column  treatment                  // the strictest of columns
	mode    Mode                       // the strictest of all rules
	general modeOfRule                 // of what is found by itself
	modes   map[detect.Type]modeOfRule // of the types that rules name
	target  *proxy.Target              // nil outside of sessions
	without []string                   // rules that do not apply because of an exception

	writeBackFound writeBackOfRule // of what is found by itself
	writeBacks     map[detect.Type]writeBackOfRule

	requests *requestRules // nil: no rule is about what is sent
}

// view resolves the rules for an identity at a resource, with those of some profiles. A nil identity
// is anybody.
func (m *Masker) view(id *proxy.Identity, r *proxy.Resource, profiles ...string) *view {
	v := &view{masker: m, with: treatment{Transform: Visible}, column: treatment{Transform: Visible}, types: map[detect.Type]treatment{}, modes: map[detect.Type]modeOfRule{}, writeBacks: map[detect.Type]writeBackOfRule{}}
	off, stated := false, false
	for i := range m.rules {
		rule := &m.rules[i]
		if rule.adds() {
			continue
		}
		general := !rule.Off && !rule.selects()
		stated = stated || general
		if !v.applies(rule, i, id, r) {
			continue
		}
		mode, back := modeOfRule{rule.Mode, rule.title(i)}, writeBackOfRule{rule.WriteBack, rule.title(i)}
		switch {
		case rule.Off:
			off = true
		case general:
			v.found = true
			v.with, v.general = stricter(v.with, rule.treatment()), v.general.or(mode)
			v.writeBackFound = v.writeBackFound.or(back)
		}
		v.request(rule, rule.title(i))
		v.mode = max(v.mode, rule.Mode)
		for _, t := range rule.Types {
			if old, ok := v.types[t]; ok {
				v.types[t] = stricter(old, rule.treatment())
			} else {
				v.types[t] = rule.treatment()
			}
			v.modes[t] = v.modes[t].or(mode)
			v.writeBacks[t] = v.writeBacks[t].or(back)
		}
		for _, c := range m.columns[i] {
			c.with, c.mode, c.writeBack = rule.treatment(), mode, back
			c.requests = requestsOfRule{rule.Requests, rule.title(i)}
			v.column = stricter(v.column, c.with)
			v.columns = append(v.columns, c)
		}
	}
	if !stated && !off {
		v.found, v.with = true, treatment{}
	}
	if off {
		v.found = false
	}
	for i := range m.rules {
		rule := &m.rules[i]
		if rule.adds() && (rule.Profile == "" || id == nil || slices.Contains(profiles, rule.Profile)) && v.applies(rule, i, id, r) {
			v.tighten(rule, i)
		}
	}
	v.scans = v.found
	for _, how := range v.types {
		v.scans = v.scans || how.Transform != Visible
	}
	return v
}

// applies reports whether the i-th rule is about an identity at a resource, and notes that
// an exception keeps it from that. A nil identity is anybody: all rules that hide something from
// somebody are about it, and no exceptions. No exception is one of agents: a rule that hides nothing
// counts for them where it does for everybody.
func (v *view) applies(rule *Rule, i int, id *proxy.Identity, r *proxy.Resource) bool {
	everybody := rule.Groups == nil && rule.Except == nil
	if id == nil {
		return (rule.Resources == nil || rule.Resources(r)) && (!rule.Off || everybody)
	}
	if rule.Resources != nil && !rule.Resources(r) || rule.Groups != nil && !slices.ContainsFunc(rule.Groups, id.In) {
		return false
	}
	if id.Kind == proxy.Agent {
		return !rule.Off || everybody
	}
	if slices.ContainsFunc(rule.Except, id.In) {
		v.without = append(v.without, rule.title(i))
		return false
	}
	return true
}

// personal reports whether the default set masks found values of type t: places,
// companies and local addresses are of no person by themselves.
func personal(t detect.Type) bool {
	return t != detect.Location && t != detect.Company && t.Wider() == ""
}

// treatment returns what is done with found values of type t. Those
// that are of no person are masked where a rule names them.
func (v *view) treatment(t detect.Type) treatment {
	switch {
	case t == Remembered:
		return treatment{}
	case t == Column && !v.found:
		return v.column
	}
	if how, ok := v.types[t]; ok {
		return how
	}
	switch t {
	case detect.LocalIP, detect.LocalMAC: // masked where a rule names all addresses, or these
		if how, ok := v.types[t.Wider()]; ok {
			return how
		}
	}
	if !v.found || !personal(t) {
		return treatment{Transform: Visible}
	}
	return v.with
}

// transform returns the transform of found values of type t.
func (v *view) transform(t detect.Type) Transform { return v.treatment(t).Transform }

func (r *Rule) treatment() treatment { return treatment{r.With, r.Options}.withDefaults() }

// idle reports whether nothing is masked, and nothing looked at that is sent.
func (v *view) idle() bool {
	return !v.scans && len(v.columns) == 0 && v.requests == nil
}

// sensitive reports whether a name, wherever it is, is that of a column
// that is masked, and of what type its values are.
func (v *view) sensitive(name string) (detect.Type, bool) {
	for i := range v.columns {
		if v.columns[i].named(name) {
			return Column, true
		}
	}
	t, ok := v.masker.detector.TypeOfName(name)
	return t, ok && v.transform(t) != Visible
}

// modeOf returns the mode in which a column is masked; Display also when it is
// not. Schema and relation are empty when they are not known.
func (v *view) modeOf(schema, relation, column string) modeOfRule {
	var mode modeOfRule
	for i := range v.columns {
		if c := &v.columns[i]; c.named(column) && c.matches(schema, relation, column) {
			mode = mode.or(c.mode)
		}
	}
	t, ok := v.masker.detector.TypeOfName(column)
	if !ok || v.transform(t) == Visible {
		return mode
	}
	if _, named := v.types[t]; named {
		return mode.or(v.modes[t])
	}
	return mode.or(v.general)
}

// trusted reports whether all functions that a statement calls are trusted.
func (v *view) trusted(facts *proxy.Facts) bool {
	if facts == nil || facts.Effects.Has(proxy.EffectUnknown) || facts.Effects.Has(proxy.EffectCall) && len(facts.Functions) == 0 {
		return false
	}
	return !slices.ContainsFunc(facts.Functions, func(f proxy.Function) bool { return f.Class == proxy.FunctionUnknown && !v.trusts(&f) })
}

// trusts reports whether what a function returns holds nothing that is masked, as
// somebody has said.
func (v *view) trusts(f *proxy.Function) bool {
	return slices.ContainsFunc(v.masker.trusted, func(c columnRule) bool { return c.matches("", f.Schema, f.Name) })
}
