package google

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// cloud is what the gateway asks of Secret Manager, OAuth and the metadata service, as their references describe it.
type cloud struct {
	t      testing.TB
	url    string
	public *rsa.PublicKey

	mu      sync.Mutex
	value   []byte
	damaged bool
	scopes  []string
}

func (c *cloud) set(do func()) { c.mu.Lock(); defer c.mu.Unlock(); do() }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	grant := func(scope string) {
		c.scopes = append(c.scopes, scope)
		answer(map[string]any{"access_token": "token for " + scope, "expires_in": 3599, "token_type": "Bearer"})
	}
	switch {
	case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token":
		if r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		grant(r.URL.Query().Get("scopes"))
	case r.URL.Path == "/token":
		require.NoError(c.t, r.ParseForm())
		scope, ok := c.verify(r.PostForm.Get("assertion"))
		if !ok || r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		grant(scope)
	case r.Header.Get("Authorization") != "Bearer token for "+cloudScope:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/v1/projects/my-project/secrets/orders/versions/latest:access" || r.URL.Path == "/v1/projects/my-project/secrets/orders/versions/7:access":
		sum := strconv.FormatUint(uint64(crc32.Checksum(c.value, crc32.MakeTable(crc32.Castagnoli))), 10)
		sent := c.value
		if c.damaged {
			sent = append([]byte("x"), sent...)
		}
		answer(map[string]any{"name": "projects/1234/secrets/orders/versions/7", "payload": map[string]any{"data": sent, "dataCrc32c": sum}})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// verify checks a signed question as the service does, and returns its scope.
func (c *cloud) verify(assertion string) (scope string, ok bool) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "", false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(c.t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(c.public, crypto.SHA256, sum[:], signature) != nil {
		return "", false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(c.t, err)
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	require.NoError(c.t, json.Unmarshal(text, &claims))
	now := time.Now().Unix()
	return claims.Scope, claims.Iss == "gw@my-project.iam.gserviceaccount.com" && claims.Aud == c.url+"/token" && claims.Iat <= now && claims.Exp > now && claims.Exp <= claims.Iat+3600
}

func given(text string) secrets.Input {
	return func(context.Context) (proxy.Secret, error) { return proxy.NewSecret(text), nil }
}

func openCloud(t *testing.T, account bool) (*cloud, *secretstest.Front, *Provider) {
	t.Helper()
	c := &cloud{t: t}
	front := secretstest.NewFront(t, c)
	c.url = front.URL
	var login Login = &Machine{metadata: front.URL}
	if account {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(private)
		require.NoError(t, err)
		c.public = &private.PublicKey
		text, err := json.Marshal(map[string]string{
			"type": "service_account", "client_email": "gw@my-project.iam.gserviceaccount.com", "private_key_id": "k1",
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": front.URL + "/token",
		})
		require.NoError(t, err)
		login = &ServiceAccount{Key: given(string(text))}
	}
	p, err := New(Config{Address: front.URL, Login: login})
	require.NoError(t, err)
	return c, front, p
}

func TestSuite(t *testing.T) {
	for name, account := range map[string]bool{"machine": false, "service account": true} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				c, front, p := openCloud(t, account)
				return &secretstest.Rig{
					Scheme: "google", Provider: p, Front: front, Ref: "google:my-project/orders", Missing: "google:my-project/none", Empties: true, Large: true,
					Set: func(value string) { c.set(func() { c.value = []byte(value) }) },
				}
			})
		})
	}
}

func TestReferences(t *testing.T) {
	c, _, p := openCloud(t, false)
	get := func(text string) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, secrets.Use{})
	}
	c.set(func() { c.value = []byte(`{"u":"app","p":"hunter2"}`) })
	v, err := get("google:my-project/orders#p?user=u&version=7")
	require.NoError(t, err)
	require.Equal(t, []any{"hunter2", "app", "7"}, []any{v.Plain().Reveal(), v.Username, v.Version})
	c.set(func() { c.damaged = true })
	_, err = get("google:my-project/orders")
	require.ErrorContains(t, err, "checksum")
	c.set(func() { c.damaged, c.value = false, []byte{0xff} })
	_, err = get("google:my-project/orders")
	require.ErrorIs(t, err, secrets.ErrType)

	login, err := get("google:sql-login")
	require.NoError(t, err)
	require.Equal(t, "token for "+sqlScope, login.Plain().Reveal())
	require.Equal(t, "", login.Username)
	require.WithinDuration(t, time.Now().Add(3599*time.Second), login.Expires, 10*time.Second)
	require.Equal(t, []string{cloudScope, sqlScope}, c.scopes, "each token can do one thing, and is asked for once")
	for _, ref := range []string{"google:orders", "google:my-project/../x", "google:my..project/x", "google:my-project/a/b", "google:my-project/orders?version=7:destroy", "google:My/x"} {
		_, err := get(ref)
		require.ErrorContains(t, err, "not one of Secret Manager", ref)
	}
	_, err = get("google:sql-login#x")
	require.ErrorContains(t, err, "no key")
}

// What is not a service account's key is told without its text.
func TestServiceAccountThatIsNone(t *testing.T) {
	for _, text := range []string{
		"hunter2", `{"type":"authorized_user","client_email":"hunter2"}`, `{"type":"service_account","client_email":"x","token_uri":"http://evil.example.com","private_key":"hunter2"}`,
		`{"type":"service_account","client_email":"x","token_uri":"https://oauth2.googleapis.com/token","private_key":"hunter2"}`,
		`{"type":"service_account","client_email":"x","token_uri":"https://oauth2.googleapis.com/token","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}`,
	} {
		_, _, err := (&ServiceAccount{Key: given(text)}).tokens(sqlScope)(t.Context())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestSettings(t *testing.T) {
	for _, s := range []*Settings{{}, {Key: "file:key.json"}, {Address: "https://secretmanager.europe-west3.rep.googleapis.com"}} {
		require.NoError(t, s.Validate())
		_, err := Kind().Open(s, secrets.Host{})
		require.NoError(t, err)
	}
	require.Error(t, (&Settings{Key: "hunter2"}).Validate())
	require.Error(t, (&Settings{Address: "http://x"}).Validate())
}
