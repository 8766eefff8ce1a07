package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Logout is what a provider's back-channel logout token ends.
type Logout struct {
	// Subject is the provider's own; empty when only a session is named.
	Subject string
	// Session is the provider's; empty: all of the subject's.
	Session string
	// ID is the token's: it counts once.
	ID string
	// Until is when the token, and with it the memory of ID, may be forgotten.
	Until time.Time
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// maxLogoutAge is how old a logout token may be.
const maxLogoutAge = 5 * time.Minute

// Logout checks a logout token (OpenID Connect Back-Channel Logout 1.0).
func (p *Provider) Logout(ctx context.Context, raw string) (*Logout, error) {
	failed := func(err error) (*Logout, error) {
		return nil, fmt.Errorf("logout token of oidc provider %s: %w: %w", p.config.Name, proxy.ErrUnauthenticated, err)
	}
	m, err := p.registered(ctx)
	if err != nil {
		return nil, err
	}
	// Providers of before the final specification give no expiry: the age bounds it.
	c, err := p.check(ctx, m, raw, p.config.ClientID)
	if err != nil {
		return failed(err)
	}
	events, _ := c.all["events"].(map[string]any)
	event, ok := events[logoutEvent].(map[string]any)
	id, _ := c.all["jti"].(string)
	_, nonce := c.all["nonce"]
	switch {
	case !ok || event == nil:
		return failed(errors.New("it is not a logout token"))
	case nonce:
		return failed(errors.New("a logout token has no nonce: this is an ID token"))
	case id == "" || len(id) > 255:
		return failed(errors.New("it has no jti of 1 to 255 bytes"))
	case p.config.Now().After(c.Issued.Add(maxLogoutAge + p.config.Skew)):
		return failed(fmt.Errorf("it was issued more than %s ago", maxLogoutAge))
	}
	return &Logout{Subject: c.Subject, Session: c.Session, ID: id, Until: c.Issued.Add(maxLogoutAge + 2*p.config.Skew)}, nil
}

// EndSession returns where to send a browser that logs out, so that it does at the
// provider too; empty when the provider has no such page.
func (p *Provider) EndSession(ctx context.Context, l *Login, back string) (string, error) {
	m, err := p.registered(ctx)
	if err != nil || m.EndSession == "" {
		return "", err
	}
	u, err := url.Parse(m.EndSession)
	if err != nil {
		return "", err
	}
	q := u.Query()
	q.Set("client_id", p.config.ClientID)
	if l != nil && !l.IDToken.Empty() {
		q.Set("id_token_hint", l.IDToken.Reveal())
	}
	if back != "" {
		q.Set("post_logout_redirect_uri", back)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}
