package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// RegoRules is what the names of rules begin with by which a policy in Rego has access asked for.
const RegoRules = "opa:"

// regoRequest reads the terms of a request that a policy in Rego answers with about a resource. They have the keys of the section
// request of an access rule, and are checked as strictly: an approver that nobody can be is a mistake. The error says all that is
// wrong.
func (f *File) regoRequest(terms map[string]any, actions []string, at *proxy.Resource) (*policy.Request, error) {
	// A file of its own, with what the terms may refer to: nothing of f is changed, and nothing is excused by what f was before.
	own := &File{
		name: "request", options: f.options, references: make(map[string]bool),
		Identity: f.Identity, API: f.API, Notify: f.Notify, OnCall: f.OnCall, Offline: f.Offline,
		Resources: []Resource{{Name: at.Name, Type: at.Type, Labels: at.Labels}},
	}
	if err := typed(terms, reflect.TypeFor[AccessRequest](), ""); err != nil {
		return nil, err
	}
	text, err := json.Marshal(terms)
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) != 1 { // JSON is YAML, apart from some characters
		return nil, errors.New("it has characters that cannot be read")
	}
	d := own.notes()
	access := Access{Name: RegoRules + "rule", Users: []string{"*"}, Resources: Selector{Names: []string{at.Name}}, Allow: actions, Request: &AccessRequest{}}
	d.decode(doc.Content[0], reflect.ValueOf(access.Request).Elem(), "request", 0)
	if len(d.problems) == 0 {
		own.validateRequest(d, &access)
	}
	if g := access.Request.BreakGlass; g != nil && g.Offline {
		d.problem(0, "name the people in an access rule", "request.break_glass.offline: offline grants are for access rules")
	}
	if len(d.problems) == 0 {
		return access.Request.request(), nil
	}
	var wrong []string
	for _, p := range d.problems {
		text := strings.TrimPrefix(p.Text, "access: request: ")
		if p.Hint != "" {
			text += " (" + p.Hint + ")"
		}
		wrong = append(wrong, text)
	}
	return nil, errors.New(strings.Join(wrong, "; "))
}

// typed reports a value of JSON that is of another type than the one that is read from it, which YAML would take all the same. Keys
// that are not known are not looked at.
func typed(v any, as reflect.Type, path string) error {
	for as.Kind() == reflect.Pointer {
		as = as.Elem()
	}
	bad := func(want string) error {
		return fmt.Errorf("%s is %s, want %s", strings.TrimPrefix(path, "."), kindOfJSON(v), want)
	}
	switch v := v.(type) {
	case map[string]any:
		if as.Kind() != reflect.Struct {
			return bad(wanted(as))
		}
		known := fieldsOf(as)
		for _, key := range known.keys {
			if member, has := v[key]; has {
				if err := typed(member, as.Field(known.index[key]).Type, path+"."+key); err != nil {
					return err
				}
			}
		}
		return nil
	case []any:
		if as.Kind() != reflect.Slice {
			return bad(wanted(as))
		}
		for i, item := range v {
			if err := typed(item, as.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if wanted(as) != kindOfJSON(v) {
		return bad(wanted(as))
	}
	return nil
}

// wanted is the type of JSON that a field is read from.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType || t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Bool:
		return "a boolean"
	case t.Kind() == reflect.Slice:
		return "a list"
	case slices.Contains([]reflect.Kind{reflect.Struct, reflect.Map}, t.Kind()):
		return "an object"
	}
	return "a number"
}

func kindOfJSON(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}
