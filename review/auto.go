package review

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Auto is what a rule grants by itself, without anybody who approves. The zero Auto is everything that can be asked for.
type Auto struct {
	Max     time.Duration // the longest that is granted so; 0 is as long as may be asked for
	Actions []string      // at most these, and connecting; empty is all
	Reason  string        // a pattern that must be found in the reason; empty: any reason will do
	// Applies reports whether the rule grants something to somebody who asks from an address, at a time. Nil: always.
	Applies func(who *proxy.Identity, remote string, at time.Time) bool
}

// MaxGranted is how much of what rules have granted by themselves one person has at once.
const MaxGranted = 10

// AutoPause is for how long a rule grants nothing by itself of what an approver has denied somebody, or taken back.
const AutoPause = 24 * time.Hour

// refused reports whether a person has denied a request for access, or taken back what it granted, a short time ago.
func (r *Request) refused(now time.Time) bool {
	return r.Access != nil && (r.State == Denied || r.State == Revoked) && r.DecidedBy != "" && latest(r.DecidedAt).Add(AutoPause).After(now)
}

// paused reports whether people decide about what somebody asks for, because one of them has refused her the like.
func (d *Desk) paused(r *Request, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		o := &k.request
		if o.refused(now) && o.Requester == r.Requester && o.For == r.For && o.Resource == r.Resource && o.Access.Rule == r.Access.Rule {
			return true
		}
	}
	return false
}

// ChannelRule is the channel of what a rule has granted by itself.
const ChannelRule = "rule"

// grants reports whether a request that is planned needs nobody who approves.
func (t *Auto) grants(who *proxy.Identity, r *Request, now time.Time) (bool, error) {
	if t == nil {
		return false, nil
	}
	a := r.Access
	if matched, err := reasonMatches(t.Reason, a.Reason); err != nil || !matched {
		return false, err
	}
	if t.Max > 0 && a.For() > t.Max {
		return false, nil
	}
	more := func(w string) bool { return w != "connect" && !slices.Contains(t.Actions, w) }
	if len(t.Actions) > 0 && slices.ContainsFunc(a.Actions, more) {
		return false, nil
	}
	if t.Applies == nil {
		return true, nil
	}
	// Also when it begins: who asks by day for the night does not get by herself what the rule grants by day.
	return t.Applies(who, a.Remote, now) && (!a.From.After(now) || t.Applies(who, a.Remote, a.From)), nil
}

// byRule has the rule itself grant a request.
func (r *Request) byRule(now time.Time) {
	r.Access.Auto = true
	r.Access.grant(now)
	r.State, r.DecidedBy, r.DecidedAt, r.Channel = Approved, "rule "+r.Access.Rule, &now, ChannelRule
}
