package oidc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Workload is a program that proves itself by a token of its platform's, such as a CI
// job. It is known here as a service.
type Workload struct {
	// Service is the service that the program is.
	Service string
	// Audience is what the token has to be made for: the gateway's own URL, and not the
	// client ID, so that no token for logging in counts as one, nor one for others.
	Audience string
	// Claims have to have these values. One that ends in "*" matches what begins with
	// it. At least one has to name the repository, project or account: without it
	// everybody's jobs on that platform would be the service.
	Claims map[string]string
	// Groups are the service's.
	Groups []string
	// Owner is the subject of who answers for it; see [identity.ClaimCreator]. May be empty.
	Owner string
	// MaxAge is how long ago the token may have been issued; zero is ten minutes.
	MaxAge time.Duration
}

// Check returns why w cannot be used.
func (w *Workload) Check() error {
	switch {
	case w.Service == "":
		return errors.New("a workload needs the name of its service")
	case w.Audience == "":
		return fmt.Errorf("workload %s: it needs an audience: the gateway's URL", w.Service)
	}
	for name, v := range w.Claims {
		if name == "iss" || name == "aud" {
			continue
		}
		if v != "" && v != "*" {
			return nil
		}
	}
	return fmt.Errorf("workload %s: it needs a claim that only its own tokens have, such as the repository", w.Service)
}

// Workload returns the identity of the first of list that a token proves, as a login
// without a refresh: it ends with the token.
func (p *Provider) Workload(ctx context.Context, raw string, list []Workload) (*proxy.Identity, error) {
	m, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	err = errors.New("it is for no workload that is known here")
	for i := range list {
		w := &list[i]
		if bad := w.Check(); bad != nil {
			return nil, bad
		}
		if w.Audience == p.config.ClientID {
			return nil, fmt.Errorf("workload %s: its audience is the client ID, so that tokens of people would count", w.Service)
		}
		var c *claims
		if c, err = p.verify(ctx, m, raw, w.Audience); err != nil {
			continue
		}
		if err = w.matches(c, p.config.Now().Add(-p.config.Skew)); err != nil {
			continue
		}
		id := &proxy.Identity{
			Subject: w.Service, Name: w.Service, Groups: slices.Clone(w.Groups), Kind: proxy.Service,
			Method: proxy.MethodOIDC, AuthTime: c.Issued.Time, Expires: c.Expires.Time,
			Claims: map[string]string{"iss": p.config.Issuer, "sub": c.Subject},
		}
		for name := range w.Claims {
			id.Claims[name] = text(c.all[name])
		}
		delete(id.Claims, identity.ClaimCreator)
		if w.Owner != "" {
			id.Claims[identity.ClaimCreator] = w.Owner
		}
		return id, nil
	}
	return nil, fmt.Errorf("workload token of oidc provider %s: %w: %w", p.config.Name, proxy.ErrUnauthenticated, err)
}

// matches returns why claims are not the workload's.
func (w *Workload) matches(c *claims, now time.Time) error {
	age := w.MaxAge
	if age == 0 {
		age = 10 * time.Minute
	}
	if c.Subject == "" {
		return errors.New("it names no subject")
	}
	if now.After(c.Issued.Add(age)) {
		return fmt.Errorf("it was issued more than %s ago", age)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Claims)) {
		want := w.Claims[name]
		got, ok := c.all[name].(string)
		prefix, any := strings.CutSuffix(want, "*")
		if !ok || got != want && !(any && strings.HasPrefix(got, prefix)) {
			return fmt.Errorf("its claim %q is not %q", name, want)
		}
	}
	return nil
}
