package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guardrail"
)

// The words of use. Both packs follow one rule: a pack applies where entries with
// use: default say, everywhere when the file has no entry of this kind, and nowhere
// where an entry with use: off says.
const (
	useDefault = "default"
	useOff     = "off"
)

// everywhere reports whether s chooses every resource.
func (s *Selector) everywhere() bool { return len(s.Names)+len(s.Labels) == 0 }

// maskingOff reports whether the masking pack is off for everybody everywhere.
func (f *File) maskingOff() bool {
	return slices.ContainsFunc(f.Masking, func(m Masking) bool {
		return m.Use == useOff && m.Resources.everywhere() && len(m.Groups) == 0
	})
}

// maskingNamed reports whether entries say where the masking pack applies.
func (f *File) maskingNamed() bool {
	return slices.ContainsFunc(f.Masking, func(m Masking) bool { return m.namesPack() })
}

// namesPack reports whether the entry says where the masking pack applies. One of a profile
// adds to that.
func (m Masking) namesPack() bool { return m.Use == useDefault && m.Profile == "" }

// masksFound reports whether values that are found in data are masked anywhere.
func (f *File) masksFound() bool {
	return !f.maskingOff() || slices.ContainsFunc(f.Masking, func(m Masking) bool { return len(m.Entities) > 0 || m.Use == useDefault })
}

// guardrailsOff reports whether the guardrail pack is off everywhere.
func (f *File) guardrailsOff() bool {
	return slices.ContainsFunc(f.Guardrails, func(g Guardrail) bool { return g.Use == useOff && g.Resources.everywhere() })
}

// guardrailsNamed reports whether entries say where the guardrail pack applies.
func (f *File) guardrailsNamed() bool {
	return slices.ContainsFunc(f.Guardrails, func(g Guardrail) bool { return g.Use == useDefault })
}

// withoutPack are the resources that the guardrail pack does not apply to.
func (f *File) withoutPack() []guardrail.Selection {
	var list []guardrail.Selection
	for _, g := range f.Guardrails {
		if g.Use == useOff {
			list = append(list, guardrail.Selection{Resources: g.Resources.Names, Labels: g.Resources.Labels})
		}
	}
	return list
}

// Coverage says where a default pack applies.
type Coverage string

// Coverages.
const (
	Everywhere Coverage = "on"
	Partly     Coverage = "partly" // to some resources or groups, or as a rule that observes
	Nowhere    Coverage = "off"
)

// Packs says where the default packs of guardrails and of masking apply.
func (f *File) Packs() (guardrails, masking Coverage) {
	limited := slices.ContainsFunc(f.Guardrails, func(g Guardrail) bool { return g.Use != "" })
	guardrails = coverage(limited, f.guardrailsOff())
	limited = slices.ContainsFunc(f.Masking, func(m Masking) bool { return m.Use == useOff || m.namesPack() })
	return guardrails, coverage(limited, f.maskingOff())
}

func coverage(limited, off bool) Coverage {
	switch {
	case off:
		return Nowhere
	case limited:
		return Partly
	}
	return Everywhere
}

// guardrailRules are the rules of all entries, and of the pack where no entry says
// where it applies.
func (f *File) guardrailRules() []guardrail.Rule {
	var list []guardrail.Rule
	if !f.guardrailsNamed() && !f.guardrailsOff() {
		list = f.rulesOf(Guardrail{Use: useDefault}, 0)
	}
	for i, g := range f.Guardrails {
		list = append(list, f.rulesOf(g, i+1)...)
	}
	return list
}

// onlyKeys reports keys of an entry that have no effect there. entry is a struct
// with tags; what names the entry, and allowed are the keys that have one.
func (d *decoder) onlyKeys(line int, entry any, what string, allowed ...string) bool {
	v := reflect.ValueOf(entry)
	known := fieldsOf(v.Type())
	var stray []string
	for _, key := range known.keys {
		if !slices.Contains(allowed, key) && !v.Field(known.index[key]).IsZero() {
			stray = append(stray, key)
		}
	}
	if stray == nil {
		return true
	}
	hint := "write an entry of its own for that"
	if len(allowed) > 1 {
		hint = "known here: " + strings.Join(allowed[1:], ", ")
	}
	d.problem(line, hint, "%s has no effect together with %s", strings.Join(stray, ", "), what)
	return false
}

// Notices are what somebody should know of a file that has no problems: which
// default packs apply although the file does not say so, or in another way than
// earlier versions read it.
func (f *File) Notices() []Problem {
	d := f.notes()
	first := func(line int) int { return max(line, 1) }
	switch {
	case f.maskingOff():
	case len(f.Masking) == 0:
		d.problem(1, "masking: [{use: off}] switches it off", "the default masking pack is on, because the file has no masking section; earlier versions masked nothing then")
	case !f.maskingNamed():
		d.problem(first(f.Masking[0].Line), "- use: off switches it off", "the default masking pack is on in addition to these rules; earlier versions left it off when no entry had use: default")
	default:
		limited := func(m Masking) bool { return !m.namesPack() || !m.Resources.everywhere() || len(m.Groups) > 0 }
		if !slices.ContainsFunc(f.Masking, func(m Masking) bool { return !limited(m) }) {
			i := slices.IndexFunc(f.Masking, func(m Masking) bool { return m.namesPack() })
			d.problem(first(f.Masking[i].Line), "add - use: default to have it everywhere", "the default masking pack is on for these resources and groups alone; earlier versions applied it everywhere")
		}
	}
	switch {
	case f.guardrailsOff() || f.guardrailsNamed():
	case len(f.Guardrails) == 0:
		d.problem(1, "guardrails: [{use: off}] switches it off", "the default guardrail pack is on, because the file has no guardrails section; earlier versions had no guardrails then")
	default:
		d.problem(first(f.Guardrails[0].Line), "- use: off switches it off", "the default guardrail pack is on in addition to these rules; earlier versions left it off when no entry had use: default")
	}
	f.noticeUnconnected(d)
	return d.problems
}
