package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// known is somebody whose mail address the gateway has.
type known struct {
	proxy.Identity
	email string
}

// known are the file's users, and those who have logged in at a provider, with the groups that they had then.
func (g *Gateway) known(ctx context.Context) ([]known, error) {
	members, err := g.proofs.members.List(ctx)
	if err != nil {
		return nil, err
	}
	p := g.parts()
	local := make(map[string]*config.User)
	for i := range p.config.Identity.Users {
		u := &p.config.Identity.Users[i]
		local[u.Name] = u
	}
	var list []known
	now := time.Now()
	usable := func(u *config.User) bool { return !u.Disabled && !u.Expired(now) }
	seen := make(map[string]bool)
	for _, m := range members {
		u := local[m.Subject]
		seen[m.Subject] = true
		if m.Disabled || u == nil && !strings.Contains(m.Subject, "/") || u != nil && !usable(u) {
			continue // who is gone
		}
		k := known{proxy.Identity{Subject: m.Subject, Groups: append(slices.Clone(m.Given), m.Groups...)}, m.Email}
		if u != nil {
			k.Groups, k.email = append(slices.Clone(u.Groups), m.Groups...), u.Email
		}
		list = append(list, k)
	}
	for name, u := range local {
		if !seen[name] && usable(u) {
			list = append(list, known{proxy.Identity{Subject: name, Groups: u.Groups}, u.Email})
		}
	}
	list = slices.DeleteFunc(list, func(k known) bool { return k.email == "" })
	slices.SortFunc(list, func(a, b known) int { return strings.Compare(a.Subject, b.Subject) })
	return list, nil
}

// recipients are those that a notice goes to besides the addresses of the channel: the requester, and who may decide now or, once
// that is over, could. Where everybody may decide, that is nobody in particular.
func (g *Gateway) recipients(c *config.Notify) func(ctx context.Context, n *review.Notice) ([]string, error) {
	approvers, requester := slices.Contains(c.To, config.ToApprovers), slices.Contains(c.To, config.ToRequester)
	if !approvers && !requester {
		return nil
	}
	return func(ctx context.Context, n *review.Notice) ([]string, error) {
		all, err := g.known(ctx)
		if err != nil {
			return nil, err
		}
		onCall := make(map[string]review.Roster)
		if approvers {
			for _, name := range n.Request.OnCallLists() {
				is, err := g.onCall(ctx, name)
				if err != nil && time.Since(n.At) < withoutOnCall {
					return nil, fmt.Errorf("who is on call: %w", err)
				} else if err == nil {
					onCall[name] = is
				}
			}
		}
		var list []string
		for i := range all {
			k := &all[i]
			asks := k.Subject == n.Request.Requester || k.Subject == n.Request.For
			if asks && requester || !asks && approvers && decides(onCallAs(&k.Identity, onCall), &n.Request) {
				list = append(list, k.email)
			}
		}
		return list, nil
	}
}

// withoutOnCall is how long after an event nobody is told of it while it is not known who is on call. Then the others are.
const withoutOnCall = time.Minute

// decides reports whether somebody is in the groups that are asked for a decision.
func decides(id *proxy.Identity, r *review.Request) bool {
	in := func(approvers []string) bool {
		return review.Among(slices.DeleteFunc(slices.Clone(approvers), func(a string) bool { return a == "*" }), id)
	}
	if r.Access != nil && r.State != review.Pending {
		for i := range r.Access.Stages {
			if in(r.Access.Approvers(i)) {
				return true
			}
		}
		return false
	}
	return len(r.Approvers) > 0 && !slices.ContainsFunc(r.Approvers, func(groups []string) bool { return !in(groups) })
}
