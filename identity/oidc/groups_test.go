package oidc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func TestGroups(t *testing.T) {
	graph := func(pages ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer access" || r.URL.Path != "/v1.0/me/transitiveMemberOf/microsoft.graph.group" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			var n int
			_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
			fmt.Fprintf(w, pages[n], "http://"+r.Host)
		}
	}
	overage := map[string]any{
		"_claim_names":   map[string]any{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.windows.net/t/users/u/getMemberObjects"}},
	}
	many := make([]string, maxGroups+1)
	for i := range many {
		many[i] = fmt.Sprint("g", i)
	}
	for _, c := range []struct {
		name     string
		groups   Groups
		claims   map[string]any
		without  bool // the token's claim groups
		userinfo map[string]any
		graph    http.HandlerFunc
		want     []string
		err      string
	}{
		{name: "plain", groups: Groups{Claim: "groups"}, want: []string{"corp:dba"}},
		{name: "one name", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": "dba"}, want: []string{"corp:dba"}},
		{name: "twice", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": []string{"b", "a", "b"}}, want: []string{"corp:a", "corp:b"}},
		{name: "none", groups: Groups{Claim: "groups"}, without: true, want: []string{}},
		{name: "null", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": nil}, want: []string{}},
		{name: "none, but required", groups: Groups{Claim: "groups", Required: true}, without: true, err: "no claim"},
		{name: "not asked for", want: nil},
		{name: "namespaced", groups: Groups{Claim: "https://example.com/groups"}, claims: map[string]any{"https://example.com/groups": []string{"x"}}, want: []string{"corp:x"}},
		{name: "nested", groups: Groups{Claim: "realm_access.roles"}, claims: map[string]any{"realm_access": map[string]any{"roles": []string{"x"}}}, want: []string{"corp:x"}},
		{name: "keys of an object", groups: Groups{Claim: "roles"}, claims: map[string]any{"roles": map[string]any{"admin": map[string]any{"org": "o"}}}, want: []string{"corp:admin"}},
		{name: "objects", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": []any{map[string]any{"id": "1", "name": "x"}}}, want: []string{"corp:1"}},
		{name: "a number", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": 7}, err: "neither"},
		{name: "a list of numbers", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": []any{7}}, err: "neither"},
		{name: "a control character", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": []string{"dba\nadmin"}}, err: "control"},
		{name: "too many", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": many}, err: "more than"},
		{name: "the name of a local group", groups: Groups{Claim: "groups"}, claims: map[string]any{"groups": []string{"admin", "local:admin", "scim:admin"}}, want: []string{"corp:admin", "corp:local:admin", "corp:scim:admin"}},
		{name: "better names", groups: Groups{Claim: "groups", Names: map[string]string{"4f1c": "dba"}}, claims: map[string]any{"groups": []string{"4f1c", "5a"}}, want: []string{"corp:5a", "corp:dba"}},
		{name: "a grant", groups: Groups{Claim: "groups", Grants: map[string][]string{"4f1c": {"admin"}}}, claims: map[string]any{"groups": []string{"4f1c"}}, want: []string{"admin", "corp:4f1c"}},
		{name: "a grant goes by the provider's name", groups: Groups{Claim: "groups", Names: map[string]string{"4f1c": "dba"}, Grants: map[string][]string{"dba": {"admin"}}}, claims: map[string]any{"groups": []string{"4f1c"}}, want: []string{"corp:dba"}},
		{name: "in user info", groups: Groups{Claim: "groups"}, without: true, userinfo: map[string]any{"sub": "s-1", "groups": []string{"x"}}, want: []string{"corp:x"}},
		{name: "in both: the token counts", groups: Groups{Claim: "groups"}, userinfo: map[string]any{"sub": "s-1", "groups": []string{"x"}}, want: []string{"corp:dba"}},
		{name: "overage, no graph", groups: Groups{Claim: "groups"}, without: true, claims: overage, err: "more groups than"},
		{name: "overage", groups: Groups{Claim: "groups", Graph: "graph"}, without: true, claims: overage, graph: graph(`{"value":[{"id":"a"}],"@odata.nextLink":"%s/v1.0/me/transitiveMemberOf/microsoft.graph.group?page=1"}`, `{"value":[{"id":"b"}]}<!-- %s -->`), want: []string{"corp:a", "corp:b"}},
		{name: "overage, of the implicit flow", groups: Groups{Claim: "groups", Graph: "graph"}, without: true, claims: map[string]any{"hasgroups": true}, graph: graph(`{"value":[{"id":"a"}]}<!-- %s -->`), want: []string{"corp:a"}},
		{name: "overage, the next page is elsewhere", groups: Groups{Claim: "groups", Graph: "graph"}, without: true, claims: overage, graph: graph(`{"value":[{"id":"a"}],"@odata.nextLink":"https://evil.example.com/?%.0s"}`), err: "elsewhere"},
		{name: "overage, endless", groups: Groups{Claim: "groups", Graph: "graph"}, without: true, claims: overage, graph: graph(`{"value":[{"id":"a"}],"@odata.nextLink":"%s/v1.0/me/transitiveMemberOf/microsoft.graph.group?page=0"}`), err: "more than"},
		{name: "overage, forbidden", groups: Groups{Claim: "groups", Graph: "graph"}, without: true, claims: overage, graph: http.NotFound, err: "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			if c.without {
				h.without = []string{"groups"}
			}
			h.claims, h.userinfo, h.graph = c.claims, c.userinfo, c.graph
			if c.groups.Graph != "" {
				c.groups.Graph = h.URL + "/v1.0"
			}
			l, err := h.login(h.provider(func(config *Config) { config.Groups = c.groups }))
			if c.err != "" {
				require.ErrorIs(t, err, proxy.ErrUnauthenticated)
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, l.Identity.Groups)
		})
	}
}

// TestIdentity: who somebody is comes from the issuer and the subject, whatever else the
// token says.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  func(*Config)
		claims  map[string]any
		subject string
		called  string
		kept    map[string]string
	}{
		{"plain", nil, nil, "corp/s-1", "alice", map[string]string{"email": "alice@example.com"}},
		{"a subject with separators", nil, map[string]any{"sub": "auth0|a+b c/d~e"}, "corp/auth0%7Ca%2Bb%20c%2Fd~e", "alice", nil},
		{"another's e-mail address", nil, map[string]any{"email": "root@example.com", "email_verified": false}, "corp/s-1", "alice", map[string]string{"email": ""}},
		{"an address that is said to be unproven by a text", nil, map[string]any{"email_verified": "false"}, "corp/s-1", "alice", map[string]string{"email": ""}},
		{"a name with a line", nil, map[string]any{"preferred_username": "alice\nroot"}, "corp/s-1", "", nil},
		{"by object", func(c *Config) { c.SubjectClaim = "oid" }, map[string]any{"oid": "o-1"}, "corp/o-1", "alice", map[string]string{"sub": "s-1"}},
		{"claims", func(c *Config) { c.Claims = []string{"team", "level", "email", "sub", "iss"} }, map[string]any{"team": []string{"a", "b"}, "level": 3, "amr": []string{"pwd", "mfa"}}, "corp/s-1", "alice", map[string]string{"team": "a b", "level": "3", "amr": "pwd mfa", "sub": "s-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			h.claims = c.claims
			l, err := h.login(h.provider(func(config *Config) {
				if c.config != nil {
					c.config(config)
				}
			}))
			require.NoError(t, err)
			require.Equal(t, c.subject, l.Identity.Subject)
			require.Equal(t, c.called, l.Identity.Name)
			require.Equal(t, h.URL, l.Identity.Claims["iss"])
			for name, v := range c.kept {
				require.Equal(t, v, l.Identity.Claims[name], name)
			}
			b, err := json.Marshal(l)
			require.NoError(t, err)
			require.NotContains(t, string(b), "refresh\"", "secrets do not print")
		})
	}
}

// TestRequire: only whose token has the claim is let in, and parameters are added.
func TestRequire(t *testing.T) {
	h := newHostile(t)
	p := h.provider(func(c *Config) {
		c.Require, c.Parameters = map[string]string{"hd": "example.com"}, map[string]string{"access_type": "offline"}
	})
	for value, want := range map[any]bool{"example.com": true, "evil.example.com": false, "": false, nil: false, true: false} {
		h.set(func() { h.claims["hd"] = value })
		_, err := h.login(p)
		require.Equal(t, want, err == nil, "%v: %v", value, err)
	}
	at, _, err := p.Begin(t.Context(), BeginOptions{})
	require.NoError(t, err)
	require.Contains(t, at, "access_type=offline")
}

// TestClientProof: the client proves itself as the provider wants, at once: a code that
// was redeemed in the wrong way is spent.
func TestClientProof(t *testing.T) {
	for _, c := range []struct {
		name   string
		meta   map[string]any
		secret string
		want   string
	}{
		{"nothing said", nil, "s3cret", "client_secret_basic"},
		{"both", map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"}}, "s3cret", "client_secret_basic"},
		{"in the form", map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}, "s3cret", "client_secret_post"},
		{"a public client", nil, "", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			h.meta = c.meta
			p := h.provider(func(config *Config) { config.ClientSecret = proxy.NewSecret(c.secret) })
			l, err := h.login(p)
			require.NoError(t, err)
			h.set(func() { h.without = []string{"nonce"} })
			_, err = p.Refresh(t.Context(), l)
			require.NoError(t, err)
			require.Equal(t, []string{c.want, c.want}, h.proofs)
		})
	}
}
