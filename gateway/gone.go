package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// gone says why who has made a request, or the human she acts for, is disabled; empty: neither is. What only the config file of this
// gateway does not know is not gone: another gateway's may.
func (g *Gateway) gone(ctx context.Context, r *review.Request) (why string, err error) {
	p := g.parts()
	for _, subject := range []string{r.Requester, r.For} {
		if subject == "" {
			continue
		}
		member, err := g.proofs.members.Get(ctx, subject)
		if err != nil {
			return "", err
		}
		user, local := p.users.Lookup(subject)
		disabled := member.Disabled || local && (user.Disabled || !user.Expires.IsZero() && !time.Now().Before(user.Expires))
		if d := p.people.directory; d != nil && !disabled {
			_, err := d.Refresh(ctx, &proxy.Identity{Subject: subject})
			if disabled = errors.Is(err, scim.ErrDisabled); errors.Is(err, scim.ErrNotRead) {
				return "", err
			}
		}
		if disabled {
			return subject + " is disabled", nil
		}
	}
	return "", nil
}

// doubt has requests looked at again of somebody who may be gone.
func (g *Gateway) doubt(subject string) {
	if g.desk != nil && subject != "" {
		g.desk.Doubt(func(r *review.Request) bool { return r.Requester == subject || r.For == subject })
	}
}

// voidGone ends requests about what the configuration before had and p has not: a resource, a rule, or a requester. What takes its name
// later gets nothing by them. What neither has is another gateway's.
func (g *Gateway) voidGone(p, before *parts) {
	ctx, cancel := context.WithTimeout(context.Background(), goneTime)
	defer cancel()
	for _, r := range g.desk.List() {
		if why := g.lost(ctx, p, before, &r); why != "" {
			g.desk.Void(r.ID, why)
		}
	}
	g.desk.Doubt(func(*review.Request) bool { return true }) // whose requester the file may have disabled
}

// lost says what of a request the configuration before had and p has not; empty: it has all.
func (g *Gateway) lost(ctx context.Context, p, before *parts, r *review.Request) string {
	was, is := before.resource(r.Resource), p.resource(r.Resource)
	for _, subject := range []string{r.Requester, r.For} {
		if before.knows(subject) && !p.knows(subject) {
			return subject + " is not there any more"
		}
	}
	switch {
	case was == nil:
	case is == nil:
		return "resource " + r.Resource + " is not there any more"
	case r.Access == nil:
	case r.Access.Target == review.TargetOf(was) && r.Access.Target != review.TargetOf(is):
		return "resource " + r.Resource + " is another by now"
	case g.grantedBy(ctx, before, r, was) && !g.grantedBy(ctx, p, r, is):
		return "rule " + r.Access.Rule + " does not grant access to " + r.Resource + " on request any more"
	}
	return ""
}

// resource returns a resource; nil: it is not there.
func (p *parts) resource(name string) *proxy.Resource {
	if i := slices.IndexFunc(p.resources, func(r *proxy.Resource) bool { return r.Name == name }); i >= 0 {
		return p.resources[i]
	}
	return nil
}

// knows reports whether somebody may be there: a user or a program of the file, or who logs in at a provider of it.
func (p *parts) knows(subject string) bool {
	_, local := p.users.Lookup(subject)
	_, program := p.people.workloads[subject]
	return local || program || p.provides(subject)
}

// grantedBy reports whether the rule of a request grants access to a resource on request, by p. What a policy in Rego does not say because it
// is not known who has asked, or because it did not decide, may be so.
func (g *Gateway) grantedBy(ctx context.Context, p *parts, r *review.Request, at *proxy.Resource) bool {
	rule, err := g.granter(ctx, p, r, at)
	return rule != nil || err != nil
}

// goneTime bounds how long it takes to learn who has made requests.
const goneTime = 5 * time.Second
