// Package oidc logs people and workloads in at an OpenID Connect provider.
//
// A [Provider] is the gateway's side of one provider: authorization code with PKCE for
// browsers, the device flow for machines without one, tokens of CI jobs. Whatever way,
// the result is a [Login]: who it is, by issuer and subject and never by an e-mail
// address, with groups that carry the provider's name, such as "entra:dba".
// [Logins] keeps what was logged in, asks the provider again within a bound, and ends
// what has ended there. [Handler] is all of it for browsers and the command line.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/proxy"
)

// Config says which provider it is, and what the gateway is there.
type Config struct {
	// Name is what this gateway calls the provider: "entra". Subjects are NAME/SUBJECT,
	// groups NAME:GROUP. It must go on to mean the same issuer: who is given another's
	// name is given what rules give to it.
	Name string
	// Issuer is the provider's URL, exactly as it calls itself.
	Issuer string
	// ClientID is the gateway's at the provider; empty where only workloads come from it.
	ClientID string
	// ClientSecret is empty for a public client.
	ClientSecret proxy.Secret
	// RedirectURL is where browsers come back, as registered at the provider.
	RedirectURL string
	// Scopes are asked for besides "openid"; nil is "profile", "email" and, where the
	// provider knows it, "offline_access". Without a refresh token nobody can ask the
	// provider again, so a login ends with its ID token.
	Scopes []string

	// SubjectClaim is the claim that identifies somebody; empty is "sub". At Entra ID
	// "oid" is the same for all applications. It must be one that nobody can choose: no
	// e-mail address, no user name.
	SubjectClaim string
	// NameClaim is what people are called; empty is "preferred_username". It decides
	// nothing.
	NameClaim string
	// Claims are kept in Identity.Claims, for rules that ask for them.
	Claims []string
	// Require lets in only whose token has these claims with these values, such as Google's
	// "hd", the domain of an organisation.
	Require map[string]string
	// Parameters are added to what the provider is asked with in the browser, such as
	// Google's "access_type".
	Parameters map[string]string
	Groups     Groups

	// Algorithms are those that the provider may sign with; nil is every asymmetric one.
	Algorithms []string
	// Skew is how far clocks may differ, at most MaxSkew; zero is DefaultSkew.
	Skew time.Duration
	// Client asks the provider; nil is one with bounds. It does not follow redirects.
	Client *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Bounds on what a provider may do.
const (
	DefaultSkew = time.Minute
	MaxSkew     = 5 * time.Minute

	maxAnswer = 1 << 20
	timeout   = 10 * time.Second
	// metadataAge is how old what is known of the provider, and its keys, may be.
	metadataAge = 15 * time.Minute
)

// asymmetric are the algorithms that a provider may use. With the others, who checks a
// token could make one.
func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// reserved are the parameters of a login that a configuration must not change.
func reserved() []string {
	return []string{
		"client_id", "client_secret", "code_challenge", "code_challenge_method", "id_token_hint", "login_hint", "max_age", "nonce", "redirect_uri", "request",
		"request_uri", "response_mode", "response_type", "scope", "state",
	}
}

// Provider is the gateway's side of one OpenID provider. It is safe for concurrent use.
type Provider struct {
	config     Config
	client     *http.Client
	algorithms []string

	mu   sync.Mutex
	meta *metadata
}

// metadata is what discovery has told.
type metadata struct {
	*gooidc.Provider
	read time.Time
	keys *keys

	AuthorizationIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	Scopes              []string `json:"scopes_supported"`
	PKCE                []string `json:"code_challenge_methods_supported"`
	ClientProofs        []string `json:"token_endpoint_auth_methods_supported"`
	JWKS                string   `json:"jwks_uri"`
	EndSession          string   `json:"end_session_endpoint"`
	Revocation          string   `json:"revocation_endpoint"`
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// New returns a provider. It does not ask it yet: a gateway starts also while its
// provider is down.
func New(c Config) (*Provider, error) {
	if !validName.MatchString(c.Name) || c.Name == "local" || c.Name == "scim" || c.Name == "oncall" {
		return nil, fmt.Errorf("oidc provider %q: a name has lower-case letters, digits and -, and is not one of the gateway's own, local, scim and oncall", c.Name)
	}
	bad := func(format string, args ...any) (*Provider, error) {
		return nil, fmt.Errorf("oidc provider %s: "+format, append([]any{c.Name}, args...)...)
	}
	if err := encrypted(c.Issuer); err != nil {
		return bad("the issuer: %w", err)
	}
	if c.RedirectURL != "" {
		if err := encrypted(c.RedirectURL); err != nil {
			return bad("the redirect URL: %w", err)
		}
	}
	if c.Skew < 0 || c.Skew > MaxSkew {
		return bad("clocks may differ by up to %s, got %s", MaxSkew, c.Skew)
	}
	switch c.SubjectClaim {
	case "":
		c.SubjectClaim = "sub"
	case "email", "preferred_username", "upn", "name", "nickname", "unique_name":
		return bad("the claim %q does not identify anybody, since it can be given to another: use sub, or oid at Entra ID", c.SubjectClaim)
	}
	for name := range c.Parameters {
		if slices.Contains(reserved(), name) {
			return bad("the parameter %q is the gateway's own", name)
		}
	}
	if c.NameClaim == "" {
		c.NameClaim = "preferred_username"
	}
	if c.Skew == 0 {
		c.Skew = DefaultSkew
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Provider{config: c, algorithms: c.Algorithms}
	if p.algorithms == nil {
		p.algorithms = asymmetric()
	}
	for _, a := range p.algorithms {
		if !slices.Contains(asymmetric(), a) {
			return bad("algorithm %q is not one of %s", a, strings.Join(asymmetric(), ", "))
		}
	}
	if err := p.config.Groups.check(); err != nil {
		return bad("%w", err)
	}
	p.client = bounded(c.Client)
	return p, nil
}

// encrypted returns why a URL is not one that may be asked: only HTTPS, or this
// machine.
func encrypted(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not a URL such as https://login.example.com", raw)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s is not encrypted: want https", raw)
}

// bounded returns a client that waits and reads only so much, asks only where it is
// encrypted, and goes nowhere else.
func bounded(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Transport: http.DefaultTransport}
	}
	b := *c
	if b.Timeout == 0 {
		b.Timeout = timeout
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	inner := b.Transport
	if inner == nil {
		inner = http.DefaultTransport
	}
	b.Transport = transport{inner}
	return &b
}

type transport struct{ inner http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := encrypted(r.URL.String()); err != nil {
		return nil, err
	}
	resp, err := t.inner.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{&limited{resp.Body, maxAnswer}, resp.Body}
	}
	return resp, err
}

// limited fails where io.LimitReader would end: half an answer is refused.
type limited struct {
	r    io.Reader
	left int
}

var errTooLarge = fmt.Errorf("the provider's answer has more than %d bytes", maxAnswer)

// Read implements [io.Reader].
func (l *limited) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if l.left -= n; l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// Name is what the gateway calls the provider.
func (p *Provider) Name() string { return p.config.Name }

// Issuer is the provider's URL.
func (p *Provider) Issuer() string { return p.config.Issuer }

func (p *Provider) context(ctx context.Context) context.Context {
	return gooidc.ClientContext(ctx, p.client)
}

// Check asks the provider what it is, and reports what a login would fail of.
func (p *Provider) Check(ctx context.Context) error {
	m, err := p.discover(ctx)
	if err != nil {
		return err
	}
	if m.PKCE != nil && !slices.Contains(m.PKCE, "S256") {
		return fmt.Errorf("oidc provider %s does not offer PKCE by S256", p.config.Name)
	}
	return nil
}

// discover returns what the provider says of itself. What is known is asked again after
// metadataAge; while that fails, it goes on to be used for as long again.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.config.Now()
	if p.meta != nil && now.Sub(p.meta.read) < metadataAge {
		return p.meta, nil
	}
	m, err := p.ask(ctx, now)
	if err == nil {
		p.meta = m
		return m, nil
	}
	if p.meta != nil && now.Sub(p.meta.read) < 2*metadataAge {
		return p.meta, nil
	}
	return nil, fmt.Errorf("oidc provider %s cannot be asked at %s: %s", p.config.Name, p.config.Issuer, clip(err.Error()))
}

func (p *Provider) ask(ctx context.Context, now time.Time) (*metadata, error) {
	found, err := gooidc.NewProvider(p.context(ctx), p.config.Issuer)
	if err != nil {
		return nil, err
	}
	m := &metadata{Provider: found, read: now}
	if err := found.Claims(m); err != nil {
		return nil, err
	}
	needs := map[string]string{"JWKS": m.JWKS}
	if e := found.Endpoint(); p.config.ClientID != "" {
		needs["authorization"], needs["token"] = e.AuthURL, e.TokenURL
	}
	for what, at := range needs {
		if err := encrypted(at); err != nil {
			return nil, fmt.Errorf("its %s endpoint: %w", what, err)
		}
	}
	if p.meta != nil && p.meta.JWKS == m.JWKS {
		m.keys = p.meta.keys
		return m, nil
	}
	m.keys = &keys{url: m.JWKS, client: p.client, now: p.config.Now, algorithms: p.algorithms}
	return m, nil
}

// registered returns what is known of the provider, to a client that is registered there.
func (p *Provider) registered(ctx context.Context) (*metadata, error) {
	if p.config.ClientID == "" {
		return nil, fmt.Errorf("oidc provider %s: people cannot log in without a client ID: register the gateway there", p.config.Name)
	}
	return p.discover(ctx)
}

// oauth returns the client's side of OAuth.
func (p *Provider) oauth(m *metadata) *oauth2.Config {
	scopes := p.config.Scopes
	if scopes == nil {
		scopes = []string{"profile", "email"}
		if slices.Contains(m.Scopes, gooidc.ScopeOfflineAccess) {
			scopes = append(scopes, gooidc.ScopeOfflineAccess)
		}
	}
	scopes = slices.Clone(scopes)
	if !slices.Contains(scopes, gooidc.ScopeOpenID) {
		scopes = append([]string{gooidc.ScopeOpenID}, scopes...)
	}
	c := &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret.Reveal(), RedirectURL: p.config.RedirectURL,
		Endpoint: m.Endpoint(), Scopes: scopes,
	}
	// It is not tried out: a code that was redeemed in the wrong way is spent.
	c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if c.ClientSecret == "" || len(m.ClientProofs) > 0 && !slices.Contains(m.ClientProofs, "client_secret_basic") {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c
}

// clientRequest makes a request of the client's to an endpoint, with its proof.
func clientRequest(ctx context.Context, c *oauth2.Config, to string, form url.Values) (*http.Request, error) {
	form.Set("client_id", c.ClientID)
	if c.ClientSecret != "" && c.Endpoint.AuthStyle == oauth2.AuthStyleInParams {
		form.Set("client_secret", c.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if c.ClientSecret != "" && c.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		r.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	}
	return r, nil
}

// ErrEnded says that the provider does not vouch for a login any more: the user is
// gone, has logged out, or has to log in again.
var ErrEnded = errors.New("the identity provider has ended this login: log in again")

// refused is an error of the provider's, without what it sent besides its code: an
// answer may hold tokens.
func (p *Provider) refused(doing string, err error) error {
	var r *oauth2.RetrieveError
	switch {
	case !errors.As(err, &r):
		return fmt.Errorf("%s at oidc provider %s: %s", doing, p.config.Name, clip(err.Error()))
	case r.ErrorCode == "invalid_grant":
		return fmt.Errorf("%s at oidc provider %s: %w (%s)", doing, p.config.Name, ErrEnded, clip(r.ErrorDescription))
	case r.ErrorCode == "":
		return fmt.Errorf("%s at oidc provider %s: it answers %s", doing, p.config.Name, r.Response.Status)
	}
	return fmt.Errorf("%s at oidc provider %s: %s (%s)", doing, p.config.Name, clip(r.ErrorCode), clip(r.ErrorDescription))
}

// clip makes a text of the provider's fit for a line of a log.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
