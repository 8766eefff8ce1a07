package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// hostile is a provider that does what a test wants, wrong or right.
type hostile struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	keys     []jose.JSONWebKey // public, as the set shows them
	sign     func(claims map[string]any) string
	claims   map[string]any // of ID tokens, over the usual ones
	without  []string       // claims that are left out
	meta     map[string]any // of the discovery, over the usual ones
	userinfo map[string]any // nil: it has no userinfo
	token    func(w http.ResponseWriter, r *http.Request) bool
	nonce    string
	asked    map[string]int // by path
	forms    []url.Values   // that the token endpoint was sent
	proofs   []string       // how clients have proven themselves there
	graph    http.HandlerFunc
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var otherKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// signer signs with any key and header.
func signer(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string) func(map[string]any) string {
	return func(claims map[string]any) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
		require.NoError(t, err)
		b, err := json.Marshal(claims)
		require.NoError(t, err)
		signed, err := s.Sign(b)
		require.NoError(t, err)
		text, err := signed.CompactSerialize()
		require.NoError(t, err)
		return text
	}
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{t: t, asked: make(map[string]int), claims: make(map[string]any), meta: make(map[string]any)}
	h.keys = []jose.JSONWebKey{{Key: &rsaKey().PublicKey, KeyID: "one", Use: "sig", Algorithm: "RS256"}}
	h.sign = signer(t, jose.RS256, rsaKey(), "one")
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// set changes h while requests may run.
func (h *hostile) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[r.URL.Path]++
	reply := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		m := map[string]any{
			"issuer": h.URL, "authorization_endpoint": h.URL + "/authorize", "token_endpoint": h.URL + "/token", "jwks_uri": h.URL + "/keys",
			"device_authorization_endpoint": h.URL + "/device", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
			"end_session_endpoint": h.URL + "/end?x=1",
		}
		if h.userinfo != nil {
			m["userinfo_endpoint"] = h.URL + "/userinfo"
		}
		maps.Copy(m, h.meta)
		reply(m)
	case "/keys":
		reply(map[string]any{"keys": h.keys})
	case "/token":
		_ = r.ParseForm()
		h.forms = append(h.forms, r.PostForm)
		switch user, secret, basic := r.BasicAuth(); {
		case basic && user == "gateway" && secret == "s3cret" && !r.PostForm.Has("client_secret"):
			h.proofs = append(h.proofs, "client_secret_basic")
		case !basic && r.PostForm.Get("client_secret") == "s3cret":
			h.proofs = append(h.proofs, "client_secret_post")
		case !basic && r.PostForm.Get("client_id") == "gateway":
			h.proofs = append(h.proofs, "none")
		default:
			h.proofs = append(h.proofs, "wrong")
		}
		if h.token != nil && h.token(w, r) {
			return
		}
		reply(map[string]any{"access_token": "access", "token_type": "Bearer", "refresh_token": "refresh", "id_token": h.sign(h.all())})
	case "/userinfo":
		reply(h.userinfo)
	case "/device":
		reply(map[string]any{"device_code": "device", "user_code": "ABCD-EFGH", "verification_uri": h.URL + "/activate", "expires_in": 300, "interval": 5})
	default:
		if h.graph != nil {
			h.graph(w, r)
			return
		}
		http.NotFound(w, r)
	}
}

// all are the claims of an ID token.
func (h *hostile) all() map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": h.URL, "sub": "s-1", "aud": "gateway", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": h.nonce,
		"preferred_username": "alice", "email": "alice@example.com", "groups": []string{"dba"},
	}
	maps.Copy(c, h.claims)
	for _, name := range h.without {
		delete(c, name)
	}
	return c
}

func (h *hostile) provider(change ...func(*Config)) *Provider {
	c := Config{
		Name: "corp", Issuer: h.URL, ClientID: "gateway", ClientSecret: proxy.NewSecret("s3cret"), RedirectURL: "https://gw.example.com/corp/callback",
		Groups: Groups{Claim: "groups"},
	}
	for _, f := range change {
		f(&c)
	}
	p, err := New(c)
	require.NoError(h.t, err)
	return p
}

// login begins a login and ends it with an answer of the provider's, which change may
// spoil.
func (h *hostile) login(p *Provider, change ...func(*Attempt, url.Values)) (*Login, error) {
	at, a, err := p.Begin(h.t.Context(), BeginOptions{})
	require.NoError(h.t, err)
	u, err := url.Parse(at)
	require.NoError(h.t, err)
	h.set(func() { h.nonce = u.Query().Get("nonce") })
	answer := url.Values{"code": {"c0de"}, "state": {u.Query().Get("state")}}
	for _, f := range change {
		f(a, answer)
	}
	return p.Finish(h.t.Context(), a, answer)
}

// unsigned is a token of algorithm none.
func unsigned(t *testing.T, claims map[string]any) string {
	b, err := json.Marshal(claims)
	require.NoError(t, err)
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc(b) + "."
}
