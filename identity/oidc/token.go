package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Login is what a provider has proven.
type Login struct {
	Identity *proxy.Identity
	// Provider is its name.
	Provider string
	// Subject is the provider's own, of the claim sub.
	Subject string
	// Session is the provider's, of the claim sid; empty when it names none.
	Session string
	// Refresh asks the provider again; empty when it gave none.
	Refresh proxy.Secret
	// IDToken is the token itself, as a hint for logging out at the provider.
	IDToken proxy.Secret
	// Expires is when the ID token does.
	Expires time.Time

	timed bool // that the token says when the user has proven herself
}

// claims are those of a token whose signature was checked.
type claims struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Party   string   `json:"azp"`
	Nonce   string   `json:"nonce"`
	Session string   `json:"sid"`
	Expires moment   `json:"exp"`
	Issued  moment   `json:"iat"`
	Before  moment   `json:"nbf"`
	Proven  moment   `json:"auth_time"`
	Methods []string `json:"amr"`
	Class   string   `json:"acr"`

	token *gooidc.IDToken
	all   map[string]any
}

// moment is a time in seconds since 1970, with a fraction where there is one.
type moment struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (m *moment) UnmarshalJSON(b []byte) error {
	var n float64
	if err := json.Unmarshal(b, &n); err != nil || n < 0 || n > 1<<40 {
		return errors.New("a time is not a number of seconds")
	}
	m.Time = time.Unix(int64(n), 0)
	return nil
}

// maxToken bounds the tokens that are read.
const maxToken = 256 << 10

// verify is check for tokens that have to expire.
func (p *Provider) verify(ctx context.Context, m *metadata, raw, audience string) (*claims, error) {
	c, err := p.check(ctx, m, raw, audience)
	if err == nil && c.Expires.IsZero() {
		return nil, errors.New("the token never expires")
	}
	return c, err
}

// check checks who signed a token, its audience, and whether it is valid now. What it is
// for, its caller checks.
func (p *Provider) check(ctx context.Context, m *metadata, raw, audience string) (*claims, error) {
	if len(raw) > maxToken {
		return nil, fmt.Errorf("the token has more than %d bytes", maxToken)
	}
	v := gooidc.NewVerifier(p.config.Issuer, m.keys, &gooidc.Config{
		ClientID: audience, SupportedSigningAlgs: p.algorithms,
		SkipExpiryCheck: true, // checked below, with the bound on clocks
	})
	token, err := v.Verify(p.context(ctx), raw)
	if err != nil {
		return nil, errors.New(clip(err.Error()))
	}
	c := &claims{token: token}
	if err := errors.Join(token.Claims(c), token.Claims(&c.all)); err != nil {
		return nil, errors.New("the token's claims cannot be read: " + clip(err.Error()))
	}
	now, skew := p.config.Now(), p.config.Skew
	switch {
	case c.Subject == "" && c.Session == "":
		return nil, errors.New("the token names no subject")
	case !c.Expires.IsZero() && now.After(c.Expires.Add(skew)):
		return nil, fmt.Errorf("the token expired at %s", c.Expires.UTC().Format(time.DateTime))
	case c.Issued.IsZero() || c.Issued.After(now.Add(skew)):
		return nil, errors.New("the token was issued in the future, or at no time: do the clocks agree?")
	case c.Before.After(now.Add(skew)):
		return nil, errors.New("the token is not valid yet: do the clocks agree?")
	case c.Party != "" && c.Party != audience && audience == p.config.ClientID:
		return nil, fmt.Errorf("the token was made for client %s", clip(c.Party))
	case len(token.Audience) > 1 && c.Party == "":
		return nil, errors.New("the token is for several, and does not say who asked for it")
	}
	return c, nil
}

// login makes the login of what the token endpoint has answered. before is what is
// refreshed, nil for a new login; nonce is empty where none was asked for.
func (p *Provider) login(ctx context.Context, m *metadata, t *oauth2.Token, nonce string, before *Login) (*Login, error) {
	raw, _ := t.Extra("id_token").(string)
	bare := raw == ""
	var c *claims
	var err error
	switch {
	case raw != "":
		if c, err = p.verify(ctx, m, raw, p.config.ClientID); err != nil {
			return nil, err
		}
		if c.Subject == "" {
			return nil, errors.New("the token names no subject")
		}
		// An answer to a refresh may leave the nonce out, but not have another.
		if before == nil && subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(nonce)) != 1 {
			return nil, errors.New("the token answers another login")
		}
		if c.token.AccessTokenHash != "" && t.AccessToken != "" && c.token.VerifyAccessToken(t.AccessToken) != nil {
			return nil, errors.New("the access token does not belong to the ID token")
		}
	case before != nil:
		// Who refreshes need not get an ID token: user info says who it is now.
		c = &claims{Issuer: p.config.Issuer, Subject: before.Subject, Session: before.Session, all: map[string]any{
			"iss": p.config.Issuer, "sub": before.Subject, p.config.SubjectClaim: before.subject(),
		}}
		raw = before.IDToken.Reveal()
	default:
		return nil, errors.New("the provider gave no ID token: is the scope openid allowed?")
	}
	if err := p.complete(ctx, m, t, c, bare); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.config.Require)) {
		if got, want := text(c.all[name]), p.config.Require[name]; got != want || want == "" {
			return nil, fmt.Errorf("%w: the claim %q is not the one that is required", errNotNow, name)
		}
	}
	groups, err := p.config.Groups.of(ctx, p, t, c)
	if err != nil {
		return nil, err
	}
	id, err := p.identity(c, groups)
	if err != nil {
		return nil, err
	}
	l := &Login{Identity: id, Provider: p.config.Name, Subject: c.Subject, Session: c.Session, IDToken: proxy.NewSecret(raw), Refresh: proxy.NewSecret(t.RefreshToken)}
	l.Expires, l.timed = c.Expires.Time, !c.Proven.IsZero()
	if before == nil {
		return l, nil
	}
	if l.Identity.Subject != before.Identity.Subject || l.Subject != before.Subject {
		return nil, fmt.Errorf("%w: the provider answers for another subject than the one that logged in", errNotNow)
	}
	if l.Session == "" {
		l.Session = before.Session
	}
	if l.Refresh.Empty() {
		l.Refresh = before.Refresh
	}
	// A refresh proves that the login goes on, not that anybody is there.
	l.Identity.AuthTime = before.Identity.AuthTime
	return l, nil
}

// errNotNow says that the provider has answered, and that its answer lets nobody in: a
// login ends with it, where one that could not be asked about goes on for a while.
var errNotNow = errors.New("the login would be refused now")

// subject is the value of the claim that identifies somebody.
func (l *Login) subject() string {
	_, s, _ := strings.Cut(l.Identity.Subject, "/")
	s, err := url.PathUnescape(s)
	if err != nil {
		return ""
	}
	return s
}

// complete adds what user info says, where the ID token leaves out what is asked for,
// or must.
func (p *Provider) complete(ctx context.Context, m *metadata, t *oauth2.Token, c *claims, must bool) error {
	missing := must || p.config.Groups.Claim != "" && !p.config.Groups.known(c.all)
	if !missing || m.UserInfoEndpoint() == "" || t.AccessToken == "" {
		if must {
			return errors.New("the provider gives no ID token for a refresh, and has no user info: log in again")
		}
		return nil
	}
	info, err := m.UserInfo(p.context(ctx), oauth2.StaticTokenSource(t))
	if err != nil {
		if must || p.config.Groups.Required {
			return errors.New("reading user info: " + clip(err.Error()))
		}
		return nil
	}
	// An answer about another is an attack: the access token was swapped.
	if info.Subject != c.Subject {
		return errors.New("user info is about another subject")
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return errors.New("user info cannot be read")
	}
	for name, v := range more {
		if _, ok := c.all[name]; !ok {
			c.all[name] = v
		}
	}
	return nil
}

// identity makes the identity of claims.
func (p *Provider) identity(c *claims, groups []string) (*proxy.Identity, error) {
	subject, _ := c.all[p.config.SubjectClaim].(string)
	if subject == "" || len(subject) > 255 {
		return nil, fmt.Errorf("the claim %q does not identify anybody: want a text of 1 to 255 bytes", p.config.SubjectClaim)
	}
	id := &proxy.Identity{
		Subject: p.config.Name + "/" + escape(subject), Groups: groups, Kind: proxy.Human,
		Method: proxy.MethodOIDC, AuthTime: c.Proven.Time,
		Claims: map[string]string{identity.ClaimIssuer: p.config.Issuer, "sub": c.Subject},
	}
	if id.AuthTime.IsZero() || id.AuthTime.After(p.config.Now()) {
		id.AuthTime = c.Issued.Time
	}
	if id.AuthTime.IsZero() {
		id.AuthTime = p.config.Now()
	}
	if name, ok := c.all[p.config.NameClaim].(string); ok && identity.ValidName(name) == nil {
		id.Name = name
	}
	set := func(name, value string) {
		if value != "" && len(value) <= 1024 {
			id.Claims[name] = value
		}
	}
	set("sid", c.Session)
	set("acr", c.Class)
	set("amr", strings.Join(c.Methods, " "))
	for _, name := range append([]string{"email", "name"}, p.config.Claims...) {
		if _, taken := id.Claims[name]; taken {
			continue
		}
		if name == "email" && unproven(c.all["email_verified"]) {
			continue
		}
		set(name, text(c.all[name]))
	}
	return id, nil
}

// escape has a subject hold nothing that parts a user's name from a resource's.
func escape(subject string) string { return strings.ReplaceAll(url.PathEscape(subject), "+", "%2B") }

// unproven reports whether an e-mail address is said not to be the user's.
func unproven(verified any) bool { return verified == false || verified == "false" }

// text returns a claim as a text: lists are parted by spaces; objects have none.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return clip(v)
	case bool, float64:
		return fmt.Sprint(v)
	case []any:
		var parts []string
		for _, e := range v {
			if s, ok := e.(string); ok && !strings.ContainsAny(s, " \t\r\n") {
				parts = append(parts, s)
			}
		}
		return strings.Join(slices.Compact(parts), " ")
	}
	return ""
}
