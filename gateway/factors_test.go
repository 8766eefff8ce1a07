package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/secrets/secretstest"
	"github.com/sallyport/sallyport/store"
)

// ask makes a request to a gateway's API, and reads what it answers into out when that is not a
// failure.
func (h *house) ask(t *testing.T, token, method, path string, body, out any) int {
	t.Helper()
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(authority))
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+h.APIAddr().String()+path, bytes.NewReader(text))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	if out != nil && resp.StatusCode < 300 {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(out))
	}
	return resp.StatusCode
}

// certified has a key certified for a login, and returns what clients of PostgreSQL connect with.
func (h *house) certified(t *testing.T, token, user, resource string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	var got control.Credential
	require.Equal(t, http.StatusOK, h.ask(t, token, "POST", "/v1/credentials", control.CredentialRequest{
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
	}, &got))
	block, _ := pem.Decode([]byte(got.Certificate))
	return strings.Replace(h.database(user, resource), "password="+password, "", 1) + clientPair(t, block.Bytes, key)
}

// ends waits until a session is told that it ends, and returns why.
func (s *script) ends() string {
	s.t.Helper()
	m, err := s.Receive()
	require.NoError(s.t, err)
	require.IsType(s.t, &pgproto3.ErrorResponse{}, m)
	return m.(*pgproto3.ErrorResponse).Message
}

// TestFactors: on two gateways that share a PostgreSQL, what a local user sets up at one counts at
// the other: her password, her second factor, and that a code was used. A password alone opens
// nothing then, and what the two keep, record and log holds no secret of hers.
func TestFactors(t *testing.T) {
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("DB_PASSWORD", server.Password)
	config := func(verifier, factors string) string {
		return fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
store: {url: "postgres://postgres@%s/%s", password: "env:DB_PASSWORD", key: "env:STORE_KEY"}
identity:
  users: [{name: root, groups: [admin], password: %[3]s}, {name: alice, groups: [dev], password: %[4]s}]
  factors: {%[5]s}
resources:
  - {name: shop, type: postgres, address: %[1]q, database: %[2]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
  - {name: prod, type: postgres, address: %[1]q, database: %[2]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}}
access:
  - {groups: [admin, dev], resources: [shop], allow: [connect, read]}
  - {groups: [dev], claims: {amr: ["*mfa*"]}, when: {login_within: 15m}, resources: [prod], allow: [connect, read]}
`, server.Address(), database, verifier, verifier, factors)
	}
	file := verifier(t)
	one, two := open(t, t.TempDir(), config(file, "")), open(t, t.TempDir(), config(file, ""))
	const chosen = "correct horse battery"
	with := func(h *house, resource, password string) string {
		return strings.Replace(h.database("alice", resource), "password=wonder", "password='"+password+"'", 1)
	}
	refused := func(conn string) {
		t.Helper()
		_, err := pgconn.Connect(t.Context(), conn)
		require.ErrorContains(t, err, `password authentication failed for user`)
	}
	login := func(h *house, password, code string) (string, int) {
		t.Helper()
		var got control.Login
		status := h.ask(t, "", "POST", "/v1/login", control.Password{User: "alice", Password: password, Code: code}, &got)
		return got.Token, status
	}

	// Her password.
	s := connect(t, two.database("alice", "shop"))
	token, status := login(one, password, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, http.StatusOK, one.ask(t, token, "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: password}, New: chosen}, nil))
	require.Contains(t, s.ends(), "password of alice has changed")
	refused(two.database("alice", "shop"))
	s = connect(t, with(two, "shop", chosen))
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	_, err := pgconn.Connect(t.Context(), with(one, "prod", chosen))
	require.Error(t, err, "this needs a second factor")

	// Her second factor.
	var begun control.NewFactor
	require.Equal(t, http.StatusCreated, one.ask(t, token, "POST", "/v1/me/totp", control.Again{Password: chosen}, &begun))
	require.Contains(t, begun.URL, "gw.example.com")
	app := identitytest.NewApp(t, begun.URL)
	var enrolled control.Enrolled
	var codes []string
	require.Eventually(t, func() bool { // a code is one of thirty seconds
		codes = append(codes, app.Code(time.Now().Add(-30*time.Second)))
		return one.ask(t, token, "POST", "/v1/me/totp/confirm", control.CodeRequest{Code: codes[len(codes)-1]}, &enrolled) == http.StatusOK
	}, 20*time.Second, time.Millisecond)
	require.Contains(t, s.ends(), "second factor")
	for _, h := range []*house{one, two} {
		refused(with(h, "shop", chosen))
		require.Contains(t, h.log.String(), "second factor", "the operator is told why")
		for user, password := range map[string]string{"alice": chosen, "root": password} {
			c, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
				User: user + "+shop", Auth: []gossh.AuthMethod{gossh.Password(password)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
			})
			if user == "alice" {
				require.ErrorContains(t, err, "unable to authenticate")
				continue
			}
			require.NoError(t, err)
			c.Close()
		}
	}
	_, status = login(one, chosen, "")
	require.Equal(t, http.StatusUnauthorized, status)

	// A code counts once, whichever gateway it is given to.
	codes = append(codes, app.Code(time.Now()))
	token, status = login(one, chosen, codes[len(codes)-1])
	require.Equal(t, http.StatusOK, status)
	_, status = login(two, chosen, codes[len(codes)-1])
	require.Equal(t, http.StatusUnauthorized, status, "it was used at the other one")
	codes = append(codes, app.Code(time.Now().Add(30*time.Second)))
	both := make(chan int, 2)
	for _, h := range []*house{one, two} {
		go func() {
			_, status := login(h, chosen, codes[len(codes)-1])
			both <- status
		}()
	}
	require.ElementsMatch(t, []int{http.StatusOK, http.StatusUnauthorized}, []int{<-both, <-both}, "one of two that use it at once")
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		_, status = login([]*house{one, two}[i], chosen, enrolled.Codes[0])
		require.Equal(t, want, status, "a recovery code")
	}

	// What the second factor protects, by the login's certificate.
	require.Equal(t, [][]string{{"hello"}}, connect(t, two.certified(t, token, "alice", "prod")).query("SELECT text FROM notes"))

	// Where the file says that a password is enough, it is, and only there.
	require.NoError(t, two.Apply(two.file(t, config(file, "password_alone: [postgres]"))))
	require.Equal(t, [][]string{{"hello"}}, connect(t, with(two, "shop", chosen)).query("SELECT text FROM notes"))
	_, err = pgconn.Connect(t.Context(), with(two, "prod", chosen))
	require.Error(t, err)
	_, status = login(two, chosen, "")
	require.Equal(t, http.StatusUnauthorized, status)

	// An operator's new password takes the place of hers, and her second factor stays.
	another, err := identity.NewVerifier("another")
	require.NoError(t, err)
	s = connect(t, with(two, "shop", chosen))
	require.NoError(t, two.Apply(two.file(t, config(strconv.Quote(another), "password_alone: [postgres]"))))
	s.ends()
	refused(with(two, "shop", chosen))
	require.Equal(t, [][]string{{"hello"}}, connect(t, with(two, "shop", "another")).query("SELECT text FROM notes"))
	_, status = login(two, "another", "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.NoError(t, two.Apply(two.file(t, config(file, "password_alone: [postgres]"))))
	refused(with(two, "shop", chosen))
	connect(t, with(two, "shop", password))

	// No secret is anywhere.
	var all strings.Builder
	told, by := map[string]bool{}, map[string]bool{}
	for _, h := range []*house{one, two} {
		require.NoError(t, h.stop())
		all.WriteString(h.log.String())
		for _, list := range h.records(t) {
			for _, e := range list {
				require.NoError(t, json.NewEncoder(&all).Encode(e))
				if e.Type == audit.GatewayPrefix+"login-failed" && e.User == "alice" && strings.Contains(e.Error, "second factor") {
					told[e.Protocol] = true
				}
				if e.Methods == identity.MethodsFactor {
					by[e.Type] = true
				}
			}
		}
	}
	require.Contains(t, all.String(), audit.AdminFactor)
	require.Equal(t, map[string]bool{"postgres": true, "ssh": true, "api": true}, told, "the record says why")
	require.Subset(t, by, map[string]bool{audit.GatewayPrefix + "login": true, audit.SessionStart: true}, "and who came in by a second factor")
	all.WriteString(testserver.Exec(t, server, database, "SELECT kind || name || body FROM sallyport.documents"))
	require.Contains(t, all.String(), "totp")
	secret := begun.URL[strings.Index(begun.URL, "secret=")+len("secret="):]
	for _, canary := range append(enrolled.Codes, chosen, "another", secret[:32]) {
		require.Empty(t, secretstest.Leaks(all.String(), canary))
	}
	for _, code := range codes {
		require.NotRegexp(t, `[^0-9A-Za-z]`+code+`[^0-9A-Za-z]`, all.String())
	}
}
