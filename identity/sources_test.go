package identity_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

const callback = "https://gw.example.com/auth/dev/callback"

// assembly is all of this package's folders in one gateway.
type assembly struct {
	dev       *identitytest.Provider
	provider  *oidc.Provider
	logins    *oidc.Logins
	directory *scim.Directory
	tokens    *tokens.Tokens
	users     *ca.Users
	sources   *identity.Sources
	gateway   *proxy.Gateway
	scim      *httptest.Server
}

// changed has live sessions follow what has happened to somebody.
func (a *assembly) changed(c identity.Change) {
	for _, s := range a.gateway.Sessions() {
		switch {
		case !c.Concerns(s.Identity):
		case c.Ended:
			s.Kill(errors.New(c.Reason))
		default:
			if _, err := a.sources.Refresh(context.Background(), s.Identity); err != nil {
				s.Kill(err)
			}
		}
	}
}

func assemble(t *testing.T) *assembly {
	a := &assembly{dev: identitytest.StartProvider(t, callback), gateway: &proxy.Gateway{}}
	docs := &identity.Memory{}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	a.provider, err = oidc.New(oidc.Config{
		Name: "dev", Issuer: a.dev.Issuer, ClientID: "web", ClientSecret: proxy.NewSecret("secret"), RedirectURL: callback,
		Scopes: []string{"profile", "offline_access"}, Groups: oidc.Groups{Claim: "groups"},
	})
	require.NoError(t, err)
	a.logins = &oidc.Logins{Providers: []*oidc.Provider{a.provider}, Documents: docs, Sealer: sealer, Changed: a.changed}
	a.directory = &scim.Directory{Documents: docs, Provider: "dev", Changed: a.changed}
	require.NoError(t, a.directory.Load(t.Context()))
	authority, err := ca.OpenAuthority(t.Context(), ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
	require.NoError(t, err)
	a.users = &ca.Users{Authority: authority, Documents: docs, Changed: a.changed, Owner: func(ctx context.Context, subject, login string) (*proxy.Identity, error) {
		return a.logins.Refresh(ctx, &proxy.Identity{Subject: subject, Claims: map[string]string{identity.ClaimLogin: login}})
	}}
	a.tokens = &tokens.Tokens{Documents: docs, Changed: a.changed}
	local, err := identity.NewUsers([]identity.User{{Name: "root", Groups: []string{"admin"}, Hash: identity.NewHash("break glass")}})
	require.NoError(t, err)
	certificate := func(id *proxy.Identity) bool {
		return id.Claims[identity.ClaimCertificate] != ""
	}
	a.sources = &identity.Sources{List: []identity.Source{
		{Authenticator: a.users, Owns: certificate},
		{Authenticator: a.tokens, Names: tokens.Names, Owns: func(id *proxy.Identity) bool { return id.Claims[identity.ClaimToken] != "" }},
		{Refresher: a.logins, Owns: func(id *proxy.Identity) bool { return strings.HasPrefix(id.Subject, "dev/") }},
		{Authenticator: local, Names: func(string) bool { return true }},
	}, Refine: []proxy.Refresher{a.directory}}
	rules, err := policy.New([]policy.Rule{{Groups: []string{"dev:dba", "scim:dba", "admin", "programs"}, Allow: []string{"connect", "read"}}})
	require.NoError(t, err)
	require.NoError(t, a.gateway.Use(&proxy.Revision{Authenticator: a.sources, Interceptors: []proxy.Interceptor{rules}}))
	a.scim = httptest.NewServer(&scim.Handler{Directory: a.directory, Authorize: scim.Bearer(sha256.Sum256([]byte("t")))})
	t.Cleanup(a.scim.Close)
	return a
}

// login logs alice in, and gives her a certificate.
func (a *assembly) login(t *testing.T) (*proxy.Identity, proxy.Proof) {
	at, attempt, err := a.provider.Begin(t.Context(), oidc.BeginOptions{})
	require.NoError(t, err)
	l, err := a.provider.Finish(t.Context(), attempt, a.dev.LogIn(t, at, "alice").Query())
	require.NoError(t, err)
	id, err := a.logins.Add(t.Context(), l)
	require.NoError(t, err)
	key, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	cert, err := a.users.Sign(t.Context(), ca.User{Name: "alice", Subject: id.Subject, Login: id.Claims[identity.ClaimLogin], Proven: id.AuthTime, Expires: time.Now().Add(time.Hour)}, key)
	require.NoError(t, err)
	return id, proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: []*x509.Certificate{cert}}
}

func (a *assembly) open(t *testing.T, p proxy.Proof) (*proxy.Session, error) {
	id, err := a.sources.Authenticate(t.Context(), p)
	if err != nil {
		return nil, err
	}
	r := proxytest.Resource
	s, _, err := a.gateway.Open(t.Context(), proxy.OpenRequest{Identity: id, Target: proxy.Target{Resource: &r}})
	if err == nil {
		t.Cleanup(func() { s.Close(nil) })
	}
	return s, err
}

func (a *assembly) tell(t *testing.T, method, path, body string) {
	r, err := http.NewRequestWithContext(t.Context(), method, a.scim.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer t")
	r.Header.Set("Content-Type", "application/scim+json")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Less(t, resp.StatusCode, 300)
}

// TestSessionsFollow: a session of a certificate, of a login at a real provider, ends
// when the login does, wherever that is said.
func TestSessionsFollow(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, a *assembly, id *proxy.Identity)
		want string
	}{
		{"the directory disables her", func(t *testing.T, a *assembly, _ *proxy.Identity) {
			a.tell(t, "POST", "/Users", `{"userName":"alice","externalId":"alice","active":"False"}`)
		}, "disabled"},
		{"the provider logs her out", func(t *testing.T, a *assembly, _ *proxy.Identity) {
			_, err := a.logins.Logout(t.Context(), "dev", a.dev.LogoutToken(t, "alice", "web"))
			require.NoError(t, err)
		}, "logged out"},
		{"she logs out", func(t *testing.T, a *assembly, id *proxy.Identity) {
			require.NoError(t, a.logins.End(t.Context(), id.Claims[identity.ClaimLogin], "you have logged out"))
		}, "logged out"},
		{"her certificates are revoked", func(t *testing.T, a *assembly, id *proxy.Identity) {
			require.NoError(t, a.users.RevokeAll(t.Context(), id.Subject, "lost"))
		}, "revoked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := assemble(t)
			a.dev.Groups(t, "alice", "dba")
			id, proof := a.login(t)
			s, err := a.open(t, proof)
			require.NoError(t, err)
			require.Equal(t, "dev/alice", s.Identity.Subject)
			root, err := a.open(t, proxy.Proof{Method: proxy.MethodPassword, User: "root", Password: proxy.NewSecret("break glass")})
			require.NoError(t, err)
			c.end(t, a, id)
			<-s.Context().Done()
			require.ErrorContains(t, s.Err(), c.want)
			require.NoError(t, root.Context().Err(), "others go on")
			_, err = a.open(t, proof)
			require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		})
	}
}

// TestSourcesGroups: groups of the provider and of the directory add up, and what is
// taken away there is gone at the next look.
func TestSourcesGroups(t *testing.T) {
	a := assemble(t)
	_, proof := a.login(t)
	_, err := a.open(t, proof)
	require.ErrorContains(t, err, "connect", "she is in no group that may")
	a.tell(t, "POST", "/Users", `{"userName":"alice","externalId":"alice"}`)
	var id string
	require.NoError(t, identity.All(t.Context(), a.directory.Documents, scim.KindUser, func(d identity.Document) bool { id = d.Name; return true }))
	a.tell(t, "POST", "/Groups", fmt.Sprintf(`{"displayName":"dba","members":[{"value":%q}]}`, id))
	s, err := a.open(t, proof)
	require.NoError(t, err)
	require.Equal(t, []string{"scim:dba"}, s.Identity.Groups)
}

// TestSourcesSuite: several sources together are an authenticator like one.
func TestSourcesSuite(t *testing.T) {
	a := assemble(t)
	require.NoError(t, a.tokens.PutPrincipal(t.Context(), tokens.Principal{Name: "ci", Kind: proxy.Service, Groups: []string{"programs"}}))
	tk, secret, err := a.tokens.Create(t.Context(), tokens.Token{Subject: "ci", User: "ci", Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, other := a.login(t)
	password := func(user, text string) proxy.Proof {
		return proxy.Proof{Method: proxy.MethodPassword, User: user, Password: proxy.NewSecret(text)}
	}
	stolen := other
	stolen.User = "root"
	forged := stolen
	forged.Certificates = nil
	identitytest.TestAuthenticator(t, func(*testing.T) proxy.Authenticator { return a.sources },
		identitytest.Proofs{Right: password("root", "break glass"), Wrong: password("root", "x"), Unknown: password("nobody", "x"), Other: password("ci", "break glass")},
		identitytest.Proofs{Right: password("ci", secret.Reveal()), Wrong: password("ci", "x"), Unknown: password("nobody", "x"), Other: password("root", secret.Reveal())},
		identitytest.Proofs{Right: other, Wrong: forged, Unknown: forged, Other: stolen},
	)
	v, ok, err := a.sources.Verifier(t.Context(), "ci~"+tk.ID)
	require.NoError(t, err)
	require.True(t, ok)
	id, err := a.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodSCRAM, User: "ci~" + tk.ID, Verifier: v})
	require.NoError(t, err)
	same, err := a.sources.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Same(t, id, same)
	require.NoError(t, a.tokens.Revoke(t.Context(), tk.ID))
	_, err = a.sources.Refresh(t.Context(), id)
	require.ErrorContains(t, err, "revoked")
	_, err = (&identity.Sources{}).Refresh(t.Context(), id)
	require.Error(t, err)
	_, err = (&identity.Sources{}).Authenticate(t.Context(), password("root", "x"))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
}
