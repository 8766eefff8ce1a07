package tokens

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

const here = "https://gw.example.com/mcp"

// agent makes the token of an agent of bob's.
func (w *world) agent(t *testing.T, with func(*Token)) (Token, proxy.Secret) {
	token := Token{Label: "agent", Subject: "bob", User: "bob", Agent: "coder", Audience: here, Expires: w.clock.Add(time.Hour)}
	if with != nil {
		with(&token)
	}
	token, secret, err := w.Create(t.Context(), token)
	require.NoError(t, err)
	return token, secret
}

// TestDelegatedAgent: an agent's token proves the agent, with the groups that its human has now, and only where it
// is meant for.
func TestDelegatedAgent(t *testing.T) {
	w := newWorld()
	token, secret := w.agent(t, nil)
	id, err := w.FindAgent(t.Context(), here, secret)
	require.NoError(t, err)
	require.Equal(t, proxy.Agent, id.Kind)
	require.Equal(t, []string{"bob~coder", "bob", "bob", "coder"}, []string{id.Subject, id.OnBehalfOf, id.Person(), id.Name})
	require.Equal(t, []string{"staff"}, id.Groups)
	require.Equal(t, token.ID, id.Claims[identity.ClaimToken])
	require.True(t, (&identity.Change{Subject: "bob"}).Concerns(id), "what happens to the human happens to the agent")

	w.people.set("bob", "staff", "oncall")
	id, err = w.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []string{"staff", "oncall"}, id.Groups)
	require.True(t, id.Delegated)

	t.Run("another audience", func(t *testing.T) {
		for _, audience := range []string{"", "https://other.example.com/mcp", here + "/"} {
			_, err := w.FindAgent(t.Context(), audience, secret)
			require.ErrorIs(t, err, proxy.ErrUnauthenticated, audience)
		}
	})
	t.Run("other secrets", func(t *testing.T) {
		_, own := w.create(t, func(tk *Token) { tk.Subject, tk.User = "bob", "bob" })
		for _, bad := range []string{"", own, newSecret(SessionPrefix), newSecret(AgentPrefix), strings.Replace(own, Prefix, AgentPrefix, 1)} {
			_, err := w.FindAgent(t.Context(), here, proxy.NewSecret(bad))
			require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		}
	})
	t.Run("elsewhere", func(t *testing.T) {
		_, err := w.Find(t.Context(), secret)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, "as a bearer of the API")
		_, err = w.Authenticate(t.Context(), inClear("bob", secret.Reveal()))
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, "as a password")
		login := "bob" + Separator + token.ID
		v, ok, err := w.Verifier(t.Context(), login)
		require.NoError(t, err)
		require.True(t, ok, "nothing tells that it is an agent's")
		require.NotEmpty(t, v)
		_, err = w.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodSCRAM, User: login, Verifier: v})
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, "by SCRAM")
	})
	t.Run("its end", func(t *testing.T) {
		require.NoError(t, w.Revoke(t.Context(), token.ID))
		require.True(t, w.changes[len(w.changes)-1].Concerns(id))
		_, err := w.FindAgent(t.Context(), here, secret)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		_, err = w.Refresh(t.Context(), id)
		require.Error(t, err)
	})
	t.Run("its human's end", func(t *testing.T) {
		_, secret := w.agent(t, nil)
		id, err := w.FindAgent(t.Context(), here, secret)
		require.NoError(t, err)
		delete(w.people.by, "bob")
		_, err = w.FindAgent(t.Context(), here, secret)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		_, err = w.Refresh(t.Context(), id)
		require.Error(t, err)
	})
	t.Run("its time", func(t *testing.T) {
		w.people.set("bob", "staff")
		_, secret := w.agent(t, nil)
		w.clock = w.clock.Add(time.Hour)
		_, err := w.FindAgent(t.Context(), here, secret)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	})
}

// TestAgentTokenRefused: a token that would prove no agent, or for too long, is not made.
func TestAgentTokenRefused(t *testing.T) {
	w := newWorld()
	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "ci", Kind: proxy.Service}))
	for name, with := range map[string]func(*Token){
		"no audience":      func(tk *Token) { tk.Audience = "" },
		"no name":          func(tk *Token) { tk.Agent = "" },
		"a name":           func(tk *Token) { tk.Agent = "Coder~1" },
		"a name too long":  func(tk *Token) { tk.Agent = strings.Repeat("a", 33) },
		"too long a time":  func(tk *Token) { tk.Expires = w.clock.Add(MaxAgentLife + time.Minute) },
		"a service":        func(tk *Token) { tk.Subject, tk.User = "ci", "ci" },
		"an empty scope":   func(tk *Token) { tk.Scopes = []Scope{{Resources: []string{"orders"}}} },
		"nobody's":         func(tk *Token) { tk.Subject = "eve" },
		"a user's name":    func(tk *Token) { tk.User = "a~b" },
		"time that is due": func(tk *Token) { tk.Expires = w.clock },
	} {
		token := Token{Subject: "bob", User: "bob", Agent: "coder", Audience: here, Expires: w.clock.Add(time.Hour)}
		with(&token)
		_, _, err := w.Create(t.Context(), token)
		require.Error(t, err, name)
	}
}

// TestAgentScopes: an agent may do what its human may, and its token says: no scope gives what she has not.
func TestAgentScopes(t *testing.T) {
	w := newWorld()
	rules, err := policy.New([]policy.Rule{
		{Groups: []string{"staff"}, Resources: []string{"orders"}, Allow: []string{"connect", "read"}},
		{Users: []string{"bob"}, Resources: []string{"orders"}, Deny: []string{"ddl"}},
	})
	require.NoError(t, err)
	g := &proxy.Gateway{}
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{&Limit{Tokens: w.Tokens, Compile: compile}, rules}}))
	for name, c := range map[string]struct {
		scopes []Scope
		does   proxy.Effects
		want   bool
	}{
		"what she may":           {nil, proxy.EffectRead, true},
		"what she may not":       {[]Scope{{Actions: []string{"read", "write"}}}, proxy.EffectInsert, false},
		"what both may":          {[]Scope{{Actions: []string{"read"}}}, proxy.EffectRead, true},
		"what the scope has not": {[]Scope{{Actions: []string{"write"}}}, proxy.EffectRead, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, secret := w.agent(t, func(tk *Token) { tk.Scopes = c.scopes })
			id, err := w.FindAgent(t.Context(), here, secret)
			require.NoError(t, err)
			r := proxytest.Resource
			r.Name = "orders"
			s, connect, err := g.Open(t.Context(), proxy.OpenRequest{Identity: id, Target: proxy.Target{Resource: &r}})
			require.NoError(t, err)
			defer s.Close(nil)
			s.Done(connect, &proxy.Outcome{})
			v := s.Ask(t.Context(), proxytest.Statement("x", c.does))
			require.Equal(t, c.want, !v.Refuses(), v)
		})
	}
}
