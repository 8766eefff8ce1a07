// Package vault reads secrets of HashiCorp Vault and OpenBao, leases accounts of databases there, and has
// SSH keys signed, over plain HTTP.
//
//	vault:secret/app#password            a key of a secret, KV version 1 or 2
//	vault:secret/app#password?version=3  a version of it, KV version 2
//	vault:database/creds/readonly        a database account for one session
//	vault:database/static-creds/app      an account whose password Vault changes
//	vault:ssh/sign/ops                   a certificate for a key that is made for one session
//
// "{subject}" in a path is the person's subject, such as "vault:database/creds/ro-{subject}".
package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/internal/httpapi"
)

// Config says where a Vault is, and how the gateway proves itself there.
type Config struct {
	Address   string         // "https://vault.example.com:8200"
	Namespace string         // of OpenBao and Vault Enterprise; may be empty
	RootCAs   *x509.CertPool // nil is the system's
	// Certificate is the gateway's own, for Vaults that want one and for [Certificate].
	Certificate *tls.Certificate
	Login       Login
}

// Provider is a [secrets.Leaser] of one Vault. Make it with New.
type Provider struct {
	client    *httpapi.Client
	base      string
	namespace string
	session   session

	mu     sync.Mutex
	mounts map[string]mount
}

// New returns a provider, without connecting.
func New(c Config) (*Provider, error) {
	base, err := httpapi.Base(c.Address)
	if err != nil {
		return nil, fmt.Errorf("opening Vault: %w", err)
	}
	if c.Login == nil {
		return nil, errors.New("opening Vault: there is no login: set Config.Login")
	}
	p := &Provider{
		client: httpapi.New("Vault", httpapi.TLS(c.RootCAs, c.Certificate)), base: strings.TrimSuffix(base.String(), "/") + "/v1/", namespace: c.Namespace,
		mounts: make(map[string]mount),
	}
	p.session.provider, p.session.login = p, c.Login
	return p, nil
}

// Close ends the renewal of the gateway's own token.
func (p *Provider) Close() { p.session.close() }

// Remote marks the provider: its references do not read the gateway's host.
func (*Provider) Remote() {}

// answer is what Vault's answers have in common.
type answer struct {
	LeaseID   string          `json:"lease_id"`
	Seconds   int64           `json:"lease_duration"`
	Renewable bool            `json:"renewable"`
	Data      json.RawMessage `json:"data"`
	Auth      *auth           `json:"auth"`
}

type auth struct {
	Token     string `json:"client_token"`
	Seconds   int64  `json:"lease_duration"`
	Renewable bool   `json:"renewable"`
}

// call sends one request with the gateway's token. When Vault does not accept the token, because it was revoked, the gateway logs in
// again once.
func (p *Provider) call(ctx context.Context, method, path string, in, out any) error {
	for again := false; ; again = true {
		token, err := p.session.token(ctx)
		if err != nil {
			return err
		}
		err = p.send(ctx, method, path, token, in, out)
		if again || !errors.Is(err, secrets.ErrDenied) || !p.session.doubt(ctx, token) {
			return err
		}
	}
}

// send sends one request. path is escaped.
func (p *Provider) send(ctx context.Context, method, path string, token proxy.Secret, in, out any) error {
	h := http.Header{"X-Vault-Request": {"true"}}
	if !token.Empty() {
		h.Set("X-Vault-Token", token.Reveal())
	}
	if p.namespace != "" {
		h.Set("X-Vault-Namespace", p.namespace)
	}
	return p.client.JSON(ctx, method, p.base+path, h, in, out)
}

// escape returns a path as a URL has it. Parts that would mean another path, or several, are an error.
func escape(path string) (string, error) {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "*+\\") {
			return "", fmt.Errorf("the path %q is not one of Vault: want names with / between them", path)
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), nil
}

// mount is an engine, and where.
type mount struct {
	path    string // with a "/" at the end
	engine  string
	version int // of KV
}

// mountOf asks which engine a path belongs to. Which paths lead to it is remembered.
func (p *Provider) mountOf(ctx context.Context, path string) (mount, error) {
	p.mu.Lock()
	for prefix, m := range p.mounts {
		if strings.HasPrefix(path, prefix) {
			p.mu.Unlock()
			return m, nil
		}
	}
	p.mu.Unlock()
	escaped, err := escape(path)
	if err != nil {
		return mount{}, err
	}
	var a struct {
		Data struct {
			Path    string            `json:"path"`
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	if err := p.call(ctx, http.MethodGet, "sys/internal/ui/mounts/"+escaped, nil, &a); err != nil {
		return mount{}, fmt.Errorf("finding the engine of %s: %w", path, err)
	}
	m := mount{path: a.Data.Path, engine: a.Data.Type, version: 1}
	if a.Data.Options["version"] == "2" {
		m.version = 2
	}
	if !strings.HasSuffix(m.path, "/") || !strings.HasPrefix(path, m.path) {
		return mount{}, fmt.Errorf("finding the engine of %s: Vault names another path", path)
	}
	p.mu.Lock()
	p.mounts[m.path] = m
	p.mu.Unlock()
	return m, nil
}

// kind is the part before a path's last name, such as "creds", where the reference has no key.
func kind(ref secrets.Ref) string {
	parts := strings.Split(ref.Path, "/")
	if ref.Key != "" || len(parts) < 3 {
		return ""
	}
	return parts[len(parts)-2]
}

// Leases reports whether ref leads to what is made for one session: an account of a database, or
// a certificate.
func (*Provider) Leases(ref secrets.Ref) bool { k := kind(ref); return k == "creds" || k == "sign" }

// Resolve reads a secret, or has an account or a certificate made.
func (p *Provider) Resolve(ctx context.Context, ref secrets.Ref, u secrets.Use) (*secrets.Value, error) {
	if err := ref.Only("version", "user"); err != nil {
		return nil, err
	}
	m, err := p.mountOf(ctx, ref.Path)
	if err != nil {
		return nil, err
	}
	switch k := kind(ref); {
	case m.engine == "kv" || m.engine == "generic":
		return p.readKV(ctx, m, ref)
	case len(ref.Options) > 0 || ref.Key != "":
		return nil, fmt.Errorf("%s: keys and options are for secrets of KV, and this is %s", ref.Path, m.engine)
	case m.engine == "database" && k == "creds":
		return p.account(ctx, ref)
	case m.engine == "database" && k == "static-creds":
		return p.staticAccount(ctx, ref)
	case m.engine == signing && k == "sign":
		return p.sign(ctx, ref, u)
	}
	return nil, fmt.Errorf("%s: the gateway has no use for this path of the engine %s: %w", ref.Path, m.engine, secrets.ErrType)
}

// readKV reads a key of a secret.
func (p *Provider) readKV(ctx context.Context, m mount, ref secrets.Ref) (*secrets.Value, error) {
	if ref.Key == "" {
		return nil, fmt.Errorf("%s holds several values: give the key, as in vault:%s#password: %w", ref.Path, ref.Path, secrets.ErrType)
	}
	path, version := ref.Path, ref.Options.Get("version")
	if m.version == 2 {
		path = m.path + "data/" + strings.TrimPrefix(strings.TrimPrefix(ref.Path, m.path), "data/")
	}
	escaped, err := escape(path)
	if err != nil {
		return nil, err
	}
	if version != "" {
		if n, err := strconv.ParseUint(version, 10, 31); err != nil || n == 0 || m.version != 2 {
			return nil, fmt.Errorf("%s: want a version of 1 or more, of a secret of KV version 2", ref.Path)
		}
		escaped += "?version=" + version
	}
	var a answer
	if err := p.call(ctx, http.MethodGet, escaped, nil, &a); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	data := a.Data
	var two struct {
		Data     json.RawMessage `json:"data"`
		Metadata struct {
			Version int `json:"version"`
		} `json:"metadata"`
	}
	if m.version == 2 {
		if err := p.client.Decode(data, &two); err != nil {
			return nil, err
		}
		data = two.Data
	}
	v, err := ref.Pick(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref.Path, err)
	}
	v.Shared = true
	if m.version == 2 {
		v.Version = strconv.Itoa(two.Metadata.Version)
	}
	return v, nil
}

// database is an account as the database engine gives it.
type database struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Seconds  int64  `json:"ttl"` // until a static account's next password
}

func (p *Provider) readAccount(ctx context.Context, ref secrets.Ref) (a answer, d database, err error) {
	escaped, err := escape(ref.Path)
	if err != nil {
		return a, d, err
	}
	if err = p.call(ctx, http.MethodGet, escaped, nil, &a); err != nil {
		return a, d, fmt.Errorf("leasing %s: %w", ref.Path, err)
	}
	return a, d, p.client.Decode(a.Data, &d)
}

func (d *database) value() *secrets.Value {
	return &secrets.Value{Credential: proxy.Credential{Username: d.Username, Password: proxy.NewSecret(d.Password)}}
}

// account asks for a new account.
func (p *Provider) account(ctx context.Context, ref secrets.Ref) (*secrets.Value, error) {
	a, d, err := p.readAccount(ctx, ref)
	if err != nil {
		return nil, err
	}
	v := d.value()
	v.Lease, v.Renewable, v.Expires = a.LeaseID, a.Renewable, in(a.Seconds)
	return v, nil
}

// staticAccount reads an account that all sessions share.
func (p *Provider) staticAccount(ctx context.Context, ref secrets.Ref) (*secrets.Value, error) {
	_, d, err := p.readAccount(ctx, ref)
	if err != nil {
		return nil, err
	}
	v := d.value()
	v.Shared, v.Expires = true, in(max(d.Seconds, 1))
	return v, nil
}

// in is a number of seconds from now, as Vault counts them.
func in(seconds int64) time.Time {
	return time.Now().Add(time.Duration(min(max(seconds, 0), 1<<31)) * time.Second)
}

// Renew extends a lease.
func (p *Provider) Renew(ctx context.Context, lease string, want time.Duration) (time.Time, error) {
	var a answer
	err := p.call(ctx, http.MethodPut, "sys/leases/renew", map[string]any{"lease_id": lease, "increment": int64((want + time.Second - 1) / time.Second)}, &a)
	if s := (*httpapi.Status)(nil); errors.As(err, &s) && s.Code == http.StatusBadRequest {
		return time.Time{}, fmt.Errorf("renewing a lease: %w: %w", err, secrets.ErrNotFound)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("renewing a lease: %w", err)
	}
	return in(a.Seconds), nil
}

// Revoke ends a lease. When it returns nil, the account is gone.
func (p *Provider) Revoke(ctx context.Context, lease string) error {
	err := p.call(ctx, http.MethodPut, "sys/leases/revoke", map[string]any{"lease_id": lease, "sync": true}, nil)
	if err != nil && !errors.Is(err, secrets.ErrNotFound) {
		return fmt.Errorf("revoking a lease: %w", err)
	}
	return nil
}
