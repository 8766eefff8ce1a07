package masking

import (
	"fmt"
	"path"
	"slices"
	"strings"

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

// Rule says what is masked, how, and for whom not. A rule with neither Columns
// nor Types is about everything that is found by itself: the default set.
type Rule struct {
	Name string // in refusals and records
	// Resources chooses where it applies. Nil is everywhere.
	Resources func(r *proxy.Resource) bool
	// Off switches the default set off; rules with Columns or Types stay.
	Off bool
	// Columns are columns that are masked whole: "column", "table.column" or
	// "schema.table.column", each part a pattern as in path.Match. They bind to the
	// base column where it is known, else to the name in the result.
	Columns []string
	// Types are types of found values that With applies to, instead of the default
	// set's transform.
	Types []Type
	With  Transform
	Options
	Mode Mode
	// Except are groups that the rule does not apply to.
	Except []string
}

// columnRule is a compiled pattern of a Rule.
type columnRule struct {
	schema, relation, column string // patterns; "" matches everything
	with                     treatment
	name                     string
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

// matches reports whether the rule is about the column. Names that are empty are
// not known and are taken to match.
func (c *columnRule) matches(schema, relation, column string) bool {
	return glob(c.column, column) && (relation == "" || glob(c.relation, relation)) && (schema == "" || glob(c.schema, schema))
}

// view is what the rules come to for one session. It is immutable.
type view struct {
	masker  *Masker
	found   bool // the default set applies
	scans   bool // some types that are found by content are masked
	with    treatment
	types   map[Type]treatment
	columns []columnRule
	mode    Mode
	rule    string // the one that mode is from
}

// view resolves the rules for an identity at a resource.
func (m *Masker) view(id *proxy.Identity, r *proxy.Resource) *view {
	v := &view{masker: m, with: treatment{Transform: Visible}, types: map[Type]treatment{}}
	off, stated := false, false
	for i := range m.rules {
		rule := &m.rules[i]
		general := !rule.Off && len(rule.Columns)+len(rule.Types) == 0
		if rule.Resources != nil && !rule.Resources(r) {
			continue
		}
		if slices.ContainsFunc(rule.Except, id.In) {
			stated = stated || general // it is meant for others
			continue
		}
		switch {
		case rule.Off:
			off = true
		case general:
			stated, v.found = true, true
			v.with = stricter(v.with, rule.treatment())
		}
		if !rule.Off && rule.Mode >= v.mode && rule.Mode > Display {
			v.mode, v.rule = rule.Mode, rule.Name
		}
		for _, t := range rule.Types {
			if old, ok := v.types[t]; ok {
				v.types[t] = stricter(old, rule.treatment())
			} else {
				v.types[t] = rule.treatment()
			}
		}
		for _, c := range m.columns[i] {
			c.with, c.name = rule.treatment(), rule.Name
			v.columns = append(v.columns, c)
		}
	}
	if !stated && !off {
		v.found, v.with = true, treatment{}
	}
	if off {
		v.found = false
	}
	v.scans = v.found
	for _, how := range v.types {
		v.scans = v.scans || how.Transform != Visible
	}
	return v
}

// treatment returns what is done with found values of type t.
func (v *view) treatment(t Type) treatment {
	if how, ok := v.types[t]; ok {
		return how
	}
	if !v.found {
		return treatment{Transform: Visible}
	}
	return v.with
}

// transform returns the transform of found values of type t.
func (v *view) transform(t Type) Transform { return v.treatment(t).Transform }

func (r *Rule) treatment() treatment { return treatment{r.With, r.Options}.withDefaults() }

// idle reports whether nothing is masked.
func (v *view) idle() bool {
	return !v.scans && len(v.columns) == 0
}

// sensitive reports whether a name, wherever it stands, is that of a column
// that is masked, and of what type its values are.
func (v *view) sensitive(name string) (Type, bool) {
	for i := range v.columns {
		if glob(v.columns[i].column, name) {
			return Column, true
		}
	}
	t, ok := typeOfName(name)
	return t, ok && v.transform(t) != Visible
}
