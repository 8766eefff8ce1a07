package gateway

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// browsers are the logins of people and programs that come by a protocol of the web, in the current
// revision.
type browsers struct{ *Gateway }

// apps are the logins for applications under p.
func (p *parts) apps(g *Gateway) *control.Apps {
	a := &control.Apps{Sessions: &tokens.Apps{Sessions: p.people.sessions}, Sealer: g.state.sealer}
	if p.config.API.Listen != "" {
		a.URL = p.config.API.URL
	}
	return a
}

func (b *browsers) Page(ctx context.Context, resource, origin, challenge string) (string, error) {
	a := b.parts().apps(b.Gateway)
	// A browser would send the cookies of the gateway's pages to the application: they know no ports.
	if own, err := url.Parse(a.URL); err == nil {
		if at, err := url.Parse(origin); err != nil || strings.EqualFold(at.Hostname(), own.Hostname()) {
			return "", fmt.Errorf("resource %s is at the host of the gateway's own pages, %s: give it another host name", resource, own.Hostname())
		}
	}
	return a.Page(ctx, resource, origin, challenge)
}

func (b *browsers) Redeem(ctx context.Context, resource, code, verifier string) (proxy.Secret, time.Time, error) {
	return b.parts().apps(b.Gateway).Redeem(ctx, resource, code, verifier)
}

func (b *browsers) Find(ctx context.Context, resource string, secret proxy.Secret) (*proxy.Identity, error) {
	return b.parts().apps(b.Gateway).Find(ctx, resource, secret)
}

func (b *browsers) End(ctx context.Context, resource string, secret proxy.Secret) error {
	return b.parts().apps(b.Gateway).End(ctx, resource, secret)
}

// Is reports whether a text has the form of an access token.
func (b *browsers) Is(text string) bool { return tokens.IsSecret(tokens.Prefix, text) }

// Bearer returns who an access token proves now.
func (b *browsers) Bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	id, err := b.proofs.tokens.Find(ctx, secret)
	if err != nil {
		return nil, err
	}
	return identities{b.Gateway}.Refresh(ctx, id)
}
