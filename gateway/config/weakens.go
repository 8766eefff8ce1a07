package config

import (
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/revision"
)

// Weakens says why a second person has to approve a change of an object, which was checked; empty: nobody
// has to. Unless the file says otherwise these are changes that grant access, open a way to a host or a secret,
// name approvers, or take back what masks, refuses or holds. A change of which it is not certain is one of them.
func (f *File) Weakens(c revision.Change) string {
	switch f.ObjectRules.Approval {
	case approveNever:
		return ""
	case approveAlways:
		return "the config file has every change approved"
	}
	before, after := f.entry(c.Kind, c.Before), f.entry(c.Kind, c.After)
	if (before != nil) != (c.Before != "") || (after != nil) != (c.After != "") {
		return "what it was or would be cannot be read"
	}
	if before != nil && after != nil && same(before, after) {
		return "" // it is written in another way
	}
	switch c.Kind {
	case "access":
		return weakensAccess(before, after)
	case "guardrail":
		// A LIMIT that is added, however high, has a query not meet the rules that hold queries without one.
		if before == nil && after != nil && len(after.(*Guardrail).Approvers) == 0 && after.(*Guardrail).Rewrite == nil {
			return ""
		}
		return "it changes what is refused or held, or who approves"
	case "masking":
		if before == nil && after != nil && after.(*Masking).Requests != masking.RequestsTokenise.String() {
			return "" // it adds to what is masked; see masking.Rule.Adds
		}
		return "it changes what is masked, or what is stored"
	case "resource":
		if after == nil {
			return ""
		}
		return "it says which host is reached, and with which secrets"
	case "user":
		return weakensUser(before, after)
	case kindAlert:
		if before == nil {
			return "" // it tells people more
		}
		return "it changes what people are told of"
	}
	return "it is not known what it does"
}

func weakensAccess(before, after any) string {
	if after != nil && before == nil && len(after.(*Access).Allow) == 0 && after.(*Access).Review == nil {
		return ""
	}
	if after == nil && before != nil && before.(*Access).onlyAllows() {
		return ""
	}
	return "it changes who may do what, or what is asked for in return"
}

// onlyAllows reports whether the rule does nothing but allow: without it there is less that one may do.
func (a *Access) onlyAllows() bool {
	return len(a.Deny) == 0 && a.Review == nil && a.Session == nil && a.Idle == nil && a.Budget == nil && len(a.Masking) == 0 && a.Recording == ""
}

func weakensUser(before, after any) string {
	if after == nil {
		return ""
	}
	if before != nil {
		was, is := *before.(*User), *after.(*User)
		if is.Disabled || !was.Disabled {
			was.Disabled = is.Disabled
			if same(was, is) {
				return ""
			}
		}
	}
	return "it changes who may log in, and what groups she is in"
}

// entry is what the text of an object says; nil when the text is empty or cannot be read.
func (f *File) entry(kind, text string) any {
	k, ok := kindNamed(kind)
	var doc yaml.Node
	if !ok || text == "" || yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	v := reflect.New(k.of)
	d := &decoder{protocols: f.options.Protocols}
	d.decode(doc.Content[0], v.Elem(), kind, 1)
	if len(d.problems) > 0 {
		return nil
	}
	return v.Interface()
}
