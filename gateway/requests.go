package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// openDesk reads the requests of the store.
func (g *Gateway) openDesk(ctx context.Context) error {
	signer, err := newSigner(ctx, g.records, g.state)
	if err != nil {
		return err
	}
	g.desk = &review.Desk{
		Store: g.state.store, Note: g.gateway.Note, Who: g.now, Gone: g.gone, OnCall: g.onCall, Sealer: g.state.sealer, Signer: signer, Revision: g.rules,
		Told: g.outbox.Writes, Seen: g.seen.Load, Log: g.log,
	}
	g.grants, g.control.Requests = grants{g.desk}, g.desk
	if err := g.desk.Load(ctx); err != nil {
		return err
	}
	g.openOffline()
	g.control.Offline = g.offline
	return nil
}

// settleReviews puts on record what of the record of the run before was not done: a gateway that is killed may have recorded what
// becomes of a request, and not done it.
func (g *Gateway) settleReviews(ctx context.Context) {
	list, err := g.records.Reviews(time.Now().Add(-review.KeepRequests))
	if err == nil {
		err = g.desk.Settle(ctx, list, g.records.Started)
	}
	if err != nil {
		g.log.Error("it is not known whether all was done that the gateway recorded of requests before it stopped", "err", err)
	}
}

// rules names the rules that judge sessions now.
func (g *Gateway) rules() string {
	if r := g.gateway.Revision(); r != nil {
		return r.Name
	}
	return ""
}

// approval is what the record has of an operation or a session by which request it runs.
func (g *Gateway) approval(request string) *proxy.Approval {
	if a := g.desk.Approval(request); a != nil || g.options.Reviewer == nil {
		return a
	}
	return &proxy.Approval{Request: request} // the assembly's reviewer, which signs nothing
}

// grants are those of a desk, as access rules know them.
type grants struct{ *review.Desk }

// Granted implements [policy.Grants].
func (d grants) Granted(s *proxy.Session, id *proxy.Identity, t proxy.Target, rule string) (policy.Grant, bool) {
	granted := func() (string, review.Grant, time.Time, bool) { return d.Desk.Granted(id, t, rule) }
	if s != nil {
		granted = func() (string, review.Grant, time.Time, bool) { return d.GrantedIn(s, rule) }
	}
	request, g, check, ok := granted()
	return policy.Grant{ID: request, Until: g.Until, Check: check, Actions: g.Actions, Opens: g.Opens}, ok
}

// Open implements [policy.Grants].
func (d grants) Open(ctx context.Context, request string, s *proxy.Session) error {
	err := d.Desk.Open(ctx, request, s.ID)
	if errors.Is(err, review.ErrSpent) || errors.Is(err, review.ErrUnknown) {
		return policy.ErrSpent
	}
	return err
}

// Glass implements [policy.Grants].
func (d grants) Glass(id *proxy.Identity, t proxy.Target, rule string) (policy.Grant, bool) {
	request, g, check, ok := d.Desk.Glass(id, t, rule)
	return policy.Grant{ID: request, Until: g.Until, Check: check, Actions: g.Actions}, ok
}

// now is who somebody is now who need not be logged in: with the groups that she came with when she was here last, where these are
// a provider's, which is asked at her next login. Users of the file are as the file has them.
func (g *Gateway) now(ctx context.Context, subject string) (*proxy.Identity, error) {
	member, err := g.proofs.members.Get(ctx, subject)
	if err != nil {
		return nil, err
	}
	p := g.parts()
	id, err := g.owner(ctx, subject, "")
	switch {
	case errors.Is(err, proxy.ErrUnavailable):
		return nil, err
	case err != nil && (member.Seen.IsZero() || !p.provides(subject)):
		return nil, fmt.Errorf("%s is not known: %w", subject, err)
	case err != nil:
		id = &proxy.Identity{Subject: subject, Name: member.Name, Groups: slices.Clone(member.Given)}
	}
	if id, err = g.proofs.members.Refresh(ctx, id); err != nil || p.people.directory == nil {
		return id, err
	}
	return p.people.directory.Refresh(ctx, id)
}

// provides reports whether somebody is known by one of the identity providers of the revision.
func (p *parts) provides(subject string) bool {
	provider, _, _ := strings.Cut(subject, "/")
	return slices.ContainsFunc(p.config.Identity.Providers, func(x config.Provider) bool { return subject != provider && x.Name == provider })
}

// reviewers take what is held to the desk, as operations or as access that is asked for by connecting. Operations go to another
// reviewer where an assembly has one.
type reviewers struct {
	*Gateway
	other proxy.Reviewer // may be nil
}

// Notes implements [proxy.Noter].
func (r reviewers) Notes() []proxy.NoteKind {
	kinds := []proxy.NoteKind{proxy.NoteReview}
	if n, ok := r.other.(proxy.Noter); ok {
		for _, k := range n.Notes() {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	return kinds
}

// Request implements [proxy.Reviewer].
func (r reviewers) Request(ctx context.Context, s *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	switch {
	case h.Access == "" && r.other != nil:
		return r.other.Request(ctx, s, op, h)
	case h.Access == "":
		return r.desk.Request(ctx, s, op, h)
	}
	rule := r.parts().rules.Rule(h.Access)
	if rule == nil || rule.Request == nil {
		return nil, fmt.Errorf("rule %s is not there any more: connect again", h.Access)
	}
	if scoped, err := r.proofs.tokens.Scoped(ctx, s.Identity); err != nil {
		return nil, err
	} else if scoped {
		return nil, errors.New("you have no access to " + s.Target.String() + " now, and an access token that has scopes asks for nothing more: ask for it with sallyport request")
	}
	return r.desk.Connect(ctx, s, h, review.Connecting{
		Terms: termsOf(rule, s.Identity, s.Target.Resource), Wait: rule.Request.Connect != policy.ConnectAsk, Again: "ask for access again with sallyport request",
	})
}

// KeepImage implements [proxy.ImageKeeper].
func (r reviewers) KeepImage(ctx context.Context, s *proxy.Session, op uint64, requests []string, i *proxy.Image) error {
	if r.other == nil {
		return r.desk.KeepImage(ctx, s, op, requests, i)
	}
	if k, ok := r.other.(proxy.ImageKeeper); ok {
		return k.KeepImage(ctx, s, op, requests, i)
	}
	return errors.New("the assembly's reviewer keeps nothing")
}

// termsOf are those on which what a rule allows at a resource is granted to somebody.
func termsOf(r *policy.Rule, who *proxy.Identity, at *proxy.Resource) review.Terms {
	t := r.Request.Terms()
	out := review.Terms{
		Rule: r.Name, Actions: r.Allow, For: t.For, Max: t.Max, Decide: t.Decide, Reason: t.Reason, Message: t.Message,
		Uses: t.Uses, Reuse: t.Reuse, Target: review.TargetOf(at), Proof: review.Proof{Factors: t.Proof.Factors, Within: int64(t.Proof.Within / time.Second)},
	}
	if a := t.Auto; a != nil {
		out.Auto = &review.Auto{Max: a.Max, Actions: a.Actions, Reason: a.Reason, Applies: a.Applies}
	}
	if t.BreakGlass.May(who) {
		out.BreakGlass = t.BreakGlass.Max
	}
	if slices.Contains(r.Allow, "all") {
		out.Actions = policy.Actions() // which may be asked for one by one
	}
	for _, e := range t.Escalate {
		out.Escalate = append(out.Escalate, review.Escalation{After: e.After, Approvers: policy.ApproversAt(e.Approvers, at)})
	}
	for _, s := range t.Stages {
		out.Stages = append(out.Stages, review.Stage{Approvers: policy.ApproversAt(s.Approvers, at), Need: s.Need})
	}
	return out
}

// requestable are the terms on which somebody may ask for access to a resource, in the order of the rules. account may be empty.
func (g *Gateway) requestable(who *proxy.Identity, resource, account string) ([]review.Terms, error) {
	t, err := g.Target(resource, account, "")
	if err != nil {
		return nil, err
	}
	t.Database = "" // what is granted is known by the rule, and counts at its databases
	var list []review.Terms
	p := g.parts()
	if p.alone {
		return nil, nil // the policy in Rego knows no requests
	}
	for _, r := range p.rules.Requestable(who, t) {
		list = append(list, termsOf(r, who, t.Resource))
	}
	return list, nil
}

// access is what may be asked for.
func (g *Gateway) access() *control.Access {
	return &control.Access{Terms: g.requestable, Rule: g.granting, Actions: policy.Actions()}
}

// granting are the terms on which a rule grants access to a resource now.
func (g *Gateway) granting(rule, resource string) (review.Terms, error) {
	p := g.parts()
	r, at := p.rules.Rule(rule), g.resourceOf(resource)
	if p.alone || r == nil || r.Request == nil || at == nil || !r.MatchesResource(at) {
		return review.Terms{}, control.NotFound("rule " + rule + " does not grant access to " + resource + " on request any more")
	}
	return termsOf(r, &proxy.Identity{}, at), nil
}
