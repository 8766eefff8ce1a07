package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// team are two gateways on one PostgreSQL, which is also what they lead to, and the provider at
// which people log in.
type team struct {
	provider *identitytest.Provider
	one, two *house
}

func openTeam(t *testing.T) *team {
	const callback = "https://gw.example.com/auth/dev/callback"
	tm := &team{provider: identitytest.StartProvider(t, callback)}
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("CLIENT_SECRET", "secret")
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
store: {url: "postgres://postgres@%s/%s", password: "env:DB_PASSWORD", key: "env:STORE_KEY"}
identity:
  users: [{name: root, groups: [admin], password: %s}]
  providers:
    - {name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}
  scim: {provider: dev, token_hashes: ["%x"]}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access: [{name: readers, groups: ["dev:dba", "scim:dba", "local:dba", admin, "local:programs"], allow: [connect, read]}]
`, server.Address(), database, verifier(t), tm.provider.Issuer, sha256.Sum256([]byte("t")), server.Address(), database)
	for _, h := range []**house{&tm.one, &tm.two} {
		*h = open(t, t.TempDir(), text)
	}
	return tm
}

// login logs alice in at a gateway.
func (tm *team) login(t *testing.T, h *house) *proxy.Identity {
	logins := h.parts().people.logins
	at, attempt, err := logins.Provider("dev").Begin(t.Context(), oidc.BeginOptions{})
	require.NoError(t, err)
	l, err := logins.Provider("dev").Finish(t.Context(), attempt, tm.provider.LogIn(t, at, "alice").Query())
	require.NoError(t, err)
	id, err := logins.Add(t.Context(), l)
	require.NoError(t, err)
	return id
}

// certificate returns what a client of PostgreSQL logs in with that has a certificate of a
// gateway, for somebody who has logged in.
func (h *house) certificate(t *testing.T, id *proxy.Identity) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert, err := h.proofs.certificates.Sign(t.Context(), ca.User{
		Name: "alice", Subject: id.Subject, Login: id.Claims[identity.ClaimLogin], Proven: id.AuthTime, Expires: time.Now().Add(time.Hour),
	}, &key.PublicKey)
	require.NoError(t, err)
	return clientPair(t, cert.Raw, key)
}

// clientPair writes a certificate and its key to files, for a connection string.
func clientPair(t *testing.T, cert []byte, key *ecdsa.PrivateKey) string {
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: der}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return fmt.Sprintf(" sslcert=%s sslkey=%s", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

// reach is a connection string without a password.
func (h *house) reach(user string) string {
	return strings.Replace(h.database(user, "shop"), "password="+password, "", 1)
}

// tell sends something of the directory to a gateway's API.
func (h *house) tell(t *testing.T, method, path, token, body string) (status int, answer string) {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	r, err := http.NewRequest(method, "https://"+h.APIAddr().String()+"/scim/v2"+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

var scimID = regexp.MustCompile(`"id": ?"([^"]+)"`)

// directory has the company's directory make a user or group at a gateway, and returns its
// identifier.
func (h *house) directory(t *testing.T, path, body string) string {
	status, answer := h.tell(t, "POST", path, "t", body)
	require.Equal(t, http.StatusCreated, status, answer)
	return scimID.FindStringSubmatch(answer)[1]
}

// TestTeam: what one gateway is told of people counts at the other one, and open sessions
// there follow, within seconds.
func TestTeam(t *testing.T) {
	tm := openTeam(t)
	tm.provider.Groups(t, "alice", "dba")
	for _, c := range []struct {
		name string
		// begin returns what alice connects with, and what then happens to her at the first
		// gateway.
		begin func(t *testing.T) (conn string, then func(t *testing.T))
		goes  bool // her session goes on
	}{
		{"the directory disables her", func(t *testing.T) (string, func(t *testing.T)) {
			return tm.two.reach("alice") + tm.one.certificate(t, tm.login(t, tm.one)), func(t *testing.T) {
				id := tm.one.directory(t, "/Users", `{"userName":"alice","externalId":"alice","active":false}`)
				t.Cleanup(func() { tm.one.tell(t, "DELETE", "/Users/"+id, "t", "") })
			}
		}, false},
		{"she logs out", func(t *testing.T) (string, func(t *testing.T)) {
			id := tm.login(t, tm.one)
			return tm.two.reach("alice") + tm.one.certificate(t, id), func(t *testing.T) {
				require.NoError(t, tm.one.parts().people.logins.End(t.Context(), id.Claims[identity.ClaimLogin], "you have logged out"))
			}
		}, false},
		{"her certificates are revoked", func(t *testing.T) (string, func(t *testing.T)) {
			id := tm.login(t, tm.one)
			return tm.two.reach("alice") + tm.one.certificate(t, id), func(t *testing.T) {
				require.NoError(t, tm.one.proofs.certificates.RevokeAll(t.Context(), id.Subject, "lost"))
			}
		}, false},
		{"an administrator disables her", func(t *testing.T) (string, func(t *testing.T)) {
			id := tm.login(t, tm.one)
			return tm.two.reach("alice") + tm.one.certificate(t, id), func(t *testing.T) {
				_, err := tm.one.proofs.members.Disable(t.Context(), id.Subject)
				require.NoError(t, err)
				t.Cleanup(func() {
					_, err := tm.one.proofs.members.Enable(context.Background(), id.Subject)
					require.NoError(t, err)
				})
			}
		}, false},
		{"she is given another group", func(t *testing.T) (string, func(t *testing.T)) {
			id := tm.login(t, tm.one)
			return tm.two.reach("alice") + tm.one.certificate(t, id), func(t *testing.T) {
				_, err := tm.one.proofs.members.Assign(t.Context(), id.Subject, []string{"local:more"})
				require.NoError(t, err)
			}
		}, true},
		{"her token is revoked", func(t *testing.T) (string, func(t *testing.T)) {
			require.NoError(t, tm.one.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "ci", Kind: proxy.Service, Groups: []string{"local:programs"}}))
			tk, secret, err := tm.one.proofs.tokens.Create(t.Context(), tokens.Token{Subject: "ci", User: "ci", Expires: time.Now().Add(time.Hour)})
			require.NoError(t, err)
			return tm.two.reach("ci~"+tk.ID) + " password=" + secret.Reveal(), func(t *testing.T) {
				require.NoError(t, tm.one.proofs.tokens.Revoke(t.Context(), tk.ID))
			}
		}, false},
		{"a service loses its group", func(t *testing.T) (string, func(t *testing.T)) {
			require.NoError(t, tm.one.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "cd", Kind: proxy.Service, Groups: []string{"local:programs"}}))
			tk, secret, err := tm.one.proofs.tokens.Create(t.Context(), tokens.Token{Subject: "cd", User: "cd", Expires: time.Now().Add(time.Hour)})
			require.NoError(t, err)
			return tm.two.reach("cd~"+tk.ID) + " password=" + secret.Reveal(), func(t *testing.T) {
				require.NoError(t, tm.one.proofs.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "cd", Kind: proxy.Service}))
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, then := c.begin(t)
			require.Eventually(t, func() bool { // the other gateway has seen the end of the case before
				c, err := pgconn.Connect(t.Context(), conn)
				if err == nil {
					err = c.Close(t.Context())
				}
				return err == nil && len(tm.two.Proxy().Sessions()) == 0
			}, 30*time.Second, 10*time.Millisecond)
			s := connect(t, conn)
			require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
			begun := time.Now()
			then(t)
			if c.goes {
				require.Eventually(t, func() bool {
					open := tm.two.Proxy().Sessions()
					return len(open) == 1 && open[0].Identity.In("local:more")
				}, 30*time.Second, 10*time.Millisecond)
				require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
				require.NoError(t, s.conn.Close())
				require.Eventually(t, func() bool { return len(tm.two.Proxy().Sessions()) == 0 }, 30*time.Second, time.Millisecond)
				return
			}
			// It ends without being asked anything, by a message that says so.
			m, err := s.Receive()
			require.NoError(t, err)
			require.IsType(t, &pgproto3.ErrorResponse{}, m)
			t.Logf("the session ended after %s: %s", time.Since(begun).Round(time.Millisecond), m.(*pgproto3.ErrorResponse).Message)
			_, err = pgconn.Connect(t.Context(), conn)
			require.Error(t, err)
			require.Eventually(t, func() bool { return len(tm.two.Proxy().Sessions()) == 0 }, 30*time.Second, time.Millisecond)
		})
	}
}

// TestDirectoryGroups: groups of the directory open what they may, and close it in a live
// session.
func TestDirectoryGroups(t *testing.T) {
	tm := openTeam(t)
	tm.provider.Groups(t, "alice")
	conn := tm.one.reach("alice") + tm.one.certificate(t, tm.login(t, tm.one))
	_, err := pgconn.Connect(t.Context(), conn)
	require.Error(t, err, "she is in no group that may")
	user := tm.one.directory(t, "/Users", `{"userName":"alice","externalId":"alice"}`)
	group := tm.one.directory(t, "/Groups", fmt.Sprintf(`{"displayName":"dba","members":[{"value":%q}]}`, user))
	s := connect(t, conn)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	status, answer := tm.one.tell(t, "DELETE", "/Groups/"+group, "t", "")
	require.Equal(t, http.StatusNoContent, status, answer)
	m, err := s.Receive()
	require.NoError(t, err)
	require.IsType(t, &pgproto3.ErrorResponse{}, m)
	status, _ = tm.one.tell(t, "POST", "/Users", "wrong", `{"userName":"bob"}`)
	require.Equal(t, http.StatusUnauthorized, status)
}

// TestForeignCertificates: a certificate that the gateway has not given does not keep a client
// from logging in by a password, and proves nobody.
func TestForeignCertificates(t *testing.T) {
	tm := openTeam(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour)}
	foreign, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pair := clientPair(t, foreign, key)
	s := connect(t, tm.one.database("root", "shop")+pair)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	_, err = pgconn.Connect(t.Context(), tm.one.reach("root")+pair)
	require.Error(t, err)
	// One of the gateway's that is another user's is refused as what it is.
	tm.provider.Groups(t, "alice", "dba")
	own := tm.one.certificate(t, tm.login(t, tm.one))
	_, err = pgconn.Connect(t.Context(), tm.one.database("root", "shop")+own)
	require.ErrorContains(t, err, "certificate authentication failed")
}

// TestTeamIsOne: to clients two gateways on one store are one, by TLS and by SSH, and keep no
// private key in their folders.
func TestTeamIsOne(t *testing.T) {
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("DB_PASSWORD", "x")
	server, database := testserver.Database(t, "")
	t.Setenv("STORE_PASSWORD", server.Password)
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
store: {url: "postgres://postgres@%s/%s", password: "env:STORE_PASSWORD", key: "env:STORE_KEY"}
identity: {users: [{name: root, groups: [admin], password: %s}]}
resources: []
`, server.Address(), database, verifier(t))
	one, two := open(t, t.TempDir(), text), open(t, t.TempDir(), text)
	read := func(h *house, name string) string {
		b, err := os.ReadFile(filepath.Join(h.dir, "data", name))
		require.NoError(t, err)
		return string(b)
	}
	for _, name := range []string{"ca/ca.pem", "ssh/hosts_ca.pub", "ssh/resources_ca.pub"} {
		require.Equal(t, read(one, name), read(two, name), name)
	}
	hostKey := func(h *house) (key []byte) {
		_, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
			User: "root", HostKeyAlgorithms: []string{gossh.KeyAlgoED25519},
			HostKeyCallback: func(_ string, _ net.Addr, k gossh.PublicKey) error { key = k.Marshal(); return nil },
		})
		require.Error(t, err)
		return key
	}
	require.NotEmpty(t, hostKey(one))
	require.Equal(t, hostKey(one), hostKey(two))
	for _, h := range []*house{one, two} {
		require.NoError(t, filepath.WalkDir(filepath.Join(h.dir, "data"), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(name)) == "audit" || strings.HasSuffix(name, ".key") {
				return err
			}
			b, err := os.ReadFile(name)
			require.NotContains(t, string(b), "PRIVATE KEY", name)
			return err
		}))
	}
	// Another key is not the store's.
	t.Setenv("STORE_KEY", store.NewKey().Text())
	file := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	f, err := Load(file, config.Options{})
	require.NoError(t, err)
	_, err = New(f, Options{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "give the store the key that it was sealed by")
}

// TestStoreDown: while the store does not answer, open sessions go on and nobody logs in; once it
// does, what was changed meanwhile is followed.
func TestStoreDown(t *testing.T) {
	kept := testserver.Postgres(t, pgembed.Config{})
	t.Setenv("STORE_KEY", store.NewKey().Text())
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("STORE_PASSWORD", kept.Password)
	h := open(t, t.TempDir(), fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
store: {url: "postgres://postgres@%s/postgres", password: "env:STORE_PASSWORD", key: "env:STORE_KEY"}
identity: {users: [{name: root, groups: [admin], password: %s}]}
resources:
  - {name: shop, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access: [{groups: [admin], allow: [connect, read]}]
`, kept.Address(), verifier(t), server.Address(), database))
	s := connect(t, h.database("root", "shop"))
	hello := [][]string{{"hello"}}
	require.Equal(t, hello, s.query("SELECT text FROM notes"))
	kept.Kill()
	require.Equal(t, hello, s.query("SELECT text FROM notes"))
	require.NoError(t, h.Reload(), "a revision asks about everybody, and cannot tell")
	require.Equal(t, hello, s.query("SELECT text FROM notes"))
	_, err := pgconn.Connect(t.Context(), h.database("root", "shop"))
	require.Error(t, err)
	require.Equal(t, hello, s.query("SELECT text FROM notes"))
	require.NoError(t, kept.Restart(t.Context()))
	require.Eventually(t, func() bool {
		c, err := pgconn.Connect(t.Context(), h.database("root", "shop"))
		return err == nil && c.Close(t.Context()) == nil
	}, 60*time.Second, 100*time.Millisecond)
	_, err = h.proofs.members.Disable(t.Context(), "root")
	require.NoError(t, err)
	m, err := s.Receive()
	require.NoError(t, err)
	require.Contains(t, m.(*pgproto3.ErrorResponse).Message, "disabled")
}

// TestTokenOverReload: a token of somebody who has logged in at a provider goes on when a reload has
// changed what is said of providers.
func TestTokenOverReload(t *testing.T) {
	tm := openTeam(t)
	tm.provider.Groups(t, "alice", "dba")
	id := tm.login(t, tm.one)
	tk, secret, err := tm.one.proofs.tokens.Create(t.Context(), tokens.Token{Subject: id.Subject, User: "alice", Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	conn := tm.one.reach("alice~"+tk.ID) + " password=" + secret.Reveal()
	s := connect(t, conn)
	before := tm.one.parts().people
	file := tm.one.parts().config.Name()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "scopes: [profile,", "scopes: [email, profile,", 1)), 0o600))
	require.NoError(t, tm.one.Reload())
	require.NotSame(t, before, tm.one.parts().people)
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	connect(t, conn)
}

// TestWorkloadOwner: a program that has logged in by its platform's token is its service, with the
// groups that the file has now, and nobody else.
func TestWorkloadOwner(t *testing.T) {
	config := func(groups string) string {
		return `
listen: {postgres: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
identity:
  providers: [{name: ci, issuer: "https://ci.example.com", client_id: web}]
  workloads: [` + groups + `]
resources: []
`
	}
	h := open(t, t.TempDir(), config(`{provider: ci, service: deploy, claims: {repository: acme/shop}, groups: [one]}`))
	id := &proxy.Identity{
		Subject: "deploy", Name: "deploy", Groups: []string{"one"}, Kind: proxy.Service, Method: proxy.MethodOIDC, Expires: time.Now().Add(time.Hour),
		Claims: map[string]string{identity.ClaimIssuer: "https://ci.example.com"},
	}
	secret, _, err := h.parts().people.sessions.Start(t.Context(), id)
	require.NoError(t, err)
	found, err := h.parts().people.sessions.Find(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, found.Groups)
	owner, err := h.owner(t.Context(), "deploy", found.Claims[identity.ClaimLogin])
	require.NoError(t, err)
	require.Equal(t, proxy.Service, owner.Kind)
	again := func(groups string) {
		require.NoError(t, os.WriteFile(h.parts().config.Name(), []byte(config(groups)), 0o600))
		require.NoError(t, h.Reload())
		found, err = h.parts().people.sessions.Find(t.Context(), secret)
	}
	again(`{provider: ci, service: deploy, claims: {repository: acme/shop}, groups: [two]}`)
	require.NoError(t, err)
	require.Equal(t, []string{"two"}, found.Groups)
	again("")
	require.Error(t, err)
}
