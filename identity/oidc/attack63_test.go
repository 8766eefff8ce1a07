package oidc

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestAttack63Tokens: a token that is not the provider's, not for this gateway, not of
// this login, or not of now, logs nobody in.
func TestAttack63Tokens(t *testing.T) {
	publicPEM := func(t *testing.T) []byte {
		der, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
		require.NoError(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	claim := func(name string, v any) func(*hostile) { return func(h *hostile) { h.claims[name] = v } }
	without := func(names ...string) func(*hostile) { return func(h *hostile) { h.without = names } }
	for _, c := range []struct {
		name string
		do   func(h *hostile)
		want string // empty: it logs in
	}{
		{"right", func(*hostile) {}, ""},
		{"another audience", claim("aud", "other"), "audience"},
		{"no audience", without("aud"), "audience"},
		{"two audiences, asked for by the gateway", func(h *hostile) { h.claims["aud"] = []string{"other", "gateway"}; h.claims["azp"] = "gateway" }, ""},
		{"two audiences, asked for by another", func(h *hostile) { h.claims["aud"] = []string{"other", "gateway"}; h.claims["azp"] = "other" }, "client other"},
		{"two audiences, asked for by nobody", claim("aud", []string{"other", "gateway"}), "who asked"},
		{"one audience, asked for by another", claim("azp", "other"), "client other"},
		{"another issuer", claim("iss", "https://evil.example.com"), "different provider"},
		{"an issuer with a slash more", func(h *hostile) { h.claims["iss"] = h.URL + "/" }, "different provider"},
		{"no issuer", without("iss"), "different provider"},
		{"expired", claim("exp", ago(2*time.Minute)), "expired"},
		{"expired within the skew", claim("exp", ago(30*time.Second)), ""},
		{"never expires", without("exp"), "never expires"},
		{"expires at a text", claim("exp", "tomorrow"), ""},
		{"issued in the future", claim("iat", ago(-2*time.Minute)), "clocks"},
		{"issued in the future, within the skew", claim("iat", ago(-30*time.Second)), ""},
		{"issued at no time", without("iat"), "clocks"},
		{"not yet valid", claim("nbf", ago(-2*time.Minute)), "not valid yet"},
		{"not yet valid, within the skew", claim("nbf", ago(-30*time.Second)), ""},
		{"no subject", without("sub"), "subject"},
		{"an empty subject", claim("sub", ""), "subject"},
		{"another nonce", claim("nonce", "replayed"), "another login"},
		{"no nonce", without("nonce"), "another login"},
		{"algorithm none", func(h *hostile) { h.sign = func(c map[string]any) string { return unsigned(h.t, c) } }, "malformed"},
		{"HMAC with the public key", func(h *hostile) { h.sign = signer(h.t, jose.HS256, publicPEM(h.t), "one") }, "malformed"},
		{"HMAC with the client's secret", func(h *hostile) { h.sign = signer(h.t, jose.HS256, []byte("s3cret"+strings.Repeat("0", 32)), "one") }, "malformed"},
		{"another key under the name of the right one", func(h *hostile) { h.sign = signer(h.t, jose.ES256, otherKey(), "one") }, "verify signature"},
		{"an unknown key", func(h *hostile) { h.sign = signer(h.t, jose.ES256, otherKey(), "two") }, "verify signature"},
		{"no key named", func(h *hostile) { h.sign = signer(h.t, jose.RS256, rsaKey(), "") }, ""},
		{"a key for encryption", func(h *hostile) { h.keys[0].Use = "enc" }, "verify signature"},
		{"a key of another algorithm", func(h *hostile) { h.keys[0].Algorithm = "PS256" }, "verify signature"},
		{"a symmetric key in the set", func(h *hostile) {
			secret := []byte(strings.Repeat("k", 32))
			h.keys = append(h.keys, jose.JSONWebKey{Key: secret, KeyID: "two"})
			h.sign = signer(h.t, jose.HS256, secret, "two")
		}, "malformed"},
		{"no keys", func(h *hostile) { h.keys = nil }, "verify signature"},
		{"not a token", func(h *hostile) { h.sign = func(map[string]any) string { return "a.b" } }, "malformed"},
		{"an empty token", func(h *hostile) { h.sign = func(map[string]any) string { return "" } }, "no ID token"},
		{"a huge token", func(h *hostile) { h.sign = func(map[string]any) string { return strings.Repeat("a", maxToken+1) } }, "bytes"},
		{"an access token of another login", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "access token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			c.do(h)
			l, err := h.login(h.provider())
			switch {
			case c.name == "expires at a text":
				require.Error(t, err)
			case c.want == "":
				require.NoError(t, err)
				require.Equal(t, "corp/s-1", l.Identity.Subject)
				require.Equal(t, []string{"corp:dba"}, l.Identity.Groups)
			default:
				require.ErrorIs(t, err, proxy.ErrUnauthenticated)
				require.ErrorContains(t, err, c.want)
				require.NotContains(t, err.Error(), "c0de")
				require.NotContains(t, err.Error(), "s3cret")
			}
		})
	}
}

// TestAttack63Answers: an answer that is not of this attempt, of another provider, or
// of another browser, logs nobody in, and its code is not redeemed.
func TestAttack63Answers(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *hostile, a *Attempt, q url.Values)
		meta   map[string]any
		want   string
	}{
		{"another state", func(_ *hostile, _ *Attempt, q url.Values) { q.Set("state", "x") }, nil, "another attempt"},
		{"no state", func(_ *hostile, _ *Attempt, q url.Values) { q.Del("state") }, nil, "another attempt"},
		{"an attempt without a state", func(_ *hostile, a *Attempt, q url.Values) { a.State = "s"; q.Set("state", "") }, nil, "another attempt"},
		{"two states", func(_ *hostile, _ *Attempt, q url.Values) { q.Add("state", "x") }, nil, "twice"},
		{"two codes", func(_ *hostile, _ *Attempt, q url.Values) { q.Add("code", "x") }, nil, "twice"},
		{"no code", func(_ *hostile, _ *Attempt, q url.Values) { q.Del("code") }, nil, "no code"},
		{"an error", func(_ *hostile, _ *Attempt, q url.Values) { q.Set("error", "access_denied\n\x1b[2J") }, nil, "access_denied"},
		{"another provider's attempt", func(_ *hostile, a *Attempt, _ url.Values) { a.Provider = "evil" }, nil, "another provider"},
		{"too late", func(_ *hostile, a *Attempt, _ url.Values) { a.Expires = time.Now().Add(-time.Second) }, nil, "longer"},
		{"mixed up", func(_ *hostile, _ *Attempt, q url.Values) { q.Set("iss", "https://evil.example.com") }, nil, "of issuer"},
		{"an issuer is promised", func(*hostile, *Attempt, url.Values) {}, map[string]any{"authorization_response_iss_parameter_supported": true}, "does not say whose"},
		{"an empty issuer", func(_ *hostile, _ *Attempt, q url.Values) { q.Set("iss", "") }, nil, "of issuer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			h.meta = c.meta
			_, err := h.login(h.provider(), func(a *Attempt, q url.Values) { c.change(h, a, q) })
			require.ErrorIs(t, err, proxy.ErrUnauthenticated)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\x1b")
			require.Zero(t, h.asked["/token"])
		})
	}
	h := newHostile(t)
	h.meta = map[string]any{"authorization_response_iss_parameter_supported": true}
	_, err := h.login(h.provider(), func(_ *Attempt, q url.Values) { q.Set("iss", h.URL) })
	require.NoError(t, err)
	require.NotEmpty(t, h.forms[0].Get("code_verifier"))
}

// TestAttack63Rotation: a new key is found at once, a withdrawn one is forgotten, and
// naming keys that do not exist does not lead to questions without end.
func TestAttack63Rotation(t *testing.T) {
	h := newHostile(t)
	now := time.Now()
	p := h.provider(func(c *Config) { c.Now = func() time.Time { return now } })
	_, err := h.login(p)
	require.NoError(t, err)

	h.set(func() {
		h.keys = []jose.JSONWebKey{{Key: &otherKey().PublicKey, KeyID: "two", Use: "sig", Algorithm: "ES256"}}
		h.sign = signer(t, jose.ES256, otherKey(), "two")
	})
	_, err = h.login(p)
	require.NoError(t, err, "the key is asked for when it is named")

	h.set(func() { h.sign = signer(t, jose.RS256, rsaKey(), "one") })
	_, err = h.login(p)
	require.Error(t, err, "the key before was withdrawn")

	before := h.asked["/keys"]
	for i := range 50 {
		h.set(func() { h.sign = signer(t, jose.RS256, rsaKey(), fmt.Sprint("made-up-", i)) })
		_, err = h.login(p)
		require.Error(t, err)
	}
	require.LessOrEqual(t, h.asked["/keys"]-before, askSpare)
	h.set(func() { h.sign = signer(t, jose.ES256, otherKey(), "two") })
	_, err = h.login(p)
	require.NoError(t, err, "a known key goes on to count")

	// A key that was withdrawn without another in its place is forgotten in time.
	h.set(func() { h.keys = nil })
	_, err = h.login(p)
	require.NoError(t, err)
	now = now.Add(metadataAge)
	_, err = h.login(p)
	require.Error(t, err)
}

// TestAttack63Provider: what calls itself the provider, and answers what no provider
// should.
func TestAttack63Provider(t *testing.T) {
	for _, c := range []struct {
		name string
		meta map[string]any
		want string
	}{
		{"another issuer", map[string]any{"issuer": "https://evil.example.com"}, "did not match"},
		{"tokens in clear", map[string]any{"token_endpoint": "http://example.com/token"}, "not encrypted"},
		{"keys in clear", map[string]any{"jwks_uri": "http://example.com/keys"}, "not encrypted"},
		{"keys from a file", map[string]any{"jwks_uri": "file:///etc/passwd"}, "not a URL"},
		{"no PKCE", map[string]any{"code_challenge_methods_supported": []string{"plain"}}, "PKCE"},
		{"an endless answer", map[string]any{"x": strings.Repeat("x", maxAnswer)}, "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			h.meta = c.meta
			require.ErrorContains(t, h.provider().Check(t.Context()), c.want)
		})
	}
	t.Run("a redirect", func(t *testing.T) {
		h := newHostile(t)
		h.token = func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return true
		}
		_, err := h.login(h.provider())
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		require.Zero(t, h.asked["/elsewhere"])
	})
	t.Run("an error with a secret", func(t *testing.T) {
		h := newHostile(t)
		h.token = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `access_token=canary`)
			return true
		}
		_, err := h.login(h.provider())
		require.ErrorContains(t, err, "500")
		require.NotContains(t, err.Error(), "canary")
	})
	t.Run("user info about another", func(t *testing.T) {
		h := newHostile(t)
		h.without, h.userinfo = []string{"groups"}, map[string]any{"sub": "s-2", "groups": []string{"admins"}}
		_, err := h.login(h.provider())
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		require.ErrorContains(t, err, "another subject")
	})
	t.Run("down", func(t *testing.T) {
		h := newHostile(t)
		p := h.provider()
		h.Close()
		_, _, err := p.Begin(t.Context(), BeginOptions{})
		require.ErrorContains(t, err, "cannot be asked")
	})
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"no name", Config{Issuer: "https://a", ClientID: "x"}, "name"},
		{"the name of local users", Config{Name: "local", Issuer: "https://a", ClientID: "x"}, "own"},
		{"a name with a colon", Config{Name: "a:b", Issuer: "https://a", ClientID: "x"}, "name"},
		{"http", Config{Name: "a", Issuer: "http://a.example.com", ClientID: "x"}, "https"},
		{"a host that begins like this machine's", Config{Name: "a", Issuer: "http://127.0.0.1.example.com", ClientID: "x"}, "https"},
		{"by e-mail", Config{Name: "a", Issuer: "https://a", ClientID: "x", SubjectClaim: "email"}, "identify"},
		{"a symmetric algorithm", Config{Name: "a", Issuer: "https://a", ClientID: "x", Algorithms: []string{"HS256"}}, "algorithm"},
		{"no algorithm", Config{Name: "a", Issuer: "https://a", ClientID: "x", Algorithms: []string{"none"}}, "algorithm"},
		{"clocks", Config{Name: "a", Issuer: "https://a", ClientID: "x", Skew: time.Hour}, "clocks"},
		{"a parameter of the gateway's own", Config{Name: "a", Issuer: "https://a", ClientID: "x", Parameters: map[string]string{"redirect_uri": "https://evil"}}, "own"},
		{"a grant with a prefix", Config{Name: "a", Issuer: "https://a", ClientID: "x", Groups: Groups{Grants: map[string][]string{"x": {"scim:y"}}}}, "prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.config)
			require.ErrorContains(t, err, c.want)
		})
	}
}
