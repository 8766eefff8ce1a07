package guardrail

import (
	"path"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// appliesTo reports whether the rule speaks of a session of id at t, at some
// time.
func (r *Rule) appliesTo(id *proxy.Identity, t proxy.Target) bool {
	if len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, id.In) {
		return false
	}
	for k, v := range r.Labels {
		if t.Resource.Labels[k] != v {
			return false
		}
	}
	return (len(r.Resources) == 0 || matches(r.Resources, t.Resource.Name)) &&
		(len(r.Databases) == 0 || matches(r.Databases, t.Database)) &&
		(len(r.Accounts) == 0 || matches(r.Accounts, t.Account.Name))
}

func matches(globs []string, s string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, s); ok && err == nil {
			return true
		}
	}
	return false
}
