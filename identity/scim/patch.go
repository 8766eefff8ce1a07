package scim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// change is one operation of a PATCH.
type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

const maxChanges = 1000

// patch applies operations as Entra ID and Okta send them: names of operations in any
// case, values without a path whose names are paths, members that are removed by value,
// and one value where a list is meant.
func (r resource) patch(kind string, list []change) error {
	if len(list) == 0 || len(list) > maxChanges {
		return &problem{400, "invalidSyntax", fmt.Sprintf("Operations: want 1 to %d", maxChanges)}
	}
	for _, c := range list {
		op := strings.ToLower(c.Op)
		if op != "add" && op != "replace" && op != "remove" {
			return &problem{400, "invalidSyntax", fmt.Sprintf("op %.20q: want add, replace or remove", c.Op)}
		}
		if c.Path != "" {
			if err := r.change(kind, op, c.Path, c.Value); err != nil {
				return err
			}
			continue
		}
		values, ok := c.Value.(map[string]any)
		if !ok {
			return &problem{400, "noTarget", "an operation without a path needs an object as its value"}
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if strings.EqualFold(name, "schemas") {
				continue
			}
			if err := r.change(kind, op, name, values[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// multiple are the attributes that are lists.
var multiple = []string{"members", "emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates"}

func isMultiple(name string) bool {
	return slices.ContainsFunc(multiple, func(m string) bool { return strings.EqualFold(m, name) })
}

func (r resource) change(kind, op, text string, value any) error {
	p, err := parsePath(text)
	if err != nil {
		return err
	}
	switch {
	case p.extension == "" && slices.ContainsFunc([]string{"id", "meta", "groups"}, func(n string) bool { return strings.EqualFold(n, p.name) }):
		return nil // Okta sends them back; they do not change
	case p.extension == "" && strings.EqualFold(p.name, "password"):
		return nil // it is not kept
	case p.extension == "" && strings.EqualFold(p.name, "active") && op == "remove":
		op, value = "replace", false // who is not said to be active any more is not
	}
	if p.name == "" {
		return r.extend(op, p, value)
	}
	home := p.home(r, op != "remove")
	if home == nil {
		return nil
	}
	k := key(home, p.name)
	switch {
	case p.where != nil:
		return selected(home, k, p, op, value)
	case p.sub != "":
		return sub(home, k, p, op, value)
	case op == "remove":
		// Entra ID removes some members by naming them as the value.
		if list, ok := home[k].([]any); ok && value != nil {
			gone := newSet(listOf(value))
			home[k] = slices.DeleteFunc(list, gone.has)
			return nil
		}
		delete(home, k)
	case isMultiple(p.name):
		add := listOf(value)
		for _, v := range add {
			if _, ok := v.(map[string]any); !ok {
				return &problem{400, "invalidValue", fmt.Sprintf("%s: want objects", p.name)}
			}
		}
		if op == "replace" {
			home[k] = add
			return nil
		}
		list, _ := home[k].([]any)
		there := newSet(list)
		for _, v := range add {
			if !there.has(v) {
				list = append(list, v)
				there.add(v)
			}
		}
		home[k] = list
	default:
		was, ok := home[k].(map[string]any)
		more, is := value.(map[string]any)
		if ok && is && op == "add" {
			for name, v := range more {
				was[key(was, name)] = v
			}
			return nil
		}
		home[k] = value
	}
	return nil
}

// extend changes an extension as a whole.
func (r resource) extend(op string, p *attrPath, value any) error {
	if op == "remove" {
		delete(r, key(r, p.extension))
		return nil
	}
	more, ok := value.(map[string]any)
	if !ok {
		return &problem{400, "invalidValue", "an extension is an object"}
	}
	home := p.home(r, true)
	for name, v := range more {
		home[key(home, name)] = v
	}
	return nil
}

// selected changes the values of a list that a filter holds for. Where it holds for
// nothing, add and replace make a value, as Entra ID expects.
func selected(home map[string]any, k string, p *attrPath, op string, value any) error {
	list, ok := home[k].([]any)
	if !ok && home[k] != nil {
		return &problem{400, "invalidPath", fmt.Sprintf("%s is not a list", p.name)}
	}
	found := false
	kept := list[:0:0]
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok || !p.where(m) {
			kept = append(kept, e)
			continue
		}
		found = true
		switch {
		case op == "remove" && p.sub == "":
			continue
		case op == "remove":
			delete(m, key(m, p.sub))
		case p.sub != "":
			m[key(m, p.sub)] = value
		default:
			more, ok := value.(map[string]any)
			if !ok {
				return &problem{400, "invalidValue", fmt.Sprintf("%s: want an object", p.name)}
			}
			for name, v := range more {
				m[key(m, name)] = v
			}
		}
		kept = append(kept, m)
	}
	if !found && op != "remove" {
		if p.equal[0] == "" {
			return &problem{400, "noTarget", fmt.Sprintf("no value of %s is meant by the filter", p.name)}
		}
		m := map[string]any{p.equal[0]: p.equal[1]}
		if p.sub != "" {
			m[p.sub] = value
		} else if more, ok := value.(map[string]any); ok {
			maps.Copy(m, more)
		} else {
			return &problem{400, "invalidValue", fmt.Sprintf("%s: want an object", p.name)}
		}
		kept = append(kept, m)
	}
	if len(kept) == 0 && !strings.EqualFold(p.name, "members") {
		delete(home, k)
		return nil
	}
	home[k] = kept
	return nil
}

// sub changes a part of a complex attribute.
func sub(home map[string]any, k string, p *attrPath, op string, value any) error {
	m, ok := home[k].(map[string]any)
	switch {
	case !ok && home[k] != nil:
		return &problem{400, "invalidPath", fmt.Sprintf("%s has no parts that can be named without a filter", p.name)}
	case op == "remove":
		delete(m, key(m, p.sub))
		return nil
	case !ok:
		m = make(map[string]any)
		home[k] = m
	}
	m[key(m, p.sub)] = value
	return nil
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// set finds values of a list: groups have many members. Values are one when their
// "value" is, and their type where both have one.
type set map[any][]map[string]any

func newSet(list []any) set {
	s := make(set, len(list))
	for _, v := range list {
		s.add(v)
	}
	return s
}

func (s set) add(v any) {
	if m, ok := v.(map[string]any); ok {
		if text, ok := m[key(m, "value")].(string); ok {
			s[text] = append(s[text], m)
		} else {
			s[nil] = append(s[nil], m)
		}
	}
}

func (s set) has(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	text, ok := m[key(m, "value")].(string)
	if !ok {
		return slices.ContainsFunc(s[nil], func(e map[string]any) bool { return reflect.DeepEqual(e, m) })
	}
	typ := m[key(m, "type")]
	return slices.ContainsFunc(s[text], func(e map[string]any) bool {
		t := e[key(e, "type")]
		return t == nil || typ == nil || reflect.DeepEqual(t, typ)
	})
}
