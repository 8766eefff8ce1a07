package vault

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/secretstest"
)

func given(value string) secrets.Input {
	return func(context.Context) (proxy.Secret, error) { return proxy.NewSecret(value), nil }
}

func open(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func resolve(t *testing.T, p *Provider, text string, u secrets.Use) (*secrets.Value, error) {
	t.Helper()
	ref, err := secrets.Parse(text)
	require.NoError(t, err)
	return p.Resolve(t.Context(), ref, u)
}

func TestSuite(t *testing.T) {
	for name, path := range map[string]string{"KV 2": "secret/app", "KV 2 by its own path": "secret/data/app", "KV 1": "old/app"} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) *secretstest.Rig {
				f := &fake{token: "hvs.x", kv: map[string]string{}}
				front := secretstest.NewFront(t, f)
				return &secretstest.Rig{
					Scheme: "vault", Provider: open(t, Config{Address: front.URL, Login: &Token{From: given("hvs.x")}}), Front: front,
					Ref: "vault:" + path + "#p", Missing: "vault:" + path + "-none#p", WrongType: "vault:" + path + "#object",
					Set: func(value string) {
						text, err := json.Marshal(map[string]any{"p": value, "object": map[string]int{"x": 1}})
						require.NoError(t, err)
						f.set(func() { f.kv["app"] = string(text) })
					}, Empties: true, Large: true,
				}
			})
		})
	}
}

func TestLogins(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("a.jwt.b\n"), 0o600))
	for name, c := range map[string]struct {
		login Login
		want  string
	}{
		"approle":         {&AppRole{RoleID: "r", SecretID: given("s3")}, `auth/approle/login {"role_id":"r","secret_id":"s3"}`},
		"approle, bound":  {&AppRole{Mount: "team/roles", RoleID: "r", SecretID: given("wrapping"), Wrapped: true}, `auth/team/roles/login {"role_id":"r","secret_id":"unwrapped-secret"}`},
		"service account": {&Kubernetes{Role: "gw", Token: secrets.FromFile(token)}, `auth/kubernetes/login {"jwt":"a.jwt.b","role":"gw"}`},
		"JWT":             {&JWT{Mount: "ci", Role: "gw", Token: secrets.FromFile(token)}, `auth/ci/login {"jwt":"a.jwt.b","role":"gw"}`},
		"certificate":     {&Certificate{Role: "gw"}, `auth/cert/login {"name":"gw"}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{token: "hvs.1", kv: map[string]string{"app": `{"p":"hunter2"}`}}
			s := httptest.NewServer(f)
			defer s.Close()
			p := open(t, Config{Address: s.URL, Namespace: "team/a", Login: c.login})
			v, err := resolve(t, p, "vault:secret/app#p", secrets.Use{})
			require.NoError(t, err)
			require.Equal(t, "hunter2", v.Password.Reveal())
			require.Equal(t, "7", v.Version)
			require.Equal(t, "team/a", f.header.Get("X-Vault-Namespace"))
			f.set(func() { f.token = "hvs.2" }) // the first one was revoked
			_, err = resolve(t, p, "vault:secret/app#p", secrets.Use{})
			require.NoError(t, err)
			require.Equal(t, []string{c.want, c.want}, f.logins, "it logs in again when its token is not accepted, with what it has unwrapped")
			require.LessOrEqual(t, f.unwraps, 1)
			for range 3 {
				_, err = resolve(t, p, "vault:secret/none#p", secrets.Use{})
				require.ErrorIs(t, err, secrets.ErrNotFound)
			}
			require.Len(t, f.logins, 2)
		})
	}
}

// The gateway's own token is renewed while nobody asks for anything.
func TestOwnTokenIsRenewed(t *testing.T) {
	f := &fake{token: "hvs.1", ttl: 1, kv: map[string]string{"app": `{"p":"hunter2"}`}}
	s := httptest.NewServer(f)
	defer s.Close()
	p := open(t, Config{Address: s.URL, Login: &AppRole{RoleID: "r", SecretID: given("s3")}})
	_, err := resolve(t, p, "vault:secret/app#p", secrets.Use{})
	require.NoError(t, err)
	until(t, "a renewal", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.renewals > 0 })
	require.Len(t, f.logins, 1)
	p.Close()
	_, err = resolve(t, p, "vault:secret/app#p", secrets.Use{})
	require.ErrorContains(t, err, "closed")
}

func TestRefused(t *testing.T) {
	f := &fake{token: "hvs.1", kv: map[string]string{"app": `{"p":"hunter2"}`}}
	s := httptest.NewServer(f)
	defer s.Close()
	p := open(t, Config{Address: s.URL, Login: &Token{From: given("hvs.1")}})
	for _, ref := range []string{
		"vault:secret/../sys/seal#p", "vault:secret/./app#p", "vault:secret//app#p", "vault:/secret/app#p", "vault:secret/app/#p", "vault:secret/*#p",
		"vault:secret/app", "vault:secret/app#p?version=0", "vault:secret/app#p?version=x", "vault:secret/app#p?version=-1", "vault:secret/app#none",
		"vault:old/app#p?version=1", "vault:secret/creds/ro", "vault:secret/sign/ro", "vault:secret/app%3Fversion=1#p", "vault:secret/%252e%252e/app#p",
	} {
		_, err := resolve(t, p, ref, secrets.Use{})
		require.Error(t, err, ref)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, c := range []Config{
		{},
		{Address: "http://vault.example.com:8200", Login: &Token{}},
		{Address: "https://u:p@vault.example.com", Login: &Token{}},
		{Address: "https://vault.example.com"},
		{Address: "vault.example.com:8200", Login: &Token{}},
	} {
		_, err := New(c)
		require.Error(t, err)
	}
	wrong := open(t, Config{Address: s.URL, Login: &Token{From: given("hvs.wrong")}})
	_, err := resolve(t, wrong, "vault:secret/app#p", secrets.Use{})
	require.ErrorIs(t, err, secrets.ErrDenied)
	require.NotContains(t, err.Error(), "hvs.wrong")
	used := open(t, Config{Address: s.URL, Login: &AppRole{RoleID: "r", SecretID: given("used"), Wrapped: true}})
	_, err = resolve(t, used, "vault:secret/app#p", secrets.Use{})
	require.ErrorContains(t, err, "good for one use")
	require.NotContains(t, err.Error(), "used\"")
}
