package masking

import (
	"errors"
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
	Mode  Mode
	// Except are groups that the rule does not apply to.
	Except []string
}

// columnRule is a compiled pattern of a Rule.
type columnRule struct {
	schema, relation, column string // patterns; "" matches everything
	with                     Transform
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
	with    Transform
	types   map[Type]Transform
	columns []columnRule
	mode    Mode
	rule    string // the one that mode is from
}

func (r *Rule) validate(known func(Type) bool) error {
	if r.Off && (len(r.Columns)+len(r.Types) > 0 || r.Mode != Display || r.With != Partial) {
		return errors.New("a rule that switches masking off has nothing else")
	}
	if int(r.With) >= len(transformNames) || int(r.Mode) >= len(modeNames) {
		return errors.New("unknown transform or mode")
	}
	if r.With == Visible && len(r.Types) == 0 {
		return errors.New("visible needs types; a rule that switches masking off says so")
	}
	if r.With == Visible && len(r.Columns) > 0 {
		return errors.New("columns cannot be made visible")
	}
	for _, t := range r.Types {
		if !known(t) {
			return fmt.Errorf("unknown type %q", t)
		}
	}
	return nil
}

// view resolves the rules for an identity at a resource.
func (m *Masker) view(id *proxy.Identity, r *proxy.Resource) *view {
	v := &view{masker: m, types: map[Type]Transform{}}
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
			v.with = stricter(v.with, rule.With)
		}
		if !rule.Off && rule.Mode >= v.mode && rule.Mode > Display {
			v.mode, v.rule = rule.Mode, rule.Name
		}
		for _, t := range rule.Types {
			if old, ok := v.types[t]; ok {
				v.types[t] = stricter(old, rule.With)
			} else {
				v.types[t] = rule.With
			}
		}
		for _, c := range m.columns[i] {
			c.with, c.name = rule.With, rule.Name
			v.columns = append(v.columns, c)
		}
	}
	if !stated && !off {
		v.found = true
	}
	if off {
		v.found = false
	}
	v.scans = v.found
	for _, how := range v.types {
		v.scans = v.scans || how != Visible
	}
	return v
}

// stricter returns the more restrictive of two transforms.
func stricter(a, b Transform) Transform {
	switch {
	case a == Visible:
		return b
	case b == Visible:
		return a
	}
	return max(a, b)
}

// transform returns what is done with found values of type t.
func (v *view) transform(t Type) Transform {
	if how, ok := v.types[t]; ok {
		return how
	}
	if !v.found {
		return Visible
	}
	return v.with
}

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
