package control_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/proxy"
)

// as returns a client of the site, whose authority it knows.
func (s *site) as(t *testing.T, token string) *client.Client {
	t.Helper()
	announced, err := client.Announce(t.Context(), s.server.URL)
	require.NoError(t, err)
	c, err := client.New(client.Config{URL: s.server.URL, Authorities: announced.Authorities, Token: proxy.NewSecret(token)})
	require.NoError(t, err)
	return c
}

// TestClientTLS: a gateway is known by the authority that a person has compared, and by
// no other.
func TestClientTLS(t *testing.T) {
	s := openSite(t)
	announced, err := client.Announce(t.Context(), s.server.URL)
	require.NoError(t, err)
	require.Regexp(t, "^[0-9a-f]{64}$", announced.Fingerprint)
	same, err := client.Fingerprint(announced.Authorities)
	require.NoError(t, err)
	require.Equal(t, announced.Fingerprint, same)

	stranger, err := client.New(client.Config{URL: s.server.URL, Token: proxy.NewSecret("sps_secret")})
	require.NoError(t, err)
	_, err = stranger.WhoAmI(t.Context())
	require.True(t, client.Untrusted(err), "%v", err)
	require.NotContains(t, err.Error(), "sps_secret")

	c := s.as(t, "")
	_, err = c.WhoAmI(t.Context())
	requireCode(t, err, http.StatusUnauthorized, control.CodeUnauthenticated)
	_, err = c.Login(t.Context(), "bob", proxy.NewSecret("wrong"), proxy.Secret{})
	requireCode(t, err, http.StatusUnauthorized, control.CodeUnauthenticated)
	login, err := c.Login(t.Context(), "bob", proxy.NewSecret("bob"), proxy.Secret{})
	require.NoError(t, err)
	bob := s.as(t, login.Token)
	me, err := bob.WhoAmI(t.Context())
	require.NoError(t, err)
	require.Equal(t, "bob", me.Subject)
	list, err := bob.Resources(t.Context())
	require.NoError(t, err)
	require.Equal(t, "orders", list[0].Name)
	one, err := bob.Resource(t.Context(), "orders")
	require.NoError(t, err)
	require.Equal(t, list[0], *one)
	_, err = bob.Resource(t.Context(), "../whoami")
	requireCode(t, err, http.StatusNotFound, control.CodeNotFound)
	can, err := bob.Can(t.Context(), control.Question{Resource: "orders", Text: "SELECT 1"})
	require.NoError(t, err)
	require.Equal(t, "allow", can.Outcome)

	key, csr, err := client.NewKey()
	require.NoError(t, err)
	credential, err := bob.Certify(t.Context(), control.CredentialRequest{CSR: csr})
	require.NoError(t, err)
	pair, err := tls.X509KeyPair([]byte(credential.Certificate), keyPEM(t, key))
	require.NoError(t, err)
	certified, err := client.New(client.Config{URL: s.server.URL, Authorities: announced.Authorities, Certificate: &pair})
	require.NoError(t, err)
	me, err = certified.WhoAmI(t.Context())
	require.NoError(t, err)
	require.Equal(t, "certificate", me.Method)

	root, err := bob.Root(t.Context())
	require.NoError(t, err)
	require.Equal(t, announced.Authorities, root)
	_, err = stranger.Root(t.Context())
	require.True(t, client.Untrusted(err), "%v", err)

	made, err := bob.CreateToken(t.Context(), control.TokenRequest{Label: "ci", Seconds: 60})
	require.NoError(t, err)
	tokens, err := bob.Tokens(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, made.ID, tokens[0].ID)
	_, err = bob.Tokens(t.Context(), true)
	requireCode(t, err, http.StatusForbidden, control.CodeForbidden)
	require.NoError(t, bob.RevokeToken(t.Context(), made.ID))
	require.NoError(t, bob.Logout(t.Context()))
	_, err = bob.WhoAmI(t.Context())
	requireCode(t, err, http.StatusUnauthorized, control.CodeUnauthenticated)
}

// TestClientAdmin: what administrators do to users, by the client.
func TestClientAdmin(t *testing.T) {
	s := openSite(t)
	ada := s.as(t, s.login(t, "ada"))
	s.login(t, "eve")
	about := control.UserRequest{Subject: "eve", Reason: "ticket 7"}
	u, err := ada.Assign(t.Context(), control.GroupsRequest{UserRequest: about, Groups: []string{"local:shop"}})
	require.NoError(t, err)
	require.Equal(t, []string{"local:shop"}, u.Groups)
	u, err = ada.User(t.Context(), "eve")
	require.NoError(t, err)
	require.False(t, u.Seen.IsZero())
	users, err := ada.Users(t.Context())
	require.NoError(t, err)
	require.Len(t, users, 2)
	groups, err := ada.Groups(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 2)
	u, err = ada.Disable(t.Context(), about)
	require.NoError(t, err)
	require.True(t, u.Disabled)
	u, err = ada.Enable(t.Context(), about)
	require.NoError(t, err)
	require.False(t, u.Disabled)
	out, err := ada.LogoutUser(t.Context(), about)
	require.NoError(t, err)
	require.Zero(t, out.Tokens)
	_, err = ada.Disable(t.Context(), control.UserRequest{Subject: "ada", Reason: "x"})
	requireCode(t, err, http.StatusForbidden, control.CodeForbidden)
}

// TestClientDevice: a machine without a browser logs in at a real provider.
func TestClientDevice(t *testing.T) {
	s := openSite(t)
	dev := identitytest.StartProvider(t, s.server.URL+"/auth/dev/callback")
	dev.Groups(t, "alice", "shop")
	provider, err := oidc.New(oidc.Config{
		Name: "dev", Issuer: dev.Issuer, ClientID: "device", ClientSecret: proxy.NewSecret("secret"), RedirectURL: s.server.URL + "/auth/dev/callback",
		Scopes: []string{"profile"}, Groups: oidc.Groups{Claim: "groups"},
	})
	require.NoError(t, err)
	s.logins.Providers = []*oidc.Provider{provider}
	s.portal.Auth = &oidc.Handler{Logins: s.logins, Sessions: control.Recorded{Handler: s.handler, Sessions: s.portal.Sessions}, Sealer: s.logins.Sealer, Failed: s.handler.LoginFailed}
	c := s.as(t, "")
	_, err = c.BeginDevice(t.Context(), "nothing")
	requireCode(t, err, http.StatusNotFound, control.CodeNotFound)
	d, err := c.BeginDevice(t.Context(), "dev")
	require.NoError(t, err)
	require.NotEmpty(t, d.Code)
	login, err := c.Poll(t.Context(), "dev", d)
	require.NoError(t, err)
	require.Nil(t, login, "nobody has let it in yet")
	dev.Approve(t, "alice", d.Code)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for login == nil {
		select {
		case <-time.After(time.Duration(d.Wait) * time.Second):
		case <-ctx.Done():
			t.Fatal("the login does not come")
		}
		login, err = c.Poll(ctx, "dev", d)
		require.NoError(t, err)
	}
	require.Equal(t, "dev/alice", login.Subject)
	me, err := s.as(t, login.Token).WhoAmI(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"dev:shop"}, me.Groups)
}

// TestClientTrusts: a token goes to the gateway that was asked for, and to no other place.
func TestClientTrusts(t *testing.T) {
	for _, at := range []string{"", "http://gw.example.com", "https://", "https://bob:x@gw.example.com", "https://gw.example.com/x", "https://gw.example.com?x=1", "ftp://gw", "https://gw\x00"} {
		_, err := client.New(client.Config{URL: at})
		require.Error(t, err, "%q", at)
		_, err = client.Announce(t.Context(), at)
		require.Error(t, err, "%q", at)
	}
	c, err := client.New(client.Config{URL: "gw.example.com:7443/"})
	require.NoError(t, err)
	require.Equal(t, "https://gw.example.com:7443", c.URL())
	_, err = client.New(client.Config{URL: "gw", Authorities: "hello"})
	require.Error(t, err)

	var got []string
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) }))
	defer other.Close()
	thief := httptest.NewTLSServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer thief.Close()
	_, err = client.Announce(t.Context(), thief.URL)
	require.Error(t, err)
	var authority strings.Builder
	writeCertificate(t, &authority, thief.Certificate())
	c, err = client.New(client.Config{URL: thief.URL, Authorities: authority.String(), Token: proxy.NewSecret("sps_secret")})
	require.NoError(t, err)
	_, err = c.WhoAmI(t.Context())
	require.Error(t, err)
	require.Empty(t, got)
	c, err = client.New(client.Config{URL: "https://127.0.0.1:1"})
	require.NoError(t, err)
	_, err = c.Server(t.Context())
	require.ErrorIs(t, err, client.ErrUnreachable)
}

// TestAnnounceOfOther: who answers in place of a gateway, and names the gateway's authority
// with one of its own, is known by its own alone.
func TestAnnounceOfOther(t *testing.T) {
	authority := func(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		return certificate(t, &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, nil, key, key), key
	}
	text := func(list ...*x509.Certificate) string {
		var b strings.Builder
		for _, c := range list {
			writeCertificate(t, &b, c)
		}
		return b.String()
	}
	known, _ := authority("the gateway's")
	same, _ := authority("another's")
	other, key := authority("another's")
	leaf := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, other, key, key)
	want, err := client.Fingerprint(text(other))
	require.NoError(t, err)
	for what, named := range map[string]string{
		"one": text(other), "the gateway's first": text(known, other), "the gateway's last": text(other, known), "one of the same name": text(same, known, other),
		"the gateway's twice": text(known, known, other, known),
	} {
		t.Run(what, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				assert.NoError(t, json.NewEncoder(w).Encode(control.Server{Authorities: named}))
			}))
			s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
			s.StartTLS()
			defer s.Close()
			a, err := client.Announce(t.Context(), s.URL)
			require.NoError(t, err)
			require.Equal(t, want, a.Fingerprint)
			require.Equal(t, text(other), a.Authorities, "what is kept is what was shown")
		})
	}
}

// certificate is one that lasts an hour; a nil issuer: its own.
func certificate(t *testing.T, c, issuer *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	if issuer == nil {
		issuer = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), by)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}
