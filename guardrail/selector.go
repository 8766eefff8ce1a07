package guardrail

import (
	"path"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// appliesTo reports whether the rule is about a session of id at t, at some
// time.
func (r *Rule) appliesTo(id *proxy.Identity, t proxy.Target) bool {
	if len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, id.In) {
		return false
	}
	if slices.ContainsFunc(r.Except, func(s Selection) bool { return s.includes(t.Resource) }) {
		return false
	}
	return (&Selection{r.Resources, r.Labels}).includes(t.Resource) &&
		(len(r.Databases) == 0 || matches(r.Databases, t.Database)) &&
		(len(r.Accounts) == 0 || matches(r.Accounts, t.Account.Name))
}

// includes reports whether s chooses r.
func (s *Selection) includes(r *proxy.Resource) bool {
	for k, v := range s.Labels {
		if r.Labels[k] != v {
			return false
		}
	}
	return len(s.Resources) == 0 || matches(s.Resources, r.Name)
}

func matches(globs []string, s string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, s); ok && err == nil {
			return true
		}
	}
	return false
}
