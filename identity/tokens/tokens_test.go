package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// people are who there is.
type people struct {
	mu sync.Mutex
	by map[string]*proxy.Identity
}

func (p *people) owner(_ context.Context, subject string) (*proxy.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.by[subject]
	if id == nil {
		return nil, errors.New("she has left")
	}
	return id, nil
}

func (p *people) set(subject string, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.by[subject] = &proxy.Identity{Subject: subject, Name: "alice", Groups: groups}
}

type world struct {
	*Tokens
	people  *people
	docs    *identity.Memory
	changes []identity.Change
	clock   time.Time
}

func newWorld() *world {
	w := &world{people: &people{by: make(map[string]*proxy.Identity)}, docs: &identity.Memory{}, clock: time.Now()}
	w.people.set("entra/a-1", "entra:dba")
	w.people.set("bob", "staff")
	w.Tokens = &Tokens{
		Documents: w.docs, Owner: w.people.owner, Changed: func(c identity.Change) { w.changes = append(w.changes, c) },
		Now: func() time.Time { return w.clock },
	}
	return w
}

func (w *world) create(t *testing.T, change ...func(*Token)) (Token, string) {
	tk := Token{Label: "backup", Subject: "entra/a-1", User: "alice", Expires: w.clock.Add(time.Hour)}
	for _, f := range change {
		f(&tk)
	}
	tk, secret, err := w.Create(t.Context(), tk)
	require.NoError(t, err)
	return tk, secret.Reveal()
}

func inClear(user, secret string) proxy.Proof {
	return proxy.Proof{Method: proxy.MethodPassword, User: user, Password: proxy.NewSecret(secret)}
}

func TestSecrets(t *testing.T) {
	s := newSecret(Prefix)
	require.True(t, IsSecret(Prefix, s))
	require.False(t, IsSecret(SessionPrefix, s))
	require.Equal(t, s, Pattern().FindString("export PGPASSWORD="+s+" # x"))
	require.Equal(t, newSecret(SessionPrefix)[:4], SessionPrefix)
	for i := range len(s) {
		b := []byte(s)
		if b[i] = 'a'; s[i] == 'a' {
			b[i] = 'b'
		}
		require.False(t, IsSecret(Prefix, string(b)), "a mistyped letter, %d", i)
	}
	require.NotContains(t, s, identify(s))
	require.NotEqual(t, identify(s), identify(newSecret(Prefix)))
}

func TestAuthenticator(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	_, other := w.create(t, func(tk *Token) { tk.Subject, tk.User = "bob", "bob" })
	verifier, ok, err := w.Verifier(t.Context(), "alice~"+tk.ID)
	require.NoError(t, err)
	require.True(t, ok)
	scram := func(user, v string) proxy.Proof {
		return proxy.Proof{Method: proxy.MethodSCRAM, User: user, Verifier: v}
	}
	made, _, err := w.Verifier(t.Context(), "alice~nothing")
	require.NoError(t, err)
	identitytest.TestAuthenticator(t, func(*testing.T) proxy.Authenticator { return w.Tokens },
		identitytest.Proofs{Right: inClear("alice", secret), Wrong: inClear("alice", newSecret(Prefix)), Unknown: inClear("nobody", newSecret(Prefix)), Other: inClear("bob", secret)},
		identitytest.Proofs{Right: inClear("alice~"+tk.ID, secret), Wrong: inClear("alice~"+tk.ID, newSecret(Prefix)), Unknown: inClear("nobody~"+tk.ID, secret), Other: inClear("bob~"+tk.ID, secret)},
		identitytest.Proofs{Right: scram("alice~"+tk.ID, verifier), Wrong: scram("alice~"+tk.ID, made), Unknown: scram("alice~nothing", made), Other: scram("bob~"+tk.ID, verifier)},
	)
	for what, p := range map[string]proxy.Proof{
		"another's token":         inClear("alice", other),
		"another's under my name": inClear("alice~"+tk.ID, other),
		"an empty verifier":       scram("alice~"+tk.ID, ""),
		"a verifier, no token":    scram("alice", verifier),
		"a session's secret":      inClear("alice", newSecret(SessionPrefix)),
		"its hash":                inClear("alice", hash(secret)),
	} {
		_, err := w.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, what)
	}
	wrong, _, err := w.Verifier(t.Context(), "bob~"+tk.ID)
	require.NoError(t, err)
	require.NotEqual(t, verifier, wrong, "another user is not shown the verifier")
}

// TestFind: a secret without a name proves its owner, and nothing else does.
func TestFind(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	id, err := w.Find(t.Context(), proxy.NewSecret(secret))
	require.NoError(t, err)
	require.Equal(t, []string{tk.Subject, tk.ID}, []string{id.Subject, id.Claims[identity.ClaimToken]})
	for _, wrong := range []string{"", newSecret(Prefix), newSecret(SessionPrefix), hash(secret), secret[:len(secret)-1], tk.ID} {
		_, err := w.Find(t.Context(), proxy.NewSecret(wrong))
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	}
	require.NoError(t, w.Revoke(t.Context(), tk.ID))
	_, err = w.Find(t.Context(), proxy.NewSecret(secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
}

// TestIdentity: a token is its owner, as she is now, and never a fresh proof of her.
func TestIdentity(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	begun := w.clock
	w.clock = w.clock.Add(10 * time.Minute)
	id, err := w.Authenticate(t.Context(), inClear("alice", secret))
	require.NoError(t, err)
	require.Equal(t, "entra/a-1", id.Subject)
	require.Equal(t, []string{"entra:dba"}, id.Groups)
	require.Equal(t, tk.ID, id.Claims[identity.ClaimToken])
	require.True(t, id.AuthTime.Equal(begun))
	require.True(t, id.Expires.Equal(tk.Expires))
	got, err := w.Get(t.Context(), tk.ID)
	require.NoError(t, err)
	require.True(t, got.LastUsed.Equal(w.clock))

	w.clock = tk.Expires
	_, err = w.Authenticate(t.Context(), inClear("alice", secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	_, err = w.Refresh(t.Context(), id)
	require.Error(t, err)
	require.NoError(t, w.Sweep(t.Context()))
	_, err = w.Get(t.Context(), tk.ID)
	require.ErrorIs(t, err, identity.ErrNoDocument)
}

// TestExpires: a token ends with its owner, whichever day is the earlier one.
func TestExpires(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	for _, c := range []struct {
		what        string
		owner, want time.Time
	}{
		{"the owner has no end", time.Time{}, tk.Expires},
		{"the owner ends first", tk.Expires.Add(-time.Minute), tk.Expires.Add(-time.Minute)},
		{"both end", tk.Expires, tk.Expires},
		{"the token ends first", tk.Expires.Add(time.Minute), tk.Expires},
	} {
		w.people.by["entra/a-1"].Expires = c.owner
		id, err := w.Authenticate(t.Context(), inClear("alice", secret))
		require.NoError(t, err, c.what)
		require.True(t, id.Expires.Equal(c.want), "%s: %s", c.what, id.Expires)
		id, err = w.Refresh(t.Context(), id)
		require.NoError(t, err, c.what)
		require.True(t, id.Expires.Equal(c.want), "%s: %s", c.what, id.Expires)
		id, err = w.Find(t.Context(), proxy.NewSecret(secret))
		require.NoError(t, err, c.what)
		require.True(t, id.Expires.Equal(c.want), "%s: %s", c.what, id.Expires)
	}
}

// TestKept: a stolen copy of the documents proves nobody.
func TestKept(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	d, err := w.docs.Get(t.Context(), KindToken, tk.ID)
	require.NoError(t, err)
	require.NotContains(t, string(d.Body), secret)
	require.NotContains(t, string(d.Body), secret[len(Prefix):len(Prefix)+randomChars])
	var k kept
	require.NoError(t, json.Unmarshal(d.Body, &k))
	for _, s := range []string{k.Hash, k.Verifier, tk.ID} {
		_, err := w.Authenticate(t.Context(), inClear("alice", s))
		require.Error(t, err)
	}
	list, err := w.List(t.Context(), "entra/a-1")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, tk.ID, list[0].ID)
	none, err := w.List(t.Context(), "bob")
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld()
	for what, tk := range map[string]Token{
		"nobody's":     {User: "alice", Expires: w.clock.Add(time.Hour)},
		"no user":      {Subject: "bob", Expires: w.clock.Add(time.Hour)},
		"a separator":  {Subject: "bob", User: "a~b", Expires: w.clock.Add(time.Hour)},
		"a plus":       {Subject: "bob", User: "a+b", Expires: w.clock.Add(time.Hour)},
		"for ever":     {Subject: "bob", User: "bob"},
		"past":         {Subject: "bob", User: "bob", Expires: w.clock},
		"too long":     {Subject: "bob", User: "bob", Expires: w.clock.Add(MaxLife + time.Hour)},
		"who has left": {Subject: "carol", User: "carol", Expires: w.clock.Add(time.Hour)},
		"no actions":   {Subject: "bob", User: "bob", Expires: w.clock.Add(time.Hour), Scopes: []Scope{{}}},
		"a long label": {Subject: "bob", User: "bob", Expires: w.clock.Add(time.Hour), Label: strings.Repeat("x", 300)},
	} {
		_, _, err := w.Create(t.Context(), tk)
		require.Error(t, err, what)
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld()
	tk, secret := w.create(t)
	id, err := w.Authenticate(t.Context(), inClear("alice", secret))
	require.NoError(t, err)
	require.NoError(t, w.Revoke(t.Context(), tk.ID))
	require.Len(t, w.changes, 1)
	require.True(t, w.changes[0].Concerns(id))
	require.False(t, w.changes[0].Concerns(&proxy.Identity{Subject: "entra/a-1"}), "her other sessions go on")
	_, err = w.Authenticate(t.Context(), inClear("alice", secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	_, err = w.Refresh(t.Context(), id)
	require.ErrorContains(t, err, "revoked")
	require.ErrorIs(t, w.Revoke(t.Context(), tk.ID), identity.ErrNoDocument)
}

func TestRefresher(t *testing.T) {
	w := newWorld()
	_, secret := w.create(t)
	id, err := w.Authenticate(t.Context(), inClear("alice", secret))
	require.NoError(t, err)
	identitytest.TestRefresher(t, w.Tokens, identitytest.Refreshing{
		Identity: id,
		Groups:   func(_ *testing.T, groups ...string) { w.people.set("entra/a-1", groups...) },
		Remove:   func(*testing.T) { delete(w.people.by, "entra/a-1") },
	})
}

// TestAgents: an agent has its own groups and names its human, and ends with her.
func TestAgents(t *testing.T) {
	w := newWorld()
	require.Error(t, w.PutPrincipal(t.Context(), Principal{Name: "a", Kind: proxy.Human}))
	require.Error(t, w.PutPrincipal(t.Context(), Principal{Name: "a", Kind: proxy.Agent}))
	require.Error(t, w.PutPrincipal(t.Context(), Principal{Name: "a", Kind: proxy.Service, OnBehalfOf: "bob"}))
	require.Error(t, w.PutPrincipal(t.Context(), Principal{Name: "a~b", Kind: proxy.Service}))
	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "helper", Kind: proxy.Agent, OnBehalfOf: "entra/a-1", Groups: []string{"agents"}}))
	_, secret := w.create(t, func(tk *Token) { tk.Subject, tk.User = "helper", "helper" })
	id, err := w.Authenticate(t.Context(), inClear("helper", secret))
	require.NoError(t, err)
	require.Equal(t, proxy.Agent, id.Kind)
	require.Equal(t, "entra/a-1", id.OnBehalfOf)
	require.Equal(t, []string{"agents"}, id.Groups, "not its human's")
	require.True(t, (&identity.Change{Subject: "entra/a-1", Ended: true}).Concerns(id))

	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "helper", Kind: proxy.Agent, OnBehalfOf: "bob"}))
	_, err = w.Refresh(t.Context(), id)
	require.ErrorContains(t, err, "changed")
	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "helper", Kind: proxy.Agent, OnBehalfOf: "entra/a-1", Disabled: true}))
	require.True(t, w.changes[len(w.changes)-1].Ended)
	_, err = w.Authenticate(t.Context(), inClear("helper", secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "helper", Kind: proxy.Agent, OnBehalfOf: "entra/a-1"}))
	delete(w.people.by, "entra/a-1")
	_, err = w.Authenticate(t.Context(), inClear("helper", secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "its human has left")

	require.NoError(t, w.PutPrincipal(t.Context(), Principal{Name: "ci", Kind: proxy.Service, Groups: []string{"deployers"}}))
	_, secret = w.create(t, func(tk *Token) { tk.Subject, tk.User = "ci", "ci" })
	id, err = w.Authenticate(t.Context(), inClear("ci", secret))
	require.NoError(t, err)
	require.Equal(t, proxy.Service, id.Kind)
	require.NoError(t, w.RemovePrincipal(t.Context(), "ci"))
	_, err = w.Authenticate(t.Context(), inClear("ci", secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
}

// compile reads scopes as access rules.
func compile(scopes []Scope) (proxy.Interceptor, error) {
	var rules []policy.Rule
	for _, s := range scopes {
		rules = append(rules, policy.Rule{Groups: []string{"*"}, Resources: s.Resources, Allow: append([]string{"connect"}, s.Actions...)})
	}
	return policy.New(rules)
}

// TestLimit: a scope takes away what its owner may do elsewhere, and gives nothing.
func TestLimit(t *testing.T) {
	w := newWorld()
	owner, err := policy.New([]policy.Rule{{Groups: []string{"entra:dba"}, Resources: []string{"orders", "shop"}, Allow: []string{"connect", "read", "write"}}})
	require.NoError(t, err)
	limit := &Limit{Tokens: w.Tokens, Compile: compile}
	g := &proxy.Gateway{}
	require.NoError(t, g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{limit, owner}}))
	open := func(t *testing.T, resource, secret string) (*proxy.Session, *proxy.Connect, error) {
		id, err := w.Authenticate(t.Context(), inClear("alice", secret))
		require.NoError(t, err)
		r := proxytest.Resource
		r.Name = resource
		return g.Open(t.Context(), proxy.OpenRequest{Identity: id, Target: proxy.Target{Resource: &r}})
	}
	for _, c := range []struct {
		name     string
		scopes   []Scope
		resource string
		effect   proxy.Effects
		connects bool
		want     bool
	}{
		{"no scope", nil, "orders", proxy.EffectDelete, true, true},
		{"in scope", []Scope{{[]string{"orders"}, []string{"read"}}}, "orders", proxy.EffectRead, true, true},
		{"another action", []Scope{{[]string{"orders"}, []string{"read"}}}, "orders", proxy.EffectDelete, true, false},
		{"another resource", []Scope{{[]string{"orders"}, []string{"read"}}}, "shop", proxy.EffectRead, false, false},
		{"a pattern", []Scope{{[]string{"o*"}, []string{"read"}}, {[]string{"shop"}, []string{"write"}}}, "shop", proxy.EffectDelete, true, true},
		{"more than the owner may", []Scope{{nil, []string{"all"}}}, "orders", proxy.EffectDrop, true, false},
		{"where the owner may not", []Scope{{nil, []string{"all"}}}, "payroll", proxy.EffectRead, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, secret := w.create(t, func(tk *Token) { tk.Scopes = c.scopes })
			s, connect, err := open(t, c.resource, secret)
			if !c.connects {
				require.ErrorContains(t, err, "connect")
				return
			}
			require.NoError(t, err)
			defer s.Close(nil)
			require.NotNil(t, connect)
			v := s.Ask(t.Context(), proxytest.Statement("x", c.effect))
			require.Equal(t, c.want, !v.Refuses(), v.Message())
		})
	}
	t.Run("nothing reads scopes", func(t *testing.T) {
		limit.Compile = nil
		_, secret := w.create(t, func(tk *Token) { tk.Scopes = []Scope{{nil, []string{"read"}}} })
		_, _, err := open(t, "orders", secret)
		require.Error(t, err)
	})
	t.Run("an unknown action", func(t *testing.T) {
		limit.Compile = compile
		_, secret := w.create(t, func(tk *Token) { tk.Scopes = []Scope{{nil, []string{"everything"}}} })
		_, _, err := open(t, "orders", secret)
		require.Error(t, err)
	})
	proxytest.TestInterceptor(t, func(*testing.T) proxy.Interceptor { return &Limit{Tokens: w.Tokens, Compile: compile} })
}

func TestSessions(t *testing.T) {
	clock := time.Now()
	docs := &identity.Memory{}
	var told []identity.Change
	gone := false
	s := &Sessions{Documents: docs, Now: func() time.Time { return clock }, Changed: func(c identity.Change) { told = append(told, c) }, Refresher: refresher(func(id *proxy.Identity) (*proxy.Identity, error) {
		if gone {
			return nil, errors.New("she has left")
		}
		now := *id
		now.Groups = []string{"now"}
		return &now, nil
	})}
	id := &proxy.Identity{Subject: "alice", Groups: []string{"then"}, Method: proxy.MethodOIDC}
	secret, expires, err := s.Start(t.Context(), id)
	require.NoError(t, err)
	require.True(t, expires.Equal(clock.Add(DefaultSessionLife)))
	got, err := s.Find(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, []string{"now"}, got.Groups)
	require.NotEmpty(t, got.Claims[identity.ClaimLogin])
	require.Nil(t, id.Claims, "what was given is not changed")
	d, err := docs.Get(t.Context(), KindSession, identify(secret.Reveal()))
	require.NoError(t, err)
	require.NotContains(t, string(d.Body), secret.Reveal())

	for range 3 { // used within the idle time
		clock = clock.Add(DefaultIdle - time.Minute)
		_, err = s.Find(t.Context(), secret)
		require.NoError(t, err)
	}
	renewed, end, err := s.Renew(t.Context(), secret)
	require.NoError(t, err)
	require.True(t, end.Equal(expires), "renewing makes it no longer")
	_, err = s.Find(t.Context(), secret)
	require.ErrorIs(t, err, ErrNoSession)
	_, _, err = s.Renew(t.Context(), secret)
	require.ErrorIs(t, err, ErrNoSession)
	gone = true
	_, err = s.Find(t.Context(), renewed)
	require.ErrorIs(t, err, ErrNoSession)
	require.ErrorContains(t, err, "left")
	gone = false
	clock = clock.Add(DefaultIdle)
	_, err = s.Find(t.Context(), renewed)
	require.ErrorIs(t, err, ErrNoSession, "it was unused")

	for _, bad := range []string{"", "sps_", newSecret(SessionPrefix), newSecret(Prefix)} {
		_, err = s.Find(t.Context(), proxy.NewSecret(bad))
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
		none, err := s.End(t.Context(), proxy.NewSecret(bad))
		require.NoError(t, err)
		require.Nil(t, none)
	}
	secret, _, err = s.Start(t.Context(), id)
	require.NoError(t, err)
	ended, err := s.End(t.Context(), secret)
	require.NoError(t, err)
	require.Equal(t, "alice", ended.Subject)
	require.True(t, told[0].Concerns(ended))
	_, err = s.Find(t.Context(), secret)
	require.ErrorIs(t, err, ErrNoSession)

	one, _, err := s.Start(t.Context(), id)
	require.NoError(t, err)
	two, _, err := s.Start(t.Context(), &proxy.Identity{Subject: "bob", Expires: clock.Add(time.Minute)})
	require.NoError(t, err)
	n, err := s.EndAll(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, 2, n, "the one that was unused, too")
	_, err = s.Find(t.Context(), one)
	require.ErrorIs(t, err, ErrNoSession)
	_, err = s.Find(t.Context(), two)
	require.NoError(t, err)
	clock = clock.Add(time.Minute)
	_, err = s.Find(t.Context(), two)
	require.ErrorIs(t, err, ErrNoSession, "it ends with the login")
	require.NoError(t, s.Sweep(t.Context()))
	list, err := docs.List(t.Context(), KindSession, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

type refresher func(*proxy.Identity) (*proxy.Identity, error)

func (f refresher) Refresh(_ context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	return f(id)
}

// TestRenewOnce: of several that renew one session at once, one has a session.
func TestRenewOnce(t *testing.T) {
	s := &Sessions{Documents: &identity.Memory{}}
	secret, _, err := s.Start(t.Context(), &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	won := make(chan proxy.Secret, 8)
	for range 8 {
		wg.Go(func() {
			if now, _, err := s.Renew(t.Context(), secret); err == nil {
				won <- now
			}
		})
	}
	wg.Wait()
	require.Len(t, won, 1)
}

// TestLookIsNoUse: looking at a session says who it is of, and does not keep it.
func TestLookIsNoUse(t *testing.T) {
	clock := time.Now()
	gone := false
	s := &Sessions{Documents: &identity.Memory{}, Now: func() time.Time { return clock }, Refresher: refresher(func(id *proxy.Identity) (*proxy.Identity, error) {
		if gone {
			return nil, errors.New("she has left")
		}
		return id, nil
	})}
	secret, _, err := s.Start(t.Context(), &proxy.Identity{Subject: "alice"})
	require.NoError(t, err)
	for range 3 {
		clock = clock.Add(DefaultIdle/4 + time.Minute)
		id, err := s.Look(t.Context(), secret)
		require.NoError(t, err)
		require.Equal(t, "alice", id.Subject)
	}
	gone = true
	_, err = s.Look(t.Context(), secret)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	gone = false
	clock = clock.Add(DefaultIdle / 4)
	_, err = s.Look(t.Context(), secret)
	require.ErrorIs(t, err, ErrNoSession, "nobody has used it for an hour")
}

// TestTokensExpireByTheirClock: a token may be valid for the longest time, whatever the clock of the machine says.
func TestTokensExpireByTheirClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, 0, time.Hour} {
		all := &Tokens{Documents: &identity.Memory{}, Now: func() time.Time { return time.Now().Add(ahead) }, Owner: func(_ context.Context, subject string) (*proxy.Identity, error) {
			return &proxy.Identity{Subject: subject}, nil
		}}
		made, _, err := all.Create(t.Context(), Token{Label: "x", Subject: "alice", User: "alice", Expires: all.In(MaxLife)})
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(ahead+MaxLife), made.Expires, time.Minute)
	}
}
