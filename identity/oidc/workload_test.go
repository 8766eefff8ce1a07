package oidc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestWorkload: a job's token is the service whose claims it has, and no other's.
func TestWorkload(t *testing.T) {
	deploy := Workload{
		Service: "deploy", Audience: "https://gw.example.com", Groups: []string{"deployers"},
		Claims: map[string]string{"repository": "acme/shop", "ref": "refs/heads/*"},
	}
	for _, c := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"right", nil, ""},
		{"another repository", map[string]any{"repository": "acme/other"}, "repository"},
		{"a repository that begins like it", map[string]any{"repository": "acme/shop-fork"}, "repository"},
		{"a tag", map[string]any{"ref": "refs/tags/v1"}, "ref"},
		{"no repository", map[string]any{"repository": nil}, "repository"},
		{"a list", map[string]any{"repository": []string{"acme/shop"}}, "repository"},
		{"for the client", map[string]any{"aud": "gateway"}, "audience"},
		{"for another", map[string]any{"aud": "https://other.example.com"}, "audience"},
		{"for several", map[string]any{"aud": []string{"https://gw.example.com", "x"}}, "several"},
		{"old", map[string]any{"iat": time.Now().Add(-time.Hour).Unix()}, "ago"},
		{"expired", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			p := h.provider(func(c *Config) { c.ClientID = "" })
			h.claims = map[string]any{"aud": "https://gw.example.com", "repository": "acme/shop", "ref": "refs/heads/main"}
			for k, v := range c.claims {
				h.claims[k] = v
			}
			id, err := p.Workload(t.Context(), h.sign(h.all()), []Workload{{Service: "other", Audience: "https://gw.example.com", Claims: map[string]string{"repository": "acme/none"}}, deploy})
			if c.want != "" {
				require.ErrorIs(t, err, proxy.ErrUnauthenticated)
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, proxy.Service, id.Kind)
			require.Equal(t, "deploy", id.Subject)
			require.Equal(t, []string{"deployers"}, id.Groups)
			require.Equal(t, "acme/shop", id.Claims["repository"])
			require.WithinDuration(t, time.Now().Add(time.Hour), id.Expires, time.Minute)
		})
	}
	for _, w := range []Workload{
		{Audience: "x", Claims: map[string]string{"a": "b"}},
		{Service: "x", Claims: map[string]string{"a": "b"}},
		{Service: "x", Audience: "x"},
		{Service: "x", Audience: "x", Claims: map[string]string{"repository": "*"}},
		{Service: "x", Audience: "x", Claims: map[string]string{"iss": "https://token.actions.githubusercontent.com"}},
	} {
		require.Error(t, w.Check())
	}
	h := newHostile(t)
	_, err := h.provider().Workload(t.Context(), h.sign(h.all()), []Workload{{Service: "x", Audience: "gateway", Claims: map[string]string{"sub": "s-1"}}})
	require.ErrorContains(t, err, "client ID")
}
