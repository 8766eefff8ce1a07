package policy

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/proxy"
)

// unmet says why the session cannot go on under d with what it began with: a rule asks for more
// to be recorded, or to be hidden, or bounds rows that nobody counts. Nil is that it can. Less of either does not end it: the
// session keeps what it has.
func (j *judge) unmet(d *decision) *proxy.Verdict {
	if len(d.bounds) > 0 && j.budgets == nil {
		b := &d.bounds[0]
		v := proxy.Deny(proxy.CausePolicy, b.rule, fmt.Sprintf("request %s has granted %d rows, and nobody counts rows here", b.request, b.rows), "Ask for access again.")
		return &v
	}
	var what string
	var asks func(*Obligations) bool
	hidden := func(profile string) bool { return slices.Contains(j.masking, profile) }
	switch more := slices.IndexFunc(d.duties.Masking, func(p string) bool { return !hidden(p) }); {
	case d.duties.Recording > j.recording:
		what = fmt.Sprintf("recorded at the level %q from its beginning", d.duties.Recording)
		asks = func(o *Obligations) bool { return o.Recording == d.duties.Recording }
	case more >= 0:
		what = fmt.Sprintf("masked by the profile %q", d.duties.Masking[more])
		asks = func(o *Obligations) bool { return slices.Contains(o.Masking, d.duties.Masking[more]) }
	default:
		return nil
	}
	v := proxy.Deny(
		proxy.CausePolicy, d.setBy(asks), fmt.Sprintf("a session at %s must be %s now, and this one is not", d.target, what),
		"Connect again.",
	)
	return &v
}
