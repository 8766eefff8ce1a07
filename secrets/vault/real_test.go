package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// admin sets a real Vault up.
type admin struct {
	*testserver.VaultServer
	roots  *x509.CertPool
	client *http.Client
}

func realVault(t *testing.T) *admin {
	t.Helper()
	a := &admin{VaultServer: testserver.Vault(t), roots: x509.NewCertPool()}
	require.True(t, a.roots.AppendCertsFromPEM([]byte(a.CA)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	a.client = &http.Client{Transport: transport}
	a.put(t, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	a.put(t, "sys/mounts/old", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	until(t, "KV 2 is upgraded", func() bool {
		code, _ := a.do(t, "PUT", "secret/data/ready", `{"data":{"x":"y"}}`, nil)
		return code == 200
	})
	return a
}

func (a *admin) do(t *testing.T, method, path, body string, header http.Header) (int, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, a.Address+"/v1/"+path, strings.NewReader(body))
	require.NoError(t, err)
	for k, v := range header {
		r.Header[k] = v
	}
	r.Header.Set("X-Vault-Token", a.Token)
	resp, err := a.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, b
}

func (a *admin) put(t *testing.T, path string, in any) []byte {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	code, b := a.do(t, "PUT", path, string(body), nil)
	require.Less(t, code, 300, "%s: %s", path, b)
	return b
}

func (a *admin) root(t *testing.T) *Provider {
	return open(t, Config{Address: a.Address, RootCAs: a.roots, Login: &Token{From: given(a.Token)}})
}

func TestVaultSuite(t *testing.T) {
	a := realVault(t)
	target, err := url.Parse(a.Address)
	require.NoError(t, err)
	for name, mount := range map[string]string{"KV 2": "secret", "KV 1": "old"} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				relay := httputil.NewSingleHostReverseProxy(target)
				relay.Transport = a.client.Transport
				front := secretstest.NewFront(t, relay)
				return &secretstest.Rig{
					Scheme: "vault", Provider: open(t, Config{Address: front.URL, Login: &Token{From: given(a.Token)}}), Front: front,
					Ref: "vault:" + mount + "/app#p", Missing: "vault:" + mount + "/none#p", WrongType: "vault:" + mount + "/app#object", Empties: true, Large: true,
					Set: func(value string) {
						data := map[string]any{"p": value, "object": map[string]int{"x": 1}}
						if mount == "old" {
							a.put(t, "old/app", data)
						} else {
							a.put(t, "secret/data/app", map[string]any{"data": data})
						}
					},
				}
			})
		})
	}
}

// databases has a Vault make accounts of a real PostgreSQL.
func (a *admin) databases(t *testing.T) *pgembed.Server {
	t.Helper()
	pg, _ := testserver.Shared(t)
	a.put(t, "sys/mounts/database", map[string]any{"type": "database"})
	a.put(t, "database/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": pgembed.User, "password": pg.Password,
		"connection_url": "postgresql://{{username}}:{{password}}@" + pg.Address() + "/postgres?sslmode=disable",
	})
	for _, name := range []string{"ro", "ro-alice"} {
		a.put(t, "database/roles/"+name, map[string]any{
			"db_name": "pg", "default_ttl": "4s", "max_ttl": "1h",
			"creation_statements": []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
		})
	}
	return pg
}

func roles(t *testing.T, pg *pgembed.Server) string {
	return testserver.Exec(t, pg, "postgres", `SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname LIKE 'v-%'`)
}

func login(pg *pgembed.Server, c proxy.Credential) error {
	connector, err := pq.NewConnector(testserver.URL(c.Username, c.Password.Reveal(), pg.Address(), "postgres", "sslmode=disable"))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.Ping()
}

// A database role is made for one session, lives as long as that, and is gone afterwards, also after a panic and
// after a crash.
func TestVaultDatabaseRoleOfASession(t *testing.T) {
	a := realVault(t)
	pg := a.databases(t)
	provider := a.root(t)
	journal := filepath.Join(t.TempDir(), "leases")
	var mu sync.Mutex
	renewed := 0
	open := func() *secrets.Broker {
		b, err := secrets.NewBroker(secrets.Options{Source: secrets.Source{"vault": provider}, Journal: journal, Report: func(e secrets.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == secrets.Renewed && e.Err == nil {
				renewed++
			}
		}})
		require.NoError(t, err)
		return b
	}
	b := open()
	r := proxy.LeaseRequest{
		Target: proxy.Target{Account: proxy.Account{Secret: "vault:database/creds/ro-{subject}"}}, Identity: &proxy.Identity{Subject: "alice"}, Session: "S",
	}
	lease, err := b.Lease(t.Context(), r)
	require.NoError(t, err)
	require.Contains(t, lease.Username, "ro-alice")
	require.NoError(t, login(pg, lease.Credential))
	until(t, "two renewals, which are longer than a term", func() bool { mu.Lock(); defer mu.Unlock(); return renewed >= 2 })
	require.NoError(t, login(pg, lease.Credential))
	select {
	case <-lease.Lost:
		t.Fatal("it is renewed, and said to be lost")
	default:
	}
	lease.Release()
	until(t, "the role is gone", func() bool { return roles(t, pg) == "" })
	require.Error(t, login(pg, lease.Credential))
	r.Identity = &proxy.Identity{Subject: "../config/pg"}
	_, err = b.Lease(t.Context(), r)
	require.ErrorContains(t, err, "cannot be a part of a path")

	session, err := proxytest.Open(&proxy.Gateway{Credentials: fixed{b}})
	require.NoError(t, err)
	c, err := session.Credential(t.Context(), false)
	require.NoError(t, err)
	require.NoError(t, login(pg, c))
	session.Go("test", func() error { panic("of the handler") })
	<-session.Context().Done()
	session.Close(nil)
	until(t, "the role is gone after a panic", func() bool { return roles(t, pg) == "" })

	r.Identity = &proxy.Identity{Subject: "alice"}
	lost, err := b.Lease(t.Context(), r)
	require.NoError(t, err)
	require.Error(t, login(pg, proxy.Credential{Username: lost.Username, Password: proxy.NewSecret("wrong")}))
	text := a.put(t, "sys/leases/revoke-prefix/database", nil) // somebody takes it away
	require.Empty(t, text)
	select {
	case <-lost.Lost:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told that the lease is gone")
	}
	lost.Release()

	// The second broker finds the journal of the first as a crash would have left it.
	a.put(t, "database/roles/ro-alice", map[string]any{
		"db_name": "pg", "default_ttl": "1h", "max_ttl": "1h",
		"creation_statements": []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
	})
	crashed, err := b.Lease(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, login(pg, crashed.Credential))
	again := open()
	until(t, "the role of the crashed process is gone", func() bool { return roles(t, pg) == "" })
	require.NoError(t, again.Close(t.Context()))
	require.NoError(t, b.Close(t.Context()), "what is gone already is revoked")
}

// fixed has the account that a lease is for.
type fixed struct{ *secrets.Broker }

func (f fixed) Lease(ctx context.Context, r proxy.LeaseRequest) (*proxy.Lease, error) {
	r.Target.Account.Secret = "vault:database/creds/ro"
	return f.Broker.Lease(ctx, r)
}

func TestVaultSigns(t *testing.T) {
	a := realVault(t)
	a.put(t, "sys/mounts/ssh", map[string]any{"type": "ssh"})
	a.put(t, "ssh/config/ca", map[string]any{"generate_signing_key": true, "key_type": "ed25519"})
	a.put(t, "ssh/roles/ops", map[string]any{"key_type": "ca", "allow_user_certificates": true, "allowed_users": "deploy", "ttl": "5m", "default_extensions": map[string]string{"permit-pty": ""}})
	provider := a.root(t)
	v, err := resolve(t, provider, "vault:ssh/sign/ops", secrets.Use{Account: "deploy"})
	require.NoError(t, err)
	require.False(t, v.Shared)
	_, err = gossh.ParsePrivateKey([]byte(v.PrivateKey.Reveal()))
	require.NoError(t, err)
	parsed, _, _, _, err := gossh.ParseAuthorizedKey([]byte(v.Certificate))
	require.NoError(t, err)
	code, ca := a.do(t, "GET", "ssh/public_key", "", nil)
	require.Equal(t, 200, code)
	authority, _, _, _, err := gossh.ParseAuthorizedKey(ca)
	require.NoError(t, err)
	checker := &gossh.CertChecker{IsUserAuthority: func(k gossh.PublicKey) bool { return bytes.Equal(k.Marshal(), authority.Marshal()) }}
	require.NoError(t, checker.CheckCert("deploy", parsed.(*gossh.Certificate)))
	_, err = resolve(t, provider, "vault:ssh/sign/ops", secrets.Use{Account: "root"})
	require.Error(t, err, "the role does not sign for root")
	_, err = resolve(t, provider, "vault:ssh/sign/ops", secrets.Use{})
	require.ErrorContains(t, err, "no user name")
	b, err := secrets.NewBroker(secrets.Options{Source: secrets.Source{"vault": provider}, Journal: filepath.Join(t.TempDir(), "leases")})
	require.NoError(t, err)
	lease, err := b.Lease(t.Context(), proxy.LeaseRequest{Target: proxy.Target{Account: proxy.Account{Username: "deploy", Secret: "vault:ssh/sign/ops", Key: true}}})
	require.NoError(t, err)
	require.Equal(t, "deploy", lease.Username)
	require.NoError(t, b.Close(t.Context()))
}

// A gateway with an AppRole, whose secret comes in a wrapping, may read what its policy says and nothing else.
func TestVaultAppRoleAndCertificate(t *testing.T) {
	a := realVault(t)
	a.put(t, "secret/data/app", map[string]any{"data": map[string]string{"p": "first"}})
	a.put(t, "secret/data/app", map[string]any{"data": map[string]string{"p": "second"}})
	a.put(t, "secret/data/other", map[string]any{"data": map[string]string{"p": "other"}})
	a.put(t, "sys/policies/acl/gw", map[string]any{"policy": `path "secret/data/app" { capabilities = ["read"] }`})
	a.put(t, "sys/auth/approle", map[string]any{"type": "approle"})
	a.put(t, "sys/auth/cert", map[string]any{"type": "cert"})
	a.put(t, "auth/approle/role/gw", map[string]any{"token_policies": "gw", "token_ttl": "1h"})
	var role struct {
		Data struct {
			RoleID string `json:"role_id"`
		}
	}
	_, text := a.do(t, "GET", "auth/approle/role/gw/role-id", "", nil)
	require.NoError(t, json.Unmarshal(text, &role))
	var wrapping struct {
		WrapInfo struct{ Token string } `json:"wrap_info"`
	}
	_, text = a.do(t, "PUT", "auth/approle/role/gw/secret-id", "", http.Header{"X-Vault-Wrap-Ttl": {"60s"}})
	require.NoError(t, json.Unmarshal(text, &wrapping))
	authority := testserver.NewAuthority()
	certPEM, keyPEM := authority.ClientPEM("gateway")
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	a.put(t, "auth/cert/certs/gw", map[string]any{"certificate": string(authority.PEM()), "token_policies": "gw"})
	for name, c := range map[string]Config{
		"approle":     {Login: &AppRole{RoleID: role.Data.RoleID, SecretID: given(wrapping.WrapInfo.Token), Wrapped: true}},
		"certificate": {Login: &Certificate{Role: "gw"}, Certificate: &cert},
	} {
		t.Run(name, func(t *testing.T) {
			c.Address, c.RootCAs = a.Address, a.roots
			p := open(t, c)
			v, err := resolve(t, p, "vault:secret/app#p", secrets.Use{})
			require.NoError(t, err)
			require.Equal(t, "second", v.Password.Reveal())
			require.Equal(t, "2", v.Version)
			v, err = resolve(t, p, "vault:secret/data/app#p?version=1", secrets.Use{})
			require.NoError(t, err)
			require.Equal(t, "first", v.Password.Reveal())
			_, err = resolve(t, p, "vault:secret/other#p", secrets.Use{})
			require.ErrorIs(t, err, secrets.ErrDenied)
			a.put(t, "auth/token/revoke", map[string]any{"token": p.session.current.Reveal()})
			_, err = resolve(t, p, "vault:secret/app#p", secrets.Use{})
			require.NoError(t, err, "it logs in again")
		})
	}
	_, err = resolve(t, open(t, Config{Address: a.Address, Login: &Token{From: given(a.Token)}}), "vault:secret/app#p", secrets.Use{})
	require.ErrorIs(t, err, secrets.ErrUnavailable, "a Vault whose certificate is not trusted is told nothing")
}
