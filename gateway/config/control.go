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
		if len(c.Users) == 0 && len(c.Groups) == 0 {
			d.problem(c.Line, "name users of the machine that the gateway runs on, or groups of those who log in at the API", "a control rule without users and groups permits nothing")
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

// Permit says who may do what at the control socket, where rules name users of the machine,
// and at the API, where they name groups: the name of a user of the gateway says nothing
// about users of the machine. Without a rule that names users the gateway's own user and root may
// list and end sessions, see what is held, have it noted that a value is turned back,
// administer users and change the objects of the store; seeing what sessions see takes a rule. Agents may do nothing.
func (f *File) Permit() func(who *proxy.Identity, p control.Permission) bool {
	rules := f.Control
	if !slices.ContainsFunc(rules, func(c Control) bool { return len(c.Users) > 0 }) {
		rules = append(slices.Clip(rules), Control{Users: []string{"root", control.Self()}, Allow: []string{
			string(control.List), string(control.Kill), string(control.Review), string(control.Detokenise), string(control.Users), string(control.Configure),
		}})
	}
	return func(who *proxy.Identity, p control.Permission) bool {
		return who.Kind != proxy.Agent && slices.ContainsFunc(rules, func(c Control) bool {
			named := slices.ContainsFunc(c.Groups, who.In)
			if who.Method == proxy.MethodPeer {
				named = slices.Contains(c.Users, who.Subject)
			}
			return named && slices.Contains(c.Allow, string(p))
		})
	}
}
