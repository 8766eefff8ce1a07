package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

// cloud is what the gateway asks of Key Vault, Entra ID and the metadata service, as their references describe it.
type cloud struct {
	t       testing.TB
	mu      sync.Mutex
	token   string
	granted int
	value   string
	expires int64
}

func (c *cloud) set(do func()) { c.mu.Lock(); defer c.mu.Unlock(); do() }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch {
	case r.URL.Path == "/metadata/identity/oauth2/token":
		q := r.URL.Query()
		if r.Header.Get("Metadata") != "true" || q.Get("api-version") == "" || q.Get("resource") != "https://0.0.1" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.granted++
		answer(map[string]string{"access_token": c.token, "expires_in": "86399", "token_type": "Bearer"})
	case r.URL.Path == "/my-tenant/oauth2/v2.0/token":
		require.NoError(c.t, r.ParseForm())
		f := r.PostForm
		by := f.Get("client_secret") == "client-secret" || f.Get("client_assertion") == "pod-token" && strings.HasSuffix(f.Get("client_assertion_type"), ":jwt-bearer")
		if !by || f.Get("client_id") != "app" || f.Get("grant_type") != "client_credentials" || f.Get("scope") != "https://0.0.1/.default" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.granted++
		answer(map[string]any{"access_token": c.token, "expires_in": 3599, "token_type": "Bearer"})
	case r.Header.Get("Authorization") != "Bearer "+c.token:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Query().Get("api-version") != "7.4":
		w.WriteHeader(http.StatusBadRequest)
	case r.URL.Path == "/secrets/orders/" || r.URL.Path == "/secrets/orders/v1":
		attributes := map[string]any{"enabled": true}
		if c.expires != 0 {
			attributes["exp"] = c.expires
		}
		answer(map[string]any{"value": c.value, "id": "https://v.vault.azure.net/secrets/orders/v1", "attributes": attributes})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func given(text string) secrets.Input {
	return func(context.Context) (proxy.Secret, error) { return proxy.NewSecret(text), nil }
}

func TestSuite(t *testing.T) {
	for name, login := range map[string]func(url string) Login{
		"managed identity": func(url string) Login { return &ManagedIdentity{metadata: url} },
		"client": func(url string) Login {
			return &Client{Tenant: "my-tenant", ID: "app", Secret: given("client-secret"), authority: url}
		},
		"workload": func(url string) Login {
			return &Workload{Tenant: "my-tenant", ID: "app", Token: given("pod-token"), authority: url}
		},
	} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				c := &cloud{t: t, token: "one"}
				front := secretstest.NewFront(t, c)
				p, err := New(Config{Vault: front.URL, Login: login(front.URL)})
				require.NoError(t, err)
				return &secretstest.Rig{
					Scheme: "azure", Provider: p, Front: front, Ref: "azure:orders", Missing: "azure:none", Empties: true, Large: true,
					Set: func(value string) { c.set(func() { c.value = value }) },
				}
			})
		})
	}
}

// One access token is used until it ends; one that is not accepted any more is asked for once.
func TestTokens(t *testing.T) {
	c := &cloud{t: t, token: "one", value: `{"password":"hunter2\n"}`}
	front := secretstest.NewFront(t, c)
	p, err := New(Config{Vault: front.URL, Login: &ManagedIdentity{metadata: front.URL}})
	require.NoError(t, err)
	get := func(text string) (*secrets.Value, error) {
		ref, err := secrets.Parse(text)
		require.NoError(t, err)
		return p.Resolve(t.Context(), ref, secrets.Use{})
	}
	for range 3 {
		v, err := get("azure:orders#password?version=v1")
		require.NoError(t, err)
		require.Equal(t, []any{"hunter2\n", "v1", true}, []any{v.Plain().Reveal(), v.Version, v.Shared})
	}
	require.Equal(t, 1, c.granted)
	c.set(func() { c.token = "two" })
	_, err = get("azure:orders")
	require.NoError(t, err)
	require.Equal(t, 2, c.granted)
	end := time.Now().Add(time.Hour).Unix()
	c.set(func() { c.expires = end })
	v, err := get("azure:orders")
	require.NoError(t, err)
	require.Equal(t, end, v.Expires.Unix())
	for _, ref := range []string{"azure:../x", "azure:a/b", "azure:orders?version=../x", "azure:a%3Fb"} {
		_, err := get(ref)
		require.ErrorContains(t, err, "not the name", ref)
	}
}

func TestSettings(t *testing.T) {
	good := []*Settings{
		{Vault: "https://v"},
		{Vault: "https://v", Identity: "id"},
		{Vault: "https://v", Client: &ClientSettings{Tenant: "t", ID: "i", Secret: "env:S"}},
		{Vault: "https://v", Client: &ClientSettings{Tenant: "t", ID: "i", Token: "file:t"}},
	}
	for _, s := range good {
		require.NoError(t, s.Validate())
		_, err := Kind().Open(s, secrets.Host{})
		require.NoError(t, err)
	}
	for _, s := range []*Settings{
		{},
		{Vault: "http://v"},
		{Vault: "https://v", Identity: "id", Client: &ClientSettings{Tenant: "t", ID: "i", Secret: "env:S"}},
		{Vault: "https://v", Client: &ClientSettings{ID: "i", Secret: "env:S"}},
		{Vault: "https://v", Client: &ClientSettings{Tenant: "t", ID: "i"}},
		{Vault: "https://v", Client: &ClientSettings{Tenant: "t", ID: "i", Secret: "env:S", Token: "env:T"}},
		{Vault: "https://v", Client: &ClientSettings{Tenant: "t", ID: "i", Secret: "hunter2"}},
	} {
		require.Error(t, s.Validate())
	}
}
