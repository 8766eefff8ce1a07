package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/console"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/proxy"
)

// Identity says who the users are, and how they prove it.
type Identity struct {
	Users     []User     `yaml:"users"`
	Providers []Provider `yaml:"providers"`
	SCIM      *SCIM      `yaml:"scim"`
	Workloads []Workload `yaml:"workloads"`
	Sessions  Sessions   `yaml:"sessions"`
	Factors   Factors    `yaml:"factors"`
}

// Factors says what the second factors of local users are asked for.
type Factors struct {
	Position
	Issuer        string   `yaml:"issuer"`         // what an app shows besides the user's name; empty: the API's host
	PasswordAlone []string `yaml:"password_alone"` // protocols at which a password is enough all the same
}

// User is a local user.
type User struct {
	Position
	Name     string   `yaml:"name"`
	Groups   []string `yaml:"groups"`
	Password string   `yaml:"password"` // a SCRAM verifier
	Hash     string   `yaml:"hash"`     // of argon2id
	SSHKeys  []string `yaml:"ssh_keys"`
	Email    string   `yaml:"email"`
	Disabled bool     `yaml:"disabled"`
	Expires  string   `yaml:"expires"` // a day, or a time in RFC 3339
}

// Provider is an OpenID provider; see [oidc.Config].
type Provider struct {
	Position
	Name         string            `yaml:"name"`
	Issuer       string            `yaml:"issuer"`
	ClientID     string            `yaml:"client_id"`
	ClientSecret string            `yaml:"client_secret"` // a reference
	Scopes       []string          `yaml:"scopes"`
	SubjectClaim string            `yaml:"subject_claim"`
	NameClaim    string            `yaml:"name_claim"`
	Claims       []string          `yaml:"claims"`
	Require      map[string]string `yaml:"require"`
	Parameters   map[string]string `yaml:"parameters"`
	Algorithms   []string          `yaml:"algorithms"`
	Skew         time.Duration     `yaml:"skew"`
	Groups       ProviderGroups    `yaml:"groups"`
}

// ProviderGroups says where a provider names groups; see [oidc.Groups].
type ProviderGroups struct {
	Position
	Claim    string              `yaml:"claim"`
	Required bool                `yaml:"required"`
	Names    map[string]string   `yaml:"names"`
	Grants   map[string][]string `yaml:"grants"`
	Graph    string              `yaml:"graph"`
}

// SCIM is a company's directory that sends users and groups; see package scim.
type SCIM struct {
	Position
	Provider    string   `yaml:"provider"`
	Required    bool     `yaml:"required"`
	TokenHashes []string `yaml:"token_hashes"` // SHA-256, in hexadecimal digits
}

// Workload is a program that proves itself by its platform's token; see [oidc.Workload].
type Workload struct {
	Position
	Provider string            `yaml:"provider"`
	Service  string            `yaml:"service"`
	Audience string            `yaml:"audience"` // empty: the API's URL
	Claims   map[string]string `yaml:"claims"`
	Groups   []string          `yaml:"groups"`
	Owner    string            `yaml:"owner"` // who answers for it
	MaxAge   time.Duration     `yaml:"max_age"`
}

// Sessions says how long logins count. Zero is the default of each.
type Sessions struct {
	Position
	Idle        time.Duration `yaml:"idle"`        // without a use
	Life        time.Duration `yaml:"life"`        // in any case
	Certificate time.Duration `yaml:"certificate"` // of a certificate
	Recheck     time.Duration `yaml:"recheck"`     // within which the provider is asked again
	Stale       time.Duration `yaml:"stale"`       // while the provider cannot be asked
}

// API is where command lines, browsers and directories talk to the gateway.
type API struct {
	Position
	Listen string `yaml:"listen"`
	// URL is how they reach it, with https.
	URL string `yaml:"url"`
	// Console has the web console served there, too.
	Console bool `yaml:"console"`
}

func (f *File) validateUsers(d *decoder) {
	seen := make(map[string]bool)
	for _, u := range f.Identity.Users {
		if seen[u.Name] {
			d.problem(u.Line, "", "user %q exists twice", u.Name)
		}
		seen[u.Name] = true
		if _, err := u.expires(); err != nil {
			d.problem(u.Line, "expires: 2027-01-31", "user %q: %v", u.Name, err)
		}
		if _, err := identity.NewUsers([]identity.User{u.user()}); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				d.problem(u.Line, "", "%s", line)
			}
		}
		if u.Password == "" && u.Hash == "" && len(u.SSHKeys) == 0 && !u.Disabled {
			d.problem(u.Line, "give a password or ssh_keys", "user %q cannot log in", u.Name)
		}
	}
}

func (u User) user() identity.User {
	until, _ := u.expires() // a problem of the file otherwise
	return identity.User{
		Name: u.Name, Groups: u.Groups, Password: u.Password, Hash: u.Hash, SSHKeys: u.SSHKeys, Email: u.Email, Disabled: u.Disabled, Expires: until,
	}
}

// Expired reports whether the user may not log in any more because her time is over.
func (u User) Expired(now time.Time) bool {
	until, _ := u.expires() // a problem of the file otherwise
	return !until.IsZero() && !now.Before(until)
}

// expires is when the user may not log in any more: from the end of a day on, in UTC, or
// from a time on.
func (u User) expires() (time.Time, error) {
	if u.Expires == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, u.Expires); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, u.Expires)
	if err != nil {
		return at, fmt.Errorf("expires: got %q, want a day or a time, such as 2027-01-31 or 2027-01-31T18:00:00Z", u.Expires)
	}
	return at, nil
}

func (f *File) validateFactors(d *decoder) {
	known := namesOf(f.options.Protocols)
	for _, name := range f.Identity.Factors.PasswordAlone {
		if !slices.Contains(known, name) {
			d.problem(f.Identity.Factors.Line, suggest(name, known), "identity.factors: password_alone: %q is not a protocol", name)
		}
	}
}

// FactorIssuer is what an app shows besides a user's name.
func (f *File) FactorIssuer() string {
	if f.Identity.Factors.Issuer != "" {
		return f.Identity.Factors.Issuer
	}
	if u, ok := parseURL(f.API.URL); ok {
		return u.Hostname()
	}
	return "gateway"
}

func (f *File) validateIdentity(d *decoder) {
	f.validateUsers(d)
	f.validateFactors(d)
	f.validateAPI(d)
	f.validateMCP(d)
	names := make(map[string]bool)
	for i := range f.Identity.Providers {
		p := &f.Identity.Providers[i]
		at := fmt.Sprintf("identity provider %q", p.Name)
		if names[p.Name] {
			d.problem(p.Line, "", "%s exists twice", at)
		}
		names[p.Name] = true
		if p.ClientSecret != "" {
			if err := f.checkReference(p.ClientSecret); err != nil {
				d.problem(p.Line, "secrets are not allowed in this file", "%s: client_secret: %v", at, err)
			}
		}
		if _, err := oidc.New(p.config(f)); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				d.problem(p.Line, "", "%s", line)
			}
		}
	}
	needs := func(line int, what string) {
		if f.API.URL == "" && !d.broken["api"] {
			d.problem(line, "add api: {listen: 0.0.0.0:8443, url: https://gw.example.com:8443}", "%s needs the API, where it is reached", what)
		}
	}
	if len(f.Identity.Providers) > 0 {
		needs(f.Identity.Providers[0].Line, "logging in at a provider")
	}
	if s := f.Identity.SCIM; s != nil {
		needs(s.Line, "a directory")
		if !names[s.Provider] {
			d.problem(s.Line, "name the provider at which its people log in", "identity.scim: no provider is named %q", s.Provider)
		}
		if _, err := s.hashes(); err != nil {
			d.problem(s.Line, `token_hashes: ["…"], as sha256sum prints it of the token`, "identity.scim: %v", err)
		}
	}
	for _, w := range f.Identity.Workloads {
		needs(w.Line, "a workload")
		if !names[w.Provider] {
			d.problem(w.Line, "", "workload %s: no provider is named %q", w.Service, w.Provider)
		}
		if err := identity.ValidName(w.Service); err != nil || strings.Contains(w.Service, "~") {
			d.problem(w.Line, "use letters, digits, dots and dashes", "workload %q: it cannot be called so", w.Service)
		}
		if slices.ContainsFunc(f.Identity.Users, func(u User) bool { return u.Name == w.Service }) {
			d.problem(w.Line, "give it another name", "workload %s is called like a user", w.Service)
		}
		if w.Owner != "" && !d.unsure() {
			f.refersTo(d, w.Line, "user "+w.Owner, f.knowsUser(w.Owner), "", "the owner of workload %s is user %q, who does not exist", w.Service, w.Owner)
		}
		one := w.workload(f)
		if err := one.Check(); err != nil {
			d.problem(w.Line, "", "%v", err)
		}
	}
}

func (f *File) validateAPI(d *decoder) {
	a := f.API
	if a.Console && !console.Built {
		d.problem(a.Line, "leave console out, or build without the tag noconsole", "api.console: %v", console.ErrNotBuilt)
	}
	if a.Listen == "" && a.URL == "" {
		if a.Console && !d.broken["api"] {
			d.problem(a.Line, "add listen: 0.0.0.0:8443 and url: https://gw.example.com:8443", "api.console needs the API, with which the console talks")
		}
		return
	}
	u, ok := parseURL(a.URL)
	switch {
	case a.Listen == "":
		d.problem(a.Line, "listen: 0.0.0.0:8443", "api needs an address to listen at")
	case !ok || u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		d.problem(a.Line, "url: https://gw.example.com:8443", "api.url is how clients reach the API: https, a host, and a port where it is not 443")
	}
}

// config is the provider as the gateway asks it.
func (p *Provider) config(f *File) oidc.Config {
	return oidc.Config{
		Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, RedirectURL: f.at("/auth/" + p.Name + "/callback"),
		Scopes: p.Scopes, SubjectClaim: p.SubjectClaim, NameClaim: p.NameClaim, Claims: p.Claims, Require: p.Require, Parameters: p.Parameters,
		Algorithms: p.Algorithms, Skew: p.Skew,
		Groups: oidc.Groups{Claim: p.Groups.Claim, Required: p.Groups.Required, Names: p.Groups.Names, Grants: p.Groups.Grants, Graph: p.Groups.Graph},
	}
}

// at is a path of the API, as clients reach it.
func (f *File) at(path string) string {
	url := f.API.URL
	if url == "" { // a problem of its own
		url = "https://gateway.invalid"
	}
	return strings.TrimSuffix(url, "/") + path
}

// SCIMURL is where the company's directory reaches the gateway.
func (f *File) SCIMURL() string { return f.at("/scim/v2") }

// ProviderSecrets fetches the providers' secrets, in their order. A provider without one has
// an empty one.
func (f *File) ProviderSecrets(ctx context.Context, from *Secrets) ([]proxy.Secret, error) {
	list := make([]proxy.Secret, len(f.Identity.Providers))
	for i, p := range f.Identity.Providers {
		if p.ClientSecret == "" {
			continue
		}
		text, err := f.Secret(ctx, from, p.ClientSecret)
		if err != nil {
			return nil, fmt.Errorf("identity provider %s: client_secret: %w", p.Name, err)
		}
		list[i] = proxy.NewSecret(text)
	}
	return list, nil
}

// Providers builds the identity providers with their secrets. It asks none of them.
func (f *File) Providers(secrets []proxy.Secret) ([]*oidc.Provider, error) {
	list := make([]*oidc.Provider, len(f.Identity.Providers))
	for i := range list {
		c := f.Identity.Providers[i].config(f)
		c.ClientSecret = secrets[i]
		var err error
		if list[i], err = oidc.New(c); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Hashes are those of the tokens that the directory may show.
func (s *SCIM) Hashes() [][sha256.Size]byte {
	list, _ := s.hashes() // the file was checked
	return list
}

func (s *SCIM) hashes() ([][sha256.Size]byte, error) {
	if len(s.TokenHashes) == 0 {
		return nil, fmt.Errorf("token_hashes: got nothing, want the SHA-256 of the token that the directory shows")
	}
	list := make([][sha256.Size]byte, len(s.TokenHashes))
	for i, text := range s.TokenHashes {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("token_hashes: got %d characters, want the 64 hexadecimal digits of a SHA-256", len(text))
		}
		copy(list[i][:], b)
	}
	return list, nil
}

func (w *Workload) workload(f *File) oidc.Workload {
	audience := w.Audience
	if audience == "" {
		audience = strings.TrimSuffix(f.at(""), "/")
	}
	return oidc.Workload{Service: w.Service, Audience: audience, Claims: w.Claims, Groups: w.Groups, Owner: w.Owner, MaxAge: w.MaxAge}
}

// Workloads are the programs that may log in, by provider.
func (f *File) Workloads() map[string][]oidc.Workload {
	by := make(map[string][]oidc.Workload)
	for i := range f.Identity.Workloads {
		w := &f.Identity.Workloads[i]
		by[w.Provider] = append(by[w.Provider], w.workload(f))
	}
	return by
}

// SameIdentity reports whether both files have people prove themselves in the same ways, but
// for local users.
func (f *File) SameIdentity(o *File) bool {
	a, b := f.Identity, o.Identity
	a.Users, b.Users = nil, nil
	a.Factors, b.Factors = Factors{}, Factors{}
	return same(a, b) && same(f.API, o.API)
}

// givesGroup reports whether a group can have members who are not in the file: of a
// provider, a directory, or assigned by an administrator.
func (f *File) givesGroup(name string) bool {
	source, plain, named := strings.Cut(name, ":")
	if named && plain != "" {
		return source+":" == identity.GroupPrefix || source == "scim" && f.Identity.SCIM != nil || f.provider(source)
	}
	return slices.ContainsFunc(f.Identity.Workloads, func(w Workload) bool { return slices.Contains(w.Groups, name) }) ||
		slices.ContainsFunc(f.Identity.Providers, func(p Provider) bool {
			for _, granted := range p.Groups.Grants {
				if slices.Contains(granted, name) {
					return true
				}
			}
			return false
		})
}

// givesUser reports whether somebody of that name can log in who is not in the file: a
// provider's user, or a workload.
func (f *File) givesUser(name string) bool {
	source, of, named := strings.Cut(name, "/")
	return named && of != "" && f.provider(source) || slices.ContainsFunc(f.Identity.Workloads, func(w Workload) bool { return w.Service == name })
}

func (f *File) provider(name string) bool {
	return slices.ContainsFunc(f.Identity.Providers, func(p Provider) bool { return p.Name == name })
}
