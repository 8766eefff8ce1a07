package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
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
		Store: g.state.store, Note: g.gateway.Note, Who: g.now, Gone: g.gone, OnCall: g.onCall, Sealer: g.state.sealer, Signer: signer, Revision: g.rules, CountsRows: g.countsRows,
		Link: g.requestPage, Told: g.outbox.Writes, Seen: g.seen.Load, Log: g.log,
	}
	g.grants, g.control.Requests = grants{g.desk}, g.desk
	if err := g.desk.Load(ctx); err != nil {
		return err
	}
	g.openOffline()
	g.control.Offline = g.offline
	return nil
}

// countsRows reports whether the rows are counted that a resource returns and changes.
func (g *Gateway) countsRows(resource string) bool {
	at := g.parts().resource(resource)
	if at == nil {
		return false
	}
	s := g.service(at.Type)
	return s != nil && s.Dialect != ""
}

// requestPage is the page of the console that shows a request; empty: the console is not served.
func (g *Gateway) requestPage(id string) string {
	if f := g.parts().config; f.API.Console {
		return f.RequestURL(id)
	}
	return ""
}

// clock is the one that rules go by: the store's, so that all gateways on it agree on who has logged in how long ago, and on what is over.
func (g *Gateway) clock() time.Time {
	if g.desk == nil { // it opens
		return time.Now()
	}
	return g.desk.Now()
}

// settleReviews puts on record what of the record of the run before was not done: a gateway that is killed may have recorded what
// becomes of a request, and not done it.
func (g *Gateway) settleReviews(ctx context.Context) {
	list, err := g.records.Reviews(time.Now().Add(-review.KeepRequests))
	if err == nil {
		err = g.desk.Settle(ctx, list, g.records.Started)
	}
	if err == nil {
		err = g.desk.MarkUnknown(ctx, list, g.records.Ended)
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
	return policy.Grant{ID: request, Until: g.Until, Check: check, Actions: g.Actions, Opens: g.Opens, Rows: g.Rows, Ends: g.Ends}, ok
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
	rule, err := r.parts().asking(ctx, s, h.Access)
	if err != nil {
		return nil, err
	}
	if rule == nil {
		return nil, fmt.Errorf("rule %s is not there any more: connect again", h.Access)
	}
	agent := s.Identity.Kind == proxy.Agent // which asks for what its scopes let it do, and is not kept waiting
	if scoped, err := r.proofs.tokens.Scoped(ctx, s.Identity); err != nil {
		return nil, err
	} else if scoped && !agent {
		return nil, errors.New("you have no access to " + s.Target.String() + " now, and an access token that has scopes asks for nothing more: ask for it with sallyport request")
	}
	return r.desk.Connect(ctx, s, h, review.Connecting{
		Terms: termsOf(rule, s.Identity, s.Target.Resource), Wait: rule.Request.Connect != policy.ConnectAsk || agent && s.Identity.Delegated, Again: "ask for access again with sallyport request",
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

// requestable are the terms on which somebody, who is at an address, may ask for access to a resource, in the order of the rules. from
// and account may be empty.
func (g *Gateway) requestable(ctx context.Context, who *proxy.Identity, from, resource, account string) ([]review.Terms, error) {
	t, err := g.Target(resource, account, "")
	if err != nil {
		return nil, err
	}
	s := &proxy.Session{Identity: who, Target: t} // of any database: what is granted is known by the rule, and counts at its databases
	if at, err := netip.ParseAddrPort(from); err == nil {
		s.Remote = net.TCPAddrFromAddrPort(at)
	}
	var list []review.Terms
	rules, err := g.parts().asked(ctx, s)
	if err != nil {
		return nil, &control.Error{Status: http.StatusForbidden, Code: control.CodeForbidden, Message: err.Error()}
	}
	for _, r := range rules {
		list = append(list, termsOf(r, who, t.Resource))
	}
	return list, nil
}

// access is what may be asked for.
func (g *Gateway) access() *control.Access {
	return &control.Access{Terms: g.requestable, Rule: g.granting, Actions: policy.Actions()}
}

// granting are the terms on which the rule of a request grants access to its resource now.
func (g *Gateway) granting(ctx context.Context, r *review.Request) (review.Terms, error) {
	p := g.parts()
	if at := p.resource(r.Resource); at != nil {
		rule, err := g.granter(ctx, p, r, at)
		if err != nil {
			return review.Terms{}, err
		}
		if rule != nil {
			return termsOf(rule, &proxy.Identity{}, at), nil
		}
	}
	return review.Terms{}, control.NotFound("rule " + r.Access.Rule + " does not grant access to " + r.Resource + " on request any more")
}

// granter is the rule of a request for access to a resource, as p has it; nil: it does not grant that on request. What a policy in
// Rego says is asked about who has made the request, as she is known now.
func (g *Gateway) granter(ctx context.Context, p *parts, r *review.Request, at *proxy.Resource) (*policy.Rule, error) {
	s := &proxy.Session{Identity: &proxy.Identity{Subject: r.Requester}, Target: proxy.Target{Resource: at}}
	if strings.HasPrefix(r.Access.Rule, config.RegoRules) {
		who, err := g.now(ctx, r.Requester)
		if err != nil {
			return nil, err
		}
		s.Identity = who
	}
	for _, a := range at.Accounts {
		if r.Account != "" && r.Account != a.Name {
			continue
		}
		s.Target.Account = a
		if rule, err := p.asking(ctx, s, r.Access.Rule); err != nil || rule != nil && rule.MatchesResource(at) {
			return rule, err
		}
	}
	return nil, nil
}
