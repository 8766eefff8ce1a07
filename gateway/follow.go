package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/revision"
	"github.com/sallyport/sallyport/store"
)

// followTries is how often a change is looked at that cannot be read, a second apart, until
// everybody is asked about in its place.
const followTries = 30

// followStore has the gateway follow what is changed in the store, by others too, until ctx ends.
// What could not be followed is tried again.
func (g *Gateway) followStore(ctx context.Context) {
	since, failed := g.state.head, 0
	g.seen.Store(since)
	for ctx.Err() == nil {
		var err error
		for changes, bad := range store.Follow(ctx, g.state.store, since) {
			if err = bad; err != nil {
				break
			}
			if err = g.followed(ctx, changes); err != nil && failed < followTries {
				break
			}
			if err != nil { // it may be damaged: who it is about is refused when she is asked about
				g.log.Error("a change in the store cannot be read, and is left out", "err", err)
				g.gateway.Recheck(everybody)
			}
			since, failed = changes[len(changes)-1].Seq, 0
			g.seen.Store(since)
		}
		if errors.Is(err, store.ErrTrimmed) { // too much was missed: everything is read again
			var head int64
			if head, _, err = g.state.store.Head(ctx); err == nil {
				err = g.followAll(ctx)
			}
			if err == nil {
				since = head
				g.seen.Store(since)
			}
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if failed++; failed == 1 {
			g.log.Error("the store cannot be read: what other gateways change is not seen until it can be", "err", err)
		}
		pause(ctx, store.PollEvery)
	}
}

func everybody(*proxy.Session) bool { return true }

// askAgain asks again about everybody when somebody could not be asked about, until ctx ends.
func (g *Gateway) askAgain(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, store.PollEvery)
		if g.unasked.Swap(false) {
			g.gateway.Recheck(everybody)
		}
	}
}

// followAll is what followed does when it is not known what has changed.
func (g *Gateway) followAll(ctx context.Context) error {
	p := g.parts().people
	err := errors.Join(g.desk.Load(ctx), g.followObjects(ctx), g.loadAuthorities(ctx), g.agents.follow(ctx), g.hosts.load(ctx))
	if p.directory != nil {
		err = errors.Join(err, p.directory.Load(ctx))
	}
	if p.logins != nil {
		err = errors.Join(err, p.logins.Pass(ctx))
	}
	g.proofs.links.FollowAll()
	g.gateway.Recheck(everybody)
	g.control.Recheck()
	return err
}

// followed has sessions follow what has changed.
func (g *Gateway) followed(ctx context.Context, changes []store.Change) error {
	var errs []error
	p := g.parts().people
	revoked := false
	var own []string // documents about how local users prove themselves
	for _, c := range changes {
		var err error
		switch c.Kind {
		case ca.KindAuthority:
			err = g.loadAuthorities(ctx)
		case ca.KindRevocation:
			revoked = true
		case ca.KindAgent:
			err = g.agents.changed(ctx, c.Name)
		case kindHostKey:
			err = g.hosts.follow(ctx, c.Name)
		case review.KindRequest:
			err = g.desk.Follow(ctx, c.Name)
		case revision.KindHead:
			err = g.followObjects(ctx)
		case scim.KindUser, scim.KindGroup:
			if p.directory != nil {
				err = p.directory.Follow(ctx, c.Kind, c.Name)
			}
		case identity.KindMember:
			err = g.proofs.members.Follow(ctx, c.Name)
		case link.Kind:
			g.proofs.links.Follow(c.Name)
		case local.Kind, totp.Kind:
			own = append(own, c.Name)
		case tokens.KindToken:
			if c.Deleted {
				g.changed(identity.Change{Token: c.Name, Ended: true, Reason: "your access token was revoked, or has expired"})
			}
		case tokens.KindSession:
			if c.Deleted {
				g.control.Recheck()
			}
		case tokens.KindPrincipal:
			g.changed(identity.Change{Subject: c.Name, Reason: "your groups have changed"})
		case oidc.KindLogin:
			if p.logins != nil {
				err = p.logins.Follow(ctx, c.Name)
			}
		}
		errs = append(errs, err)
	}
	if revoked {
		g.gateway.Recheck(func(s *proxy.Session) bool { return s.Identity.Claims[identity.ClaimCertificate] != "" })
	}
	if len(own) > 0 {
		g.gateway.Recheck(func(s *proxy.Session) bool {
			return provenByPassword(s) && slices.Contains(own, local.Document(s.Identity.Subject))
		})
	}
	return errors.Join(errs...)
}
