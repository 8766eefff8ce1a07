package control_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/identitytest"
	localusers "github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/loopback"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
)

// shop is what everybody in the group "shop" may reach.
type shop struct{}

func (shop) Resources(_ context.Context, who *proxy.Identity) ([]control.Resource, error) {
	if !who.In("shop") && !who.In("local:shop") && !who.In("dev:shop") {
		return nil, nil
	}
	return []control.Resource{{Name: "orders", Type: "postgres", Address: "gw:5432", User: control.LoginName(who) + "+orders", TLS: true}}, nil
}

func (shop) Can(_ context.Context, _ *proxy.Identity, q control.Question) (*control.Answer, error) {
	if strings.HasPrefix(q.Text, "SELECT") {
		return &control.Answer{Outcome: "allow"}, nil
	}
	return &control.Answer{Outcome: "deny", Message: "you may only read"}, nil
}

// site is a gateway's API as other machines see it.
type site struct {
	*desk
	server  *httptest.Server
	portal  *control.Portal
	sources *identity.Sources
	logins  *oidc.Logins
	docs    *identity.Memory
	ahead   time.Duration // by which the clock of second factors is
}

// changed has live sessions follow what has happened to somebody.
func (s *site) changed(c identity.Change) {
	for _, live := range s.handler.Gateway.Sessions() {
		switch {
		case !c.Concerns(live.Identity):
		case c.Ended:
			live.Kill(errors.New(c.Reason))
		default:
			if _, err := s.sources.Refresh(context.Background(), live.Identity); err != nil {
				live.Kill(err)
			}
		}
	}
}

// openSite is a gateway with local users: ada, who administers, olga, who may decide, and
// bob and eve. Their passwords are their names.
func openSite(t *testing.T) *site {
	t.Helper()
	s := &site{desk: openDesk(t)}
	docs := &identity.Memory{}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	var users []identity.User
	for name, groups := range map[string][]string{"ada": {"admins"}, "olga": {"ops"}, "bob": {"shop"}, "eve": nil, "root": nil} {
		verifier, err := identity.NewVerifier(name)
		require.NoError(t, err)
		users = append(users, identity.User{Name: name, Groups: groups, Password: verifier})
	}
	local, err := identity.NewUsers(users)
	require.NoError(t, err)
	s.docs = docs
	credentials := &localusers.Credentials{Documents: docs, Sealer: sealer, Changed: s.changed, Codes: &totp.Codes{
		Documents: docs, Sealer: sealer, Issuer: "Shop", Now: func() time.Time { return time.Now().Add(s.ahead) },
	}}
	local.Owner = credentials
	authority, err := ca.OpenAuthority(t.Context(), ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
	require.NoError(t, err)
	members := &identity.Members{Documents: docs, Changed: s.changed}
	s.logins = &oidc.Logins{Documents: docs, Sealer: sealer, Changed: s.changed}
	var certificates *ca.Users
	owner := func(ctx context.Context, subject, login string) (*proxy.Identity, error) {
		id := &proxy.Identity{Subject: subject, Claims: map[string]string{}}
		if login != "" {
			id.Claims[identity.ClaimLogin] = login
		}
		return s.sources.Refresh(ctx, id)
	}
	certificates = &ca.Users{Authority: authority, Documents: docs, Changed: s.changed, Owner: owner}
	access := &tokens.Tokens{Documents: docs, Changed: s.changed, Owner: func(ctx context.Context, subject string) (*proxy.Identity, error) { return owner(ctx, subject, "") }}
	certified := func(id *proxy.Identity) bool {
		return strings.HasPrefix(id.Claims[identity.ClaimToken], "x509-") || strings.HasPrefix(id.Claims[identity.ClaimToken], "ssh-")
	}
	s.sources = &identity.Sources{List: []identity.Source{
		{Authenticator: certificates, Owns: certified},
		{Authenticator: access, Names: tokens.Names, Owns: func(id *proxy.Identity) bool { return id.Claims[identity.ClaimToken] != "" }},
		{Refresher: s.logins, Owns: func(id *proxy.Identity) bool { return strings.HasPrefix(id.Subject, "dev/") }},
		{Authenticator: local, Names: func(string) bool { return true }},
	}, Refine: []proxy.Refresher{members}}
	s.portal = &control.Portal{
		URL: "https://gw.example.com", Version: "v9", Passwords: local, Users: local, Credentials: credentials,
		Sessions: &tokens.Sessions{Documents: docs, Refresher: s.sources, Changed: s.changed}, Tokens: access, Members: members,
		Certificates: certificates, Identities: s.sources, EndLogin: s.logins.End, EndLogins: s.logins.EndAll, Resources: shop{},
		KnownHosts: func() ([]byte, error) {
			return []byte("@cert-authority orders ssh-ed25519 AAAA\n@cert-authority secret ssh-ed25519 AAAA\n[gw]:22 ssh-ed25519 AAAA\n"), nil
		},
	}
	s.handler.Portal = func() *control.Portal { return s.portal }
	s.handler.Authenticate = s.handler.Known
	s.handler.Permit = func(who *proxy.Identity, p control.Permission) bool {
		return who.Method != proxy.MethodPeer && (who.In("admins") || who.In("local:admins"))
	}
	s.server = httptest.NewUnstartedServer(s.handler)
	s.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.portal.Authorities = func() []*x509.Certificate { return []*x509.Certificate{s.server.Certificate()} }
	return s
}

// ask makes a request; what is not nil is its JSON body.
func (s *site) ask(t *testing.T, c *http.Client, token, method, path string, body any, header ...string) (int, string) {
	t.Helper()
	var b bytes.Buffer
	if body != nil {
		require.NoError(t, json.NewEncoder(&b).Encode(body))
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, &b)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func (s *site) do(t *testing.T, token, method, path string, body any) (int, string) {
	t.Helper()
	return s.ask(t, s.server.Client(), token, method, path, body)
}

// answer makes a request that has to succeed, and reads its answer.
func answer[T any](t *testing.T, s *site, token, method, path string, body any) *T {
	t.Helper()
	status, text := s.do(t, token, method, path, body)
	require.Less(t, status, 300, text)
	out := new(T)
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(out), text)
	return out
}

// login logs a local user in.
func (s *site) login(t *testing.T, name string) string {
	t.Helper()
	return answer[control.Login](t, s, "", "POST", "/v1/login", control.Password{User: name, Password: name}).Token
}

// csr is a new key and a request for its certificate.
func csr(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	require.NoError(t, err)
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// keyPEM is a key as tls reads it.
func keyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func writeCertificate(t *testing.T, w io.Writer, cert *x509.Certificate) {
	t.Helper()
	require.NoError(t, pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// certify gives a login a certificate, and returns it and a client that shows it.
func (s *site) certify(t *testing.T, token string) (*control.Credential, *x509.Certificate, *http.Client) {
	t.Helper()
	key, request := csr(t)
	got := answer[control.Credential](t, s, token, "POST", "/v1/credentials", control.CredentialRequest{CSR: request})
	block, _ := pem.Decode([]byte(got.Certificate))
	require.NotNil(t, block)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.Equal(t, key.Public(), cert.PublicKey)
	roots := x509.NewCertPool()
	roots.AddCert(s.server.Certificate())
	return got, cert, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
	}}}
}

// open opens a session of the gateway by a certificate.
func (s *site) open(t *testing.T, name string, cert *x509.Certificate) (*proxy.Session, error) {
	t.Helper()
	id, err := s.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: name, Certificates: []*x509.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	r := proxytest.Resource
	live, _, err := s.handler.Gateway.Open(t.Context(), proxy.OpenRequest{Identity: id, Target: proxy.Target{Resource: &r}})
	if err == nil {
		t.Cleanup(func() { live.Close(nil) })
	}
	return live, err
}

// TestPortalProvider: somebody logs in at a real provider by a browser, gets a certificate,
// and connects by it; logging out ends all of that.
func TestPortalProvider(t *testing.T) {
	s := openSite(t)
	back := s.server.URL + "/auth/dev/callback"
	dev := identitytest.StartProvider(t, back)
	dev.Groups(t, "alice", "shop")
	provider, err := oidc.New(oidc.Config{
		Name: "dev", Issuer: dev.Issuer, ClientID: "web", ClientSecret: proxy.NewSecret("secret"), RedirectURL: back,
		Scopes: []string{"profile", "offline_access"}, Groups: oidc.Groups{Claim: "groups"},
	})
	require.NoError(t, err)
	s.logins.Providers = []*oidc.Provider{provider}
	s.portal.Providers = []control.LoginProvider{{Name: "dev", Device: true}}
	s.portal.Auth = &oidc.Handler{Logins: s.logins, Sessions: control.Recorded{Handler: s.handler, Sessions: s.portal.Sessions}, Sealer: s.logins.Sealer, Failed: s.handler.LoginFailed}

	server := answer[control.Server](t, s, "", "GET", "/v1/server", nil)
	require.Equal(t, []control.LoginProvider{{Name: "dev", Device: true}}, server.Providers)
	require.Contains(t, server.Authorities, "BEGIN CERTIFICATE")

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Transport: s.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	receiver, err := loopback.Listen()
	require.NoError(t, err)
	defer receiver.Close()
	at, err := receiver.URL(s.server.URL + "/auth/dev/cli")
	require.NoError(t, err)
	begun, err := browser.Get(at)
	require.NoError(t, err)
	begun.Body.Close()
	page, err := browser.Get(dev.LogIn(t, begun.Header.Get("Location"), "alice").String())
	require.NoError(t, err)
	page.Body.Close()
	require.Equal(t, http.StatusOK, page.StatusCode)
	home, err := browser.PostForm(s.server.URL+"/auth/confirm", url.Values{"answer": {"yes"}})
	require.NoError(t, err)
	home.Body.Close()
	done, err := http.Get(home.Header.Get("Location"))
	require.NoError(t, err)
	done.Body.Close()
	code, err := receiver.Wait(t.Context())
	require.NoError(t, err)
	resp, err := s.server.Client().PostForm(s.server.URL+"/auth/token", url.Values{"code": {code}, "verifier": {receiver.Verifier()}})
	require.NoError(t, err)
	defer resp.Body.Close()
	var got oidc.Answer
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&got))

	me := answer[control.Me](t, s, got.Token, "GET", "/v1/whoami", nil)
	require.Equal(t, []string{"dev/alice", "human", "oidc"}, []string{me.Subject, me.Kind, me.Method})
	require.Equal(t, []string{"dev:shop"}, me.Groups)
	list := answer[control.ResourceList](t, s, got.Token, "GET", "/v1/resources", nil)
	require.Equal(t, "orders", list.Resources[0].Name)
	credential, cert, _ := s.certify(t, got.Token)
	require.WithinDuration(t, time.Now().Add(control.DefaultLife), credential.Expires, time.Minute)
	live, err := s.open(t, credential.User, cert)
	require.NoError(t, err)
	require.Equal(t, "dev/alice", live.Identity.Subject)

	answer[control.Done](t, s, got.Token, "POST", "/v1/logout", nil)
	<-live.Context().Done()
	require.ErrorContains(t, live.Err(), "logged out")
	_, err = s.open(t, credential.User, cert)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	status, _ := s.do(t, got.Token, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	_, err = s.logins.Get(t.Context(), live.Identity.Claims[identity.ClaimLogin])
	require.Error(t, err, "the provider's refresh token is forgotten")

	var seen []string
	for _, e := range s.own(t) {
		seen = append(seen, strings.TrimSpace(e.Type+" "+e.User))
	}
	require.Subset(t, seen, []string{"gateway.login dev/alice", "admin.credential dev/alice", "admin.logout dev/alice"})
}

// TestPortalPassword: what was wrong with a login is not told, and guessing is slow.
func TestPortalPassword(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	require.Equal(t, "bob", answer[control.Me](t, s, token, "GET", "/v1/whoami", nil).User)
	wrong, said := s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "hunter2"})
	unknown, same := s.do(t, "", "POST", "/v1/login", control.Password{User: "nobody", Password: "hunter2"})
	require.Equal(t, http.StatusUnauthorized, wrong)
	require.Equal(t, wrong, unknown)
	require.Equal(t, said, same)
	last := s.guess(60, func(int) string { return "192.0.2.7:80" }, func(int) string { return "bob" })
	require.Greater(t, last[http.StatusTooManyRequests], 20)
	status, _ := s.do(t, token, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status, "who has logged in is not kept out by it")
	answer[control.Done](t, s, token, "POST", "/v1/logout", nil)
	var failed []string
	for _, e := range s.own(t) {
		text, err := json.Marshal(e)
		require.NoError(t, err)
		require.NotContains(t, string(text), "hunter2")
		if e.Type == "gateway.login-failed" {
			failed = append(failed, e.User)
		}
	}
	require.Contains(t, failed, "nobody")
}

// TestPortalDisabled: who was disabled here does not log in, by whatever proof.
func TestPortalDisabled(t *testing.T) {
	s := openSite(t)
	admin, bob := s.login(t, "ada"), s.login(t, "bob")
	credential, cert, client := s.certify(t, bob)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	made := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{Label: "ci", Seconds: 3600})
	answer[control.User](t, s, admin, "POST", "/v1/user/disable", control.UserRequest{Subject: "bob", Reason: "left"})
	<-live.Context().Done()
	_, err = s.open(t, credential.User, cert)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	for _, token := range []string{bob, made.Secret} {
		status, _ := s.do(t, token, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	status, _ := s.ask(t, client, "", "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	status, text := s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob"})
	require.Equal(t, http.StatusUnauthorized, status, text)
	require.NotContains(t, text, "disabled", "no answer tells which part was wrong")
	answer[control.User](t, s, admin, "POST", "/v1/user/enable", control.UserRequest{Subject: "bob", Reason: "came back"})
	_, err = s.open(t, credential.User, cert)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "what was revoked stays so")
	s.login(t, "bob")
}

// TestPortalCredentials: a key is certified for who has logged in, who has it, and nobody
// else.
func TestPortalCredentials(t *testing.T) {
	s := openSite(t)
	bob := s.login(t, "bob")
	credential, cert, client := s.certify(t, bob)
	require.Equal(t, "bob", cert.Subject.CommonName)
	require.Equal(t, "bob", credential.User)
	require.Contains(t, credential.KnownHosts, "orders")
	require.NotContains(t, credential.KnownHosts, "secret", "what she may not reach is not named")
	require.Contains(t, credential.KnownHosts, "[gw]:22")
	line, _, _, _, err := gossh.ParseAuthorizedKey([]byte(credential.SSHCertificate))
	require.NoError(t, err)
	id, err := s.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodSSHCertificate, User: "bob", PublicKey: line.Marshal()})
	require.NoError(t, err)
	require.Equal(t, "bob", id.Subject)

	status, text := s.ask(t, client, "", "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, `"method":"certificate"`)
	_, request := csr(t)
	status, text = s.ask(t, client, "", "POST", "/v1/credentials", control.CredentialRequest{CSR: request})
	require.Equal(t, http.StatusForbidden, status, "a certificate does not make another: %s", text)

	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	block, _ := pem.Decode([]byte(request))
	forged := slices.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	sshKey, err := gossh.NewPublicKey(other.Public())
	require.NoError(t, err)
	for what, req := range map[string]control.CredentialRequest{
		"nothing":          {},
		"no PEM":           {CSR: "hello"},
		"a certificate":    {CSR: credential.Certificate},
		"not signed":       {CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: forged}))},
		"two":              {CSR: request + request},
		"too long":         {CSR: request + strings.Repeat("x", 20<<10)},
		"text after a CSR": {CSR: request + "x"},
	} {
		status, text := s.do(t, bob, "POST", "/v1/credentials", req)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", what, text)
	}
	status, text = s.do(t, bob, "POST", "/v1/credentials", map[string]string{"csr": request, "ssh_key": string(gossh.MarshalAuthorizedKey(sshKey))})
	require.Equal(t, http.StatusBadRequest, status, "a key is certified for who holds it, and another's is not: %s", text)

	elsewhere := s.login(t, "bob")
	answer[control.Done](t, s, bob, "POST", "/v1/logout", nil)
	status, _ = s.ask(t, client, "", "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = s.do(t, elsewhere, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status, "where she has logged in besides, she stays")
}

// TestPortalTokens: a token has at most its owner's rights, and none that need her.
func TestPortalTokens(t *testing.T) {
	s := openSite(t)
	ada, bob := s.login(t, "ada"), s.login(t, "bob")
	full := answer[control.NewToken](t, s, ada, "POST", "/v1/tokens", control.TokenRequest{Label: "export", Seconds: 3600})
	scoped := answer[control.NewToken](t, s, ada, "POST", "/v1/tokens", control.TokenRequest{Label: "ci", Seconds: 3600, Scopes: []tokens.Scope{{Resources: []string{"orders"}, Actions: []string{"read"}}}})
	require.True(t, tokens.IsSecret(tokens.Prefix, full.Secret))
	_, text := s.do(t, ada, "GET", "/v1/tokens", nil)
	require.NotContains(t, text, full.Secret)
	require.Len(t, answer[control.TokenList](t, s, ada, "GET", "/v1/tokens", nil).Tokens, 2)
	require.Empty(t, answer[control.TokenList](t, s, bob, "GET", "/v1/tokens", nil).Tokens)

	_, request := csr(t)
	for _, c := range []struct {
		method, path string
		body         any
		full, scoped int
	}{
		{"GET", "/v1/whoami", nil, 200, 200},
		{"GET", "/v1/resources", nil, 200, 200},
		{"GET", "/v1/sessions", nil, 200, 403},
		{"GET", "/v1/users", nil, 200, 403},
		{"POST", "/v1/credentials", control.CredentialRequest{CSR: request}, 403, 403},
		{"POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 1}, 403, 403},
		{"POST", "/v1/user/groups", control.GroupsRequest{UserRequest: control.UserRequest{Subject: "eve", Reason: "x"}}, 403, 403},
		{"POST", "/v1/logout", nil, 400, 400},
	} {
		status, text := s.do(t, full.Secret, c.method, c.path, c.body)
		require.Equal(t, c.full, status, "%s %s: %s", c.method, c.path, text)
		status, text = s.do(t, scoped.Secret, c.method, c.path, c.body)
		require.Equal(t, c.scoped, status, "%s %s: %s", c.method, c.path, text)
	}
	require.Empty(t, answer[control.Me](t, s, scoped.Secret, "GET", "/v1/whoami", nil).Permissions)

	status, _ := s.do(t, bob, "POST", "/v1/tokens/"+full.ID+"/revoke", nil)
	require.Equal(t, http.StatusNotFound, status, "others' tokens are not hers")
	own := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{Label: "mine", Seconds: 60})
	answer[control.Done](t, s, ada, "POST", "/v1/tokens/"+own.ID+"/revoke", nil)
	answer[control.Done](t, s, ada, "POST", "/v1/tokens/"+full.ID+"/revoke", nil)
	for _, gone := range []string{own.Secret, full.Secret} {
		status, _ = s.do(t, gone, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for _, seconds := range []int64{0, -1, 1 << 40} {
		status, _ = s.do(t, ada, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: seconds})
		require.Equal(t, http.StatusBadRequest, status)
	}
}

// TestPortalLogoutBetween: a request whose body comes after its login has ended does nothing,
// and a login that ends while its request is served is given nothing that counts.
func TestPortalLogoutBetween(t *testing.T) {
	s := openSite(t)
	_, request := csr(t)
	bodies := map[string]any{
		"/v1/credentials":  control.CredentialRequest{CSR: request},
		"/v1/tokens":       control.TokenRequest{Label: "x", Seconds: 3600},
		"/v1/user/disable": control.UserRequest{Subject: "eve", Reason: "x"},
	}
	ends := map[string]func(t *testing.T, token string){
		"she logs out": func(t *testing.T, token string) { answer[control.Done](t, s, token, "POST", "/v1/logout", nil) },
		"an administrator ends it": func(t *testing.T, _ string) {
			_, err := s.portal.Sessions.EndAll(t.Context(), "ada")
			require.NoError(t, err)
		},
	}
	for path, body := range bodies {
		text, err := json.Marshal(body)
		require.NoError(t, err)
		for what, end := range ends {
			t.Run(path+" "+what, func(t *testing.T) {
				token := s.login(t, "ada")
				r := httptest.NewRequest("POST", s.server.URL+path, &late{text, func() { end(t, token) }})
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				require.Equal(t, http.StatusUnauthorized, w.Code, w.Body.String())
			})
		}
	}
	known := s.handler.Authenticate
	for path, body := range map[string]any{"/v1/credentials": bodies["/v1/credentials"], "/v1/tokens": bodies["/v1/tokens"]} {
		t.Run(path+" at the last moment", func(t *testing.T) {
			token := s.login(t, "ada")
			asked := 0
			s.handler.Authenticate = func(r *http.Request) (*proxy.Identity, error) {
				if asked++; asked == 3 {
					_, err := s.portal.Sessions.EndAll(t.Context(), "ada")
					require.NoError(t, err)
				}
				return known(r)
			}
			defer func() { s.handler.Authenticate = known }()
			status, text := s.do(t, token, "POST", path, body)
			require.Equal(t, http.StatusUnauthorized, status, text)
		})
	}
	list, err := s.portal.Tokens.List(t.Context(), "ada")
	require.NoError(t, err)
	require.Empty(t, list)
}

// late is a body that comes after something has happened.
type late struct {
	text   []byte
	before func()
}

func (l *late) Read(b []byte) (int, error) {
	if l.before != nil {
		l.before()
		l.before = nil
	}
	if len(l.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, l.text)
	l.text = l.text[n:]
	return n, nil
}

// TestPortalBrowser: a cookie counts for pages of the gateway's own.
func TestPortalBrowser(t *testing.T) {
	s := openSite(t)
	cookie := control.SessionCookie + "=" + s.login(t, "bob")
	for _, c := range []struct {
		header []string
		want   int
	}{
		{nil, 200},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 401},
		{[]string{"Sec-Fetch-Site", "same-site"}, 401},
		{[]string{"Origin", "https://evil.example.com"}, 401},
		{[]string{"Origin", "null"}, 401},
		{[]string{"Authorization", "Basic Ym9iOmJvYg=="}, 401},
	} {
		status, text := s.ask(t, s.server.Client(), "", "POST", "/v1/can", control.Question{Resource: "orders", Text: "SELECT 1"}, append([]string{"Cookie", cookie}, c.header...)...)
		require.Equal(t, c.want, status, "%v: %s", c.header, text)
	}
	status, _ := s.ask(t, s.server.Client(), "", "GET", "/v1/whoami", nil, "Cookie", cookie, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusUnauthorized, status, "reading included")
	r := httptest.NewRequest("GET", "http://gw/v1/whoami", nil)
	r.Header.Set("Cookie", cookie)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code, "not without TLS")
}

// TestPortalUsers: administrators change what others may do, on record, and nobody changes
// her own.
func TestPortalUsers(t *testing.T) {
	s := openSite(t)
	ada, eve := s.login(t, "ada"), s.login(t, "eve")
	groups := func(token, subject string, names ...string) (int, string) {
		return s.do(t, token, "POST", "/v1/user/groups", control.GroupsRequest{UserRequest: control.UserRequest{Subject: subject, Reason: "ticket 7"}, Groups: names})
	}
	status, _ := groups(eve, "eve", "local:admins")
	require.Equal(t, http.StatusForbidden, status)
	status, _ = groups(ada, "ada", "local:shop")
	require.Equal(t, http.StatusForbidden, status, "nobody changes her own")
	for _, name := range []string{"admins", "dev:shop", "scim:shop"} {
		status, text := groups(ada, "eve", name)
		require.Equal(t, http.StatusBadRequest, status, text)
	}
	status, text := s.do(t, eve, "GET", "/v1/resources/orders", nil)
	require.Equal(t, http.StatusNotFound, status)
	_, missing := s.do(t, eve, "GET", "/v1/resources/nothing", nil)
	require.Equal(t, text, missing, "what she may not reach is like what is not there")
	status, text = groups(ada, "eve", "local:shop")
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, "eve+orders", answer[control.Resource](t, s, eve, "GET", "/v1/resources/orders", nil).User, "at once")
	require.Equal(t, "deny", answer[control.Answer](t, s, eve, "POST", "/v1/can", control.Question{Resource: "orders", Text: "DROP TABLE x"}).Outcome)
	list := answer[control.UserList](t, s, ada, "GET", "/v1/users", nil)
	require.Len(t, list.Users, 2)
	require.Equal(t, []string{"local:shop"}, answer[control.User](t, s, ada, "GET", "/v1/user?subject=eve", nil).Groups)
	require.Contains(t, answer[control.GroupList](t, s, ada, "GET", "/v1/groups", nil).Groups, control.Group{Name: "local:shop", Members: []string{"eve"}})
	answer[control.LoggedOut](t, s, ada, "POST", "/v1/user/logout", control.UserRequest{Subject: "eve", Reason: "lost a laptop"})
	status, _ = s.do(t, eve, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	var done []string
	for _, e := range s.own(t) {
		done = append(done, strings.Join([]string{e.Type, e.User, e.Action, e.Reason}, "|"))
	}
	require.Contains(t, done, "admin.user|ada|groups local:shop|eve: ticket 7")
	require.Contains(t, done, "admin.refused|eve|admin.user|")
}

// TestPortalLogoutUser: of somebody whose logins an administrator ends nothing is left by
// which another could go on as her; others go on.
func TestPortalLogoutUser(t *testing.T) {
	s := openSite(t)
	dev, err := oidc.New(oidc.Config{Name: "dev", Issuer: "https://id.example.com", ClientID: "web", RedirectURL: s.server.URL + "/auth/dev/callback"})
	require.NoError(t, err)
	s.logins.Providers = []*oidc.Provider{dev}
	login := func(name string) (session string, id *proxy.Identity) {
		id, err := s.logins.Add(t.Context(), &oidc.Login{
			Provider: "dev", Subject: name, Refresh: proxy.NewSecret("r"), Expires: time.Now().Add(time.Hour),
			Identity: &proxy.Identity{Subject: "dev/" + name, Claims: map[string]string{identity.ClaimIssuer: "x"}, Method: proxy.MethodOIDC, AuthTime: time.Now()},
		})
		require.NoError(t, err)
		secret, _, err := s.portal.Sessions.Start(t.Context(), id)
		require.NoError(t, err)
		return secret.Reveal(), id
	}
	one, id := login("alice")
	two, _ := login("alice")
	other, otherID := login("carol")
	ada, bob := s.login(t, "ada"), s.login(t, "bob")
	made := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{Label: "ci", Seconds: 3600})
	kept := answer[control.NewToken](t, s, ada, "POST", "/v1/tokens", control.TokenRequest{Label: "ci", Seconds: 3600})
	_, cert, _ := s.certify(t, one)
	live, err := s.open(t, cert.Subject.CommonName, cert)
	require.NoError(t, err)

	out := answer[control.LoggedOut](t, s, ada, "POST", "/v1/user/logout", control.UserRequest{Subject: "dev/alice", Reason: "lost a laptop"})
	require.Equal(t, &control.LoggedOut{Logins: 2, Sessions: 2}, out)
	<-live.Context().Done()
	_, err = s.logins.Get(t.Context(), id.Claims[identity.ClaimLogin])
	require.ErrorIs(t, err, identity.ErrNoDocument, "the provider's refresh token is forgotten")
	_, _, err = control.Recorded{Handler: s.handler, Sessions: s.portal.Sessions}.Start(t.Context(), id)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "a code of the login is too late")
	out = answer[control.LoggedOut](t, s, ada, "POST", "/v1/user/logout", control.UserRequest{Subject: "bob", Reason: "lost a laptop"})
	require.Equal(t, &control.LoggedOut{Sessions: 1, Tokens: 1}, out)
	for _, gone := range []string{one, two, bob, made.Secret} {
		status, _ := s.do(t, gone, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	for _, on := range []string{other, ada, kept.Secret} {
		status, text := s.do(t, on, "GET", "/v1/whoami", nil)
		require.Equal(t, http.StatusOK, status, text)
	}
	_, err = s.logins.Get(t.Context(), otherID.Claims[identity.ClaimLogin])
	require.NoError(t, err)
	out = answer[control.LoggedOut](t, s, ada, "POST", "/v1/user/logout", control.UserRequest{Subject: "bob", Reason: "again"})
	require.Equal(t, &control.LoggedOut{}, out)

	answer[control.User](t, s, ada, "POST", "/v1/user/disable", control.UserRequest{Subject: "dev/carol", Reason: "left"})
	_, err = s.logins.Get(t.Context(), otherID.Claims[identity.ClaimLogin])
	require.ErrorIs(t, err, identity.ErrNoDocument)
}

// TestPortalOwn: without a permission one sees and ends what is one's own.
func TestPortalOwn(t *testing.T) {
	s := openSite(t)
	bob, eve, ada := s.login(t, "bob"), s.login(t, "eve"), s.login(t, "ada")
	_, cert, _ := s.certify(t, bob)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	require.Len(t, answer[control.Sessions](t, s, ada, "GET", "/v1/sessions", nil).Sessions, 2)
	require.Len(t, answer[control.Sessions](t, s, bob, "GET", "/v1/sessions", nil).Sessions, 1)
	require.Empty(t, answer[control.Sessions](t, s, eve, "GET", "/v1/sessions", nil).Sessions)
	for _, path := range []string{"", "/watch"} {
		status, _ := s.do(t, eve, "GET", "/v1/sessions/"+live.ID+path, nil)
		require.Contains(t, []int{403, 404}, status)
	}
	status, _ := s.do(t, eve, "POST", "/v1/sessions/"+live.ID+"/kill", control.KillRequest{Reason: "x"})
	require.Equal(t, http.StatusNotFound, status)
	status, _ = s.do(t, bob, "GET", "/v1/sessions/"+live.ID+"/watch", nil)
	require.Equal(t, http.StatusForbidden, status, "watching takes the permission")
	answer[control.Session](t, s, bob, "POST", "/v1/sessions/"+live.ID+"/kill", control.KillRequest{Reason: "left it open"})
	<-live.Context().Done()
}

// TestPortalRequests: who has logged in decides by being who she is; a program does not.
func TestPortalRequests(t *testing.T) {
	s := openSite(t)
	bob, eve, olga := s.login(t, "bob"), s.login(t, "eve"), s.login(t, "olga")
	_, cert, _ := s.certify(t, bob)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	s.reviews(t)
	hold, err := s.handler.Requests.Request(context.Background(), live, proxytest.Statement("DELETE FROM t", proxy.EffectDelete), &proxy.Hold{
		Rules: []string{"big"}, Message: "x", Approvers: [][]string{{"ops", "shop"}}, For: time.Minute,
	})
	require.NoError(t, err)
	require.Empty(t, answer[control.Requests](t, s, eve, "GET", "/v1/requests", nil).Requests)
	require.Len(t, answer[control.Requests](t, s, bob, "GET", "/v1/requests", nil).Requests, 1, "her own")
	r := answer[control.Requests](t, s, olga, "GET", "/v1/requests", nil).Requests[0]
	yes := control.Decision{Hash: r.Hash}
	status, _ := s.do(t, eve, "POST", "/v1/requests/"+r.ID+"/approve", yes)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = s.do(t, bob, "POST", "/v1/requests/"+r.ID+"/approve", yes)
	require.Equal(t, http.StatusForbidden, status, "not her own")
	status, _ = s.do(t, bob, "POST", "/v1/requests/"+r.ID+"/approve", map[string]string{"user": "olga", "password": "olga", "hash": r.Hash})
	require.Equal(t, http.StatusForbidden, status, "it is the caller who decides, whatever the body says")
	token := answer[control.NewToken](t, s, olga, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret
	status, _ = s.do(t, token, "POST", "/v1/requests/"+r.ID+"/approve", yes)
	require.Equal(t, http.StatusForbidden, status)
	_, _, client := s.certify(t, olga)
	status, _ = s.ask(t, client, "", "POST", "/v1/requests/"+r.ID+"/approve", yes)
	require.Equal(t, http.StatusForbidden, status)
	decided := answer[review.Request](t, s, olga, "POST", "/v1/requests/"+r.ID+"/approve", yes)
	require.Equal(t, []any{review.Approved, "olga", "api"}, []any{decided.State, decided.DecidedBy, decided.Channel})
	v := hold.Wait(context.Background())
	require.False(t, v.Refuses())
}

// TestPortalLimits: who is not known is slowed down, and leaves few records; who is known
// at the same address goes on.
func TestPortalLimits(t *testing.T) {
	s := openSite(t)
	bob := s.login(t, "bob")
	slowed := func(token string) bool {
		for range 3000 {
			if status, _ := s.do(t, token, "GET", "/v1/whoami", nil); status == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	}
	require.True(t, slowed("sps_wrong"))
	records := len(s.own(t))
	s.do(t, "sps_wrong", "GET", "/v1/whoami", nil)
	require.LessOrEqual(t, len(s.own(t)), records+1)
	status, _ := s.do(t, bob, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status)
	require.True(t, slowed(bob))
}

// TestPortalService: a service that has logged in is given a certificate, and does nothing
// that needs a person, whatever its groups may.
func TestPortalService(t *testing.T) {
	s := openSite(t)
	service := &proxy.Identity{Subject: "bob", Kind: proxy.Service, Groups: []string{"admins"}, Method: proxy.MethodOIDC, AuthTime: time.Now()}
	agent := &proxy.Identity{Subject: "bot", Kind: proxy.Agent, OnBehalfOf: "ada", Groups: []string{"admins"}, Method: proxy.MethodOIDC, AuthTime: time.Now()}
	s.portal.Sessions.Refresher = nil // they are who they are
	_, request := csr(t)
	for _, c := range []struct {
		path           string
		body           any
		service, agent int
	}{
		{"/v1/credentials", control.CredentialRequest{CSR: request}, 200, 403},
		{"/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}, 403, 403},
		{"/v1/user/disable", control.UserRequest{Subject: "eve", Reason: "x"}, 403, 403},
		{"/v1/user/logout", control.UserRequest{Subject: "eve", Reason: "x"}, 200, 403},
	} {
		for who, want := range map[*proxy.Identity]int{service: c.service, agent: c.agent} {
			secret, _, err := s.portal.Sessions.Start(t.Context(), who)
			require.NoError(t, err)
			status, text := s.do(t, secret.Reveal(), "POST", c.path, c.body)
			require.Equal(t, want, status, "%s of %s: %s", c.path, who.Subject, text)
		}
	}
}

// TestPortalClosed: without its parts the API answers that nothing is there, and a user of
// a name that counts at the local socket has no rights by that.
func TestPortalClosed(t *testing.T) {
	s := openSite(t)
	s.handler.Permit = func(who *proxy.Identity, _ control.Permission) bool {
		return who.Method == proxy.MethodPeer && who.Subject == "root"
	}
	root := s.login(t, "root")
	status, _ := s.do(t, root, "GET", "/v1/users", nil)
	require.Equal(t, http.StatusForbidden, status)
	s.portal.MinClient = "v2.0.0"
	status, text := s.ask(t, s.server.Client(), root, "GET", "/v1/whoami", nil, control.ClientHeader, "v1.9.3")
	require.Equal(t, http.StatusUpgradeRequired, status, text)
	status, _ = s.ask(t, s.server.Client(), root, "GET", "/v1/whoami", nil, control.ClientHeader, "v2.0.0")
	require.Equal(t, http.StatusOK, status)
	s.portal = nil
	status, _ = s.do(t, root, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, path := range []string{"/v1/login", "/auth/dev/cli", "/auth/token"} {
		status, _ = s.do(t, "", "POST", path, control.Password{User: "bob", Password: "bob"})
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, text = s.do(t, "", "GET", "/v1/server", nil)
	require.Equal(t, http.StatusOK, status, text)
}
