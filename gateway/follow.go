package gateway

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// followStore has the gateway follow what is changed in the store, by others too, until ctx ends.
func (g *Gateway) followStore(ctx context.Context) {
	since, failing := g.state.head, false
	for ctx.Err() == nil {
		for changes, err := range store.Follow(ctx, g.state.store, since) {
			if errors.Is(err, store.ErrTrimmed) {
				break // too much was missed: everything is read again
			}
			if err == nil {
				err = g.followed(ctx, changes)
				since = changes[len(changes)-1].Seq
			}
			if err != nil && !failing && ctx.Err() == nil {
				g.log.Error("the store cannot be read: what other gateways change is not seen until it can be", "err", err)
			}
			failing = err != nil
		}
		if ctx.Err() != nil {
			return
		}
		head, _, err := g.state.store.Head(ctx)
		if err == nil {
			since, err = head, g.followAll(ctx)
		}
		if err != nil {
			g.log.Error("the store cannot be read again", "err", err)
		}
		pause(ctx, store.PollEvery)
	}
}

// followAll is what followed does when it is not known what has changed.
func (g *Gateway) followAll(ctx context.Context) error {
	p := g.parts().people
	err := g.loadAuthorities(ctx)
	if p.directory != nil {
		err = errors.Join(err, p.directory.Load(ctx))
	}
	if p.logins != nil {
		err = errors.Join(err, p.logins.Pass(ctx))
	}
	g.gateway.Recheck(func(*proxy.Session) bool { return true })
	return err
}

// loadAuthorities reads the authorities again, and tells clients of the one that certifies the
// gateway.
func (g *Gateway) loadAuthorities(ctx context.Context) error {
	return errors.Join(g.proofs.certificates.Authority.Load(ctx), g.authority.Load(ctx), g.publishAuthority(g.parts().config))
}

// followed has sessions follow what has changed.
func (g *Gateway) followed(ctx context.Context, changes []store.Change) error {
	var errs []error
	p := g.parts().people
	logins, revoked := false, false
	for _, c := range changes {
		var err error
		switch c.Kind {
		case ca.KindAuthority:
			err = g.loadAuthorities(ctx)
		case ca.KindRevocation:
			revoked = true
		case scim.KindUser, scim.KindGroup:
			if p.directory != nil {
				err = p.directory.Follow(ctx, c.Kind, c.Name)
			}
		case identity.KindMember:
			err = g.proofs.members.Follow(ctx, c.Name)
		case tokens.KindToken:
			if c.Deleted {
				g.changed(identity.Change{Token: c.Name, Ended: true, Reason: "your access token was revoked, or has expired"})
			}
		case tokens.KindPrincipal:
			g.changed(identity.Change{Subject: c.Name, Reason: "your groups have changed"})
		case oidc.KindLogin:
			logins = true
		}
		errs = append(errs, err)
	}
	if revoked {
		g.gateway.Recheck(func(s *proxy.Session) bool { return s.Identity.Claims[identity.ClaimCertificate] != "" })
	}
	if logins && p.logins != nil {
		errs = append(errs, p.logins.Pass(ctx))
	}
	return errors.Join(errs...)
}
