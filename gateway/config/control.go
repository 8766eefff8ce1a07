package config

import (
	"slices"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

func (f *File) validateControl(d *decoder) {
	var known []string
	for _, p := range control.Permissions() {
		known = append(known, string(p))
	}
	for _, c := range f.Control {
		if len(c.Users)+len(c.Groups) == 0 {
			d.problem(c.Line, "name users of the machine that the gateway runs on, or groups of those who log in", "a control rule without users and groups permits nothing")
		}
		f.checkGroups(d, c.Line, c.Groups)
		for _, word := range c.Allow {
			if !slices.Contains(known, word) {
				d.problem(c.Line, suggest(word, known), "control: unknown permission %q", word)
			}
		}
	}
}

// ControlUsers are the users that rules of the control socket name, apart from root and
// the gateway's own, who can open it anyway.
func (f *File) ControlUsers() []string {
	var users []string
	for _, c := range f.Control {
		for _, u := range c.Users {
			if u != "root" && u != control.Self() && !slices.Contains(users, u) {
				users = append(users, u)
			}
		}
	}
	return users
}

// Permit says who may do what at the control socket, and by the API. Without rules the gateway's
// own user and root may list and end sessions, see what is held, have it noted
// that a value is turned back, and say who is in which group; seeing what sessions see takes a
// rule. Users of the machine go by their names, and who has logged in by groups. Agents may do nothing.
func (f *File) Permit() func(who *proxy.Identity, p control.Permission) bool {
	rules := f.Control
	if len(rules) == 0 {
		rules = []Control{{Users: []string{"root", control.Self()}, Allow: []string{string(control.List), string(control.Kill), string(control.Review), string(control.Detokenise), string(control.Users)}}}
	}
	return func(who *proxy.Identity, p control.Permission) bool {
		return slices.ContainsFunc(rules, func(c Control) bool {
			if !slices.Contains(c.Allow, string(p)) {
				return false
			}
			if who.Method == proxy.MethodPeer {
				return slices.Contains(c.Users, who.Subject)
			}
			return who.Kind != proxy.Agent && slices.ContainsFunc(c.Groups, who.In)
		})
	}
}
