package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// vaultConfig is a config file whose resource has a role per session, and another a password of KV.
func vaultConfig(t *testing.T, vault, address, database, further string) string {
	return fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
data_dir: data
secrets: {vault: %s}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: unused, password: "vault:database/creds/ro", tls: {mode: disable}}
  - {name: own, type: postgres, address: %q, database: %s, username: unused, password: "vault:database/creds/ro-{subject}", own_account: {username: postgres, password: "vault:secret/app#password"}, tls: {mode: disable}}
  - {name: kv, type: postgres, address: %q, database: %s, username: postgres, password: "vault:secret/app#password", tls: {mode: disable}}
access: [{groups: [dev], allow: [all]}]
masking: [{use: off}]
%s`, vault, verifier(t), address, database, address, database, address, database, further)
}

func (h *house) connect(t *testing.T, resource string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), h.database("alice", resource))
	require.NoError(t, err, h.log)
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

func whoami(t *testing.T, c *pgconn.PgConn) string {
	t.Helper()
	r := c.ExecParams(t.Context(), "SELECT session_user", nil, nil, nil, nil).Read()
	require.NoError(t, r.Err)
	return string(r.Rows[0][0])
}

// events are those of the gateway's own record.
func (h *house) events(t *testing.T, typ string) (found []*audit.Event) {
	t.Helper()
	for _, e := range h.records(t)[""] {
		if e.Type == typ {
			found = append(found, e)
		}
	}
	return found
}

func exists(t *testing.T, pg *pgembed.Server, role string) bool {
	t.Helper()
	return testserver.Exec(t, pg, "postgres", "SELECT count(*) FROM pg_roles WHERE rolname = '"+role+"'") == "1"
}

// A role is made for one session through the gateway, which proves itself with it, and is gone
// afterwards.
func TestRoleOfASession(t *testing.T) {
	pg, database := testserver.Database(t, "")
	for name, begin := range map[string]func(t *testing.T, dir string) (vault, token string){
		"small": func(t *testing.T, _ string) (string, string) {
			v := testserver.NewSmallVault(t, pg)
			v.Put("app", map[string]string{"password": pg.Password})
			return fmt.Sprintf("{address: %q, token: {from: file:token}}", v.URL), v.Token
		},
		"real": func(t *testing.T, dir string) (string, string) {
			v := testserver.Vault(t)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "vault-ca.pem"), []byte(v.CA), 0o600))
			setUp(t, v, pg)
			return fmt.Sprintf("{address: %q, ca: vault-ca.pem, token: {from: file:token}}", v.Address), v.Token
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			vault, token := begin(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600))
			h := open(t, dir, vaultConfig(t, vault, pg.Address(), database, ""))
			one, two, own := h.connect(t, "shop"), h.connect(t, "shop"), h.connect(t, "own")
			roles := []string{whoami(t, one), whoami(t, two), whoami(t, own)}
			require.NotEqual(t, roles[0], roles[1])
			require.Contains(t, roles[2], "ro-alice")
			require.Empty(t, own.ExecParams(t.Context(), "SELECT 1 FROM pg_class", nil, nil, nil, nil).Read().Err)
			require.Equal(t, "postgres", whoami(t, h.connect(t, "kv")))
			require.NoError(t, one.Close(t.Context()))
			require.Eventually(t, func() bool { return !exists(t, pg, roles[0]) }, 30*time.Second, 5*time.Millisecond)
			require.True(t, exists(t, pg, roles[1]))
			h.session(t, "alice", "own").Kill(nil)
			require.Eventually(t, func() bool { return !exists(t, pg, roles[2]) }, 30*time.Second, 5*time.Millisecond)

			require.NoError(t, h.stop())
			require.False(t, exists(t, pg, roles[1]), "the gateway's end is its sessions'")
			var resolved []string
			for _, e := range h.events(t, audit.SecretResolve) {
				if e.Ref == "vault:database/creds/ro" && e.User == "alice" {
					require.NotEmpty(t, e.Session)
					require.NotEmpty(t, e.Lease)
					resolved = append(resolved, e.Lease)
				}
			}
			require.Len(t, resolved, 2)
			var revoked []string
			for _, e := range h.events(t, audit.SecretRevoke) {
				require.Empty(t, e.Error)
				revoked = append(revoked, e.Lease)
			}
			require.Subset(t, revoked, resolved)
			require.Nil(t, secretstest.Leaks(h.log.String(), token))
			require.Nil(t, secretstest.Leaks(h.log.String(), pg.Password))
		})
	}
}

// asking returns what asks a real Vault.
func asking(t *testing.T, v *testserver.VaultServer) func(method, path string, in any) (code int, body []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(v.CA)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, path string, in any) (int, []byte) {
		body, err := json.Marshal(in)
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), method, v.Address+"/v1/"+path, bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("X-Vault-Token", v.Token)
		resp, err := client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, text
	}
}

// setUp has a real Vault make roles of a database.
func setUp(t *testing.T, v *testserver.VaultServer, pg *pgembed.Server) {
	t.Helper()
	ask := asking(t, v)
	put := func(path string, in any) bool { code, _ := ask(http.MethodPut, path, in); return code < 300 }
	require.True(t, put("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}))
	require.True(t, put("sys/mounts/database", map[string]any{"type": "database"}))
	require.True(t, put("database/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": pgembed.User, "password": pg.Password,
		"connection_url": "postgresql://{{username}}:{{password}}@" + pg.Address() + "/postgres?sslmode=disable",
	}))
	for _, name := range []string{"ro", "ro-alice"} {
		require.True(t, put("database/roles/"+name, map[string]any{
			"db_name": "pg", "default_ttl": "1m", "max_ttl": "1h",
			"creation_statements": []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
		}))
	}
	require.Eventually(t, func() bool {
		return put("secret/data/app", map[string]any{"data": map[string]string{"password": pg.Password}})
	},
		30*time.Second, 10*time.Millisecond, "KV 2 is upgraded")
}

// A password that is changed at its source is used at the first refusal, in a gateway that goes on; a service that
// does not answer refuses in words that tell users nothing of it.
func TestSecretsOfARunningGateway(t *testing.T) {
	pg, database := testserver.Database(t, "CREATE ROLE rotated LOGIN PASSWORD 'before'")
	t.Cleanup(func() { testserver.Exec(t, pg, "postgres", "DROP ROLE rotated") })
	v := testserver.NewSmallVault(t, pg)
	v.Put("app", map[string]string{"password": "before"})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(v.Token), 0o600))
	vault := fmt.Sprintf("{address: %q, token: {from: file:token}}", v.URL)
	text := strings.ReplaceAll(vaultConfig(t, vault, pg.Address(), database, ""), "username: postgres", "username: rotated")
	other := testserver.NewSmallVault(t, pg)
	h := open(t, dir, text)
	require.Equal(t, "rotated", whoami(t, h.connect(t, "kv")))
	testserver.Exec(t, pg, "postgres", "ALTER ROLE rotated PASSWORD 'after'")
	v.Put("app", map[string]string{"password": "after"})
	c := h.connect(t, "kv")
	require.Equal(t, "rotated", whoami(t, c), "the kept password was refused, and read once more")

	v.SetDown(true)
	_, err := pgconn.Connect(t.Context(), h.database("alice", "shop"))
	require.ErrorContains(t, err, "the gateway has no credential for shop")
	for _, hidden := range []string{"vault", "Vault", "creds", v.URL, "503"} {
		require.NotContains(t, strings.ReplaceAll(err.Error(), h.database("alice", "shop"), ""), hidden)
	}
	require.Contains(t, h.log.String(), "secret from vault")
	require.Contains(t, h.log.String(), "Vault answered 503")
	require.Equal(t, "rotated", whoami(t, h.connect(t, "kv")), "what is kept is used while the service does not answer")
	v.SetDown(false)

	// A revision that has another source, and one that cannot be used.
	other.Put("app", map[string]string{"password": "after"})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte(other.Token), 0o600))
	held := h.connect(t, "shop")
	role := whoami(t, held)
	require.Contains(t, v.Accounts(), role)
	broken := h.file(t, strings.ReplaceAll(text, "token: {from: file:token}", "ca: none.pem, token: {from: file:token}"))
	require.ErrorContains(t, h.Apply(broken), "opening the source of secrets vault")
	require.NoError(t, h.Apply(h.file(t, strings.NewReplacer(v.URL, other.URL, "file:token", "file:other").Replace(text))))
	next := whoami(t, h.connect(t, "shop"))
	require.Contains(t, other.Accounts(), next)
	require.Equal(t, role, whoami(t, held), "its role is the first source's, and stays")
	require.NoError(t, held.Close(t.Context()))
	require.Eventually(t, func() bool { return len(v.Accounts()) == 0 }, 30*time.Second, 5*time.Millisecond, "the source that leased it revokes it")
	require.NoError(t, h.stop())
	require.Empty(t, other.Accounts())
}

// Check and Reach follow references to sources of the file, and leave no lease.
func TestReachLeavesNoLease(t *testing.T) {
	pg, database := testserver.Database(t, "")
	v := testserver.NewSmallVault(t, pg)
	v.Put("app", map[string]string{"password": pg.Password})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(v.Token), 0o600))
	path := filepath.Join(dir, "x.yaml")
	require.NoError(t, os.WriteFile(path, []byte(vaultConfig(t, fmt.Sprintf("{address: %q, token: {from: file:token}}", v.URL), pg.Address(), database, "")), 0o600))
	f, err := Load(path, config.Options{})
	require.NoError(t, err)
	require.Empty(t, f.Check(t.Context()))
	require.Empty(t, v.Accounts())
	x, err := NewExplainer(f, Options{})
	require.NoError(t, err)
	for _, name := range []string{"shop", "kv"} {
		r, err := x.Resources().Lookup(t.Context(), name)
		require.NoError(t, err)
		a, _ := r.Account("")
		require.NoError(t, x.Reach(t.Context(), proxy.Target{Resource: r, Account: a, Database: r.Database}), name)
	}
	require.NoError(t, x.Close())
	require.Empty(t, v.Accounts())
	v.SetDown(true)
	ps := f.Check(t.Context())
	require.Len(t, ps, 3, "the one of each person's own is not tried")
	require.NotContains(t, ps.Error(), "must be able to read it", "that is about what the host has")
	require.Contains(t, ps[0].String(), "x.yaml:7: resource shop: password: secret from vault:")
}

// The private key of what clients are shown can be what a reference leads to, and is replaced with it.
func TestKeyByReference(t *testing.T) {
	pg, _ := testserver.Database(t, "")
	v := testserver.NewSmallVault(t, pg)
	dir := t.TempDir()
	authority := testserver.NewAuthority()
	serials := make(map[string]bool)
	put := func() {
		cert, key := authority.ServerPEM("localhost", "127.0.0.1")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600))
		v.Put("gw", map[string]string{"key": string(key)})
	}
	put()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(v.Token), 0o600))
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
data_dir: data
secrets: {vault: {address: %q, token: {from: file:token}}}
tls: {cert: cert.pem, key: "vault:secret/gw#key"}
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources: [{name: shop, type: postgres, address: %q, username: x}]
access: [{groups: [dev], allow: [all]}]
`, v.URL, verifier(t), pg.Address())
	h := open(t, dir, text)
	shown := func() {
		c, err := h.gateway.Certificate(&tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, ServerName: "127.0.0.1"})
		require.NoError(t, err)
		serials[c.Leaf.SerialNumber.String()] = true
	}
	shown()
	put()
	require.NoError(t, h.RenewCertificate())
	shown()
	require.Len(t, serials, 2)
	v.Put("gw", map[string]string{"key": "not a key: hunter2hunter2"})
	require.Error(t, h.RenewCertificate())
	shown()
	require.Len(t, serials, 2, "the one from before")
	require.NotContains(t, h.log.String(), "hunter2")

	// While the service is down the file can change, by what is known of the key.
	put()
	require.NoError(t, h.RenewCertificate())
	v.SetDown(true)
	require.NoError(t, h.Apply(h.file(t, strings.Replace(text, "allow: [all]", "allow: [connect]", 1))))
	require.NoError(t, h.Apply(h.file(t, text)))
	shown()
	require.Len(t, serials, 3)
	require.Contains(t, h.log.String(), "a secret that the gateway itself uses could not be had")
	require.ErrorContains(t, h.Apply(h.file(t, strings.Replace(text, "secret/gw#key", "secret/other#key", 1))), "503", "what was never read")
	other := testserver.NewSmallVault(t, pg)
	other.SetDown(true)
	require.ErrorContains(t, h.Apply(h.file(t, strings.Replace(text, v.URL, other.URL, 1))), "503", "another source may have another value")
}

// A second gateway on the same data directory does not start, and leaves the leases of the first alone.
func TestSecondGatewayLeavesLeases(t *testing.T) {
	pg, database := testserver.Database(t, "")
	v := testserver.NewSmallVault(t, pg)
	v.Put("app", map[string]string{"password": pg.Password})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(v.Token), 0o600))
	text := vaultConfig(t, fmt.Sprintf("{address: %q, token: {from: file:token}}", v.URL), pg.Address(), database, "")
	h := open(t, dir, text)
	c := h.connect(t, "shop")
	held := v.Accounts()
	require.NotEmpty(t, held)
	_, err := New(h.file(t, text), Options{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "has it open")
	require.Equal(t, held, v.Accounts())
	require.True(t, exists(t, pg, whoami(t, c)))
}

// A key is made for one session at a machine, and certified by a real Vault for the account; the machine trusts
// the authority alone.
func TestCertificateOfASession(t *testing.T) {
	v := testserver.Vault(t)
	ask := asking(t, v)
	me, err := user.Current()
	require.NoError(t, err)
	code, text := ask(http.MethodPut, "sys/mounts/ssh", map[string]any{"type": "ssh"})
	require.Less(t, code, 300, string(text))
	code, text = ask(http.MethodPut, "ssh/config/ca", map[string]any{"generate_signing_key": true, "key_type": "ed25519"})
	require.Less(t, code, 300, string(text))
	code, text = ask(http.MethodPut, "ssh/roles/ops", map[string]any{"key_type": "ca", "allow_user_certificates": true, "allowed_users": me.Username, "ttl": "5m"})
	require.Less(t, code, 300, string(text))
	code, authority := ask(http.MethodGet, "ssh/public_key", nil)
	require.Equal(t, 200, code)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authority"), authority, 0o600))
	host := testserver.KeyPair(t, filepath.Join(dir, "host"))
	machine := testserver.OpenSSH(t, dir, filepath.Join(dir, "host"), "", "TrustedUserCAKeys "+filepath.Join(dir, "authority"))
	alice := testserver.KeyPair(t, filepath.Join(dir, "alice"))
	for name, text := range map[string]string{"token": v.Token, "vault-ca.pem": v.CA} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	h := open(t, dir, fmt.Sprintf(`
listen: {ssh: "127.0.0.1:0"}
data_dir: data
secrets: {vault: {address: %q, ca: vault-ca.pem, token: {from: file:token}}}
identity: {users: [{name: alice, groups: [dev], ssh_keys: [%q]}]}
resources:
  - {name: vm1, type: ssh, address: %q, username: %s, key: "vault:ssh/sign/ops", ssh: {host_keys: [%q]}}
  - {name: other, type: ssh, address: %q, username: nobody, key: "vault:ssh/sign/ops", ssh: {host_keys: [%q]}}
access: [{groups: [dev], allow: [all]}]
`, v.Address, alice, machine, me.Username, host, machine, host))
	session, err := h.ssh(t, "alice", "vm1").NewSession()
	require.NoError(t, err)
	out, err := session.Output("echo in")
	require.NoError(t, err, h.log)
	require.Equal(t, "in\n", string(out))
	if other, err := h.ssh(t, "alice", "other").NewSession(); err == nil {
		require.Error(t, other.Run("true"), "the role does not sign for this account")
	}
	require.Contains(t, h.log.String(), "signing by ssh/sign/ops")
}
