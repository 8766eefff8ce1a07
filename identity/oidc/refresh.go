package oidc

import (
	"context"
	"fmt"
	"net/url"
)

// Refresh asks the provider who a login is now. The error wraps ErrEnded when the
// provider does not vouch for it any more; another says that it could not be asked.
func (p *Provider) Refresh(ctx context.Context, l *Login) (*Login, error) {
	if l.Provider != p.config.Name {
		return nil, fmt.Errorf("the login is not of oidc provider %s", p.config.Name)
	}
	if l.Refresh.Empty() {
		return nil, fmt.Errorf("oidc provider %s gave no refresh token: ask for the scope offline_access there: %w", p.config.Name, ErrEnded)
	}
	m, err := p.registered(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.exchange(ctx, m, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {l.Refresh.Reveal()}})
	if err != nil {
		return nil, p.refused("refreshing a login", err)
	}
	now, err := p.login(ctx, m, t, "", l)
	if err != nil {
		return nil, fmt.Errorf("refreshing a login at oidc provider %s: %w", p.config.Name, err)
	}
	return now, nil
}
