package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/identity"
)

// Schemas.
const (
	schemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaGroup      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	schemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// resource is a user or group as it was told. Names of attributes are in the case of
// the one that came first; they are found in any.
type resource map[string]any

// maxDepth bounds nesting of what is told: attributes, sub-attributes and the values in
// them need no more.
const maxDepth = 6

func parse(d identity.Document) (resource, error) {
	r, err := decode(d.Body)
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	}
	return r, nil
}

func decode(b []byte) (resource, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var r resource
	if err := dec.Decode(&r); err != nil || r == nil {
		return nil, &problem{400, "invalidSyntax", "want one JSON object"}
	}
	if dec.More() {
		return nil, &problem{400, "invalidSyntax", "want one JSON object, got more"}
	}
	if depth(map[string]any(r)) > maxDepth {
		return nil, &problem{400, "invalidSyntax", "the object is nested too deeply"}
	}
	return r, nil
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return 1 + deepest
}

// key returns the name under which m has an attribute: its own when it has none.
func key(m map[string]any, name string) string {
	if _, ok := m[name]; ok {
		return name
	}
	for k := range m {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

func (r resource) get(name string) any { return r[key(r, name)] }

func (r resource) text(name string) string {
	s, _ := r.get(name).(string)
	return s
}

// name is what a user or group is called.
func (r resource) name(kind string) string {
	if kind == KindUser {
		return r.text("userName")
	}
	return r.text("displayName")
}

// active reports whether a user may log in: yes, unless it is told otherwise.
func (r resource) active() bool {
	v := r.get("active")
	return v == nil || v == true
}

func (r resource) members() []string {
	list, _ := r.get("members").([]any)
	var ids []string
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			if id, _ := m[key(m, "value")].(string); id != "" && !slices.Contains(ids[max(0, len(ids)-1):], id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (r resource) setMembers(ids []string) {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = map[string]any{"value": id}
	}
	r[key(r, "members")] = list
}

// clean makes a resource what is kept: without what only the server says and what must
// not be kept, with booleans where they are written as texts, and members by their
// identifiers alone.
func (r resource) clean(kind string) error {
	for _, name := range []string{"id", "meta", "groups", "password"} {
		delete(r, key(r, name))
	}
	for k, v := range r {
		if v == nil && !strings.EqualFold(k, "active") {
			delete(r, k)
		}
	}
	if kind == KindGroup {
		switch r.get("members").(type) {
		case nil, []any:
		default:
			return &problem{400, "invalidValue", "members: want a list"}
		}
		r.setMembers(r.members())
		return nil
	}
	k := key(r, "active")
	if v, told := r[k]; told {
		b, err := boolean(v)
		if err != nil {
			return err
		}
		r[k] = b
	}
	return nil
}

// boolean reads true and false, also as Entra ID writes them.
func boolean(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, &problem{400, "invalidValue", "active: want true or false"}
}

// clone copies what may change.
func (r resource) clone() resource { return copyOf(map[string]any(r)).(map[string]any) }

func copyOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyOf(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = copyOf(e)
		}
		return l
	}
	return v
}
