package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

const redirect = "https://gw.example.com/dev/callback"

// devProvider returns the gateway's side of a real provider.
func devProvider(t *testing.T, dev *identitytest.Provider, change ...func(*Config)) *Provider {
	c := Config{
		Name: "dev", Issuer: dev.Issuer, ClientID: "web", ClientSecret: proxy.NewSecret("secret"), RedirectURL: redirect,
		Scopes: []string{"profile", "email", "offline_access"}, Groups: Groups{Claim: "groups"},
	}
	for _, f := range change {
		f(&c)
	}
	p, err := New(c)
	require.NoError(t, err)
	return p
}

func devLogin(t *testing.T, dev *identitytest.Provider, p *Provider, user string, o BeginOptions) *Login {
	at, a, err := p.Begin(t.Context(), o)
	require.NoError(t, err)
	l, err := p.Finish(t.Context(), a, dev.LogIn(t, at, user).Query())
	require.NoError(t, err)
	return l
}

// TestRealProvider: everything that a login may be, at a provider of others.
func TestRealProvider(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	dev.Groups(t, "alice", "dba", "ops")
	p := devProvider(t, dev)
	require.NoError(t, p.Check(t.Context()))
	l := devLogin(t, dev, p, "alice", BeginOptions{})
	require.Equal(t, "dev/alice", l.Identity.Subject)
	require.Equal(t, []string{"dev:dba", "dev:ops"}, l.Identity.Groups)
	require.Equal(t, proxy.MethodOIDC, l.Identity.Method)
	require.WithinDuration(t, time.Now(), l.Identity.AuthTime, time.Minute)
	require.False(t, l.Refresh.Empty())

	t.Run("a code counts once", func(t *testing.T) {
		at, a, err := p.Begin(t.Context(), BeginOptions{})
		require.NoError(t, err)
		answer := dev.LogIn(t, at, "alice").Query()
		stolen := *a
		stolen.Verifier = "another"
		_, err = p.Finish(t.Context(), &stolen, answer)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, "without the verifier")
		at, a, err = p.Begin(t.Context(), BeginOptions{})
		require.NoError(t, err)
		answer = dev.LogIn(t, at, "alice").Query()
		_, err = p.Finish(t.Context(), a, answer)
		require.NoError(t, err)
		_, err = p.Finish(t.Context(), a, answer)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	})
	t.Run("recently", func(t *testing.T) {
		l := devLogin(t, dev, p, "alice", BeginOptions{MaxAge: time.Minute})
		require.WithinDuration(t, time.Now(), l.Identity.AuthTime, time.Minute)
	})
	t.Run("a public client", func(t *testing.T) {
		p := devProvider(t, dev, func(c *Config) { c.ClientID, c.ClientSecret = "native", proxy.Secret{} })
		require.Equal(t, "dev/bob", devLogin(t, dev, p, "bob", BeginOptions{}).Identity.Subject)
	})
	t.Run("refresh", func(t *testing.T) {
		dev.Groups(t, "alice", "ops")
		now, err := p.Refresh(t.Context(), l)
		require.NoError(t, err)
		require.Equal(t, []string{"dev:ops"}, now.Identity.Groups)
		require.Equal(t, l.Identity.AuthTime, now.Identity.AuthTime)
		_, err = p.Refresh(t.Context(), l)
		require.ErrorIs(t, err, ErrEnded, "the provider's refresh tokens count once")
		l = now
	})
	t.Run("rotation", func(t *testing.T) {
		dev.Rotate(t)
		now, err := p.Refresh(t.Context(), l)
		require.NoError(t, err)
		l = now
	})
	t.Run("gone", func(t *testing.T) {
		dev.Gone(t, "alice")
		_, err := p.Refresh(t.Context(), l)
		require.ErrorIs(t, err, ErrEnded)
	})
}

// TestDevice: a machine without a browser, at a real provider.
func TestDevice(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	dev.Groups(t, "bob", "dba")
	var mu sync.Mutex
	now := time.Now()
	p := devProvider(t, dev, func(c *Config) {
		c.ClientID, c.Scopes = "device", []string{"profile"}
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	d, err := p.Device(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, d.UserCode)
	require.Equal(t, time.Second, d.Wait())
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, ErrPending, "it is too early to ask")
	later(time.Second)
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, ErrPending)
	dev.Approve(t, "bob", d.UserCode)
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, ErrPending, "it is too early to ask again")
	later(time.Second)

	s, err := identity.NewSealer(nil)
	require.NoError(t, err)
	text, err := d.Seal(s)
	require.NoError(t, err)
	d, err = p.OpenDevice(s, text)
	require.NoError(t, err)
	l, err := d.Poll(t.Context())
	require.NoError(t, err)
	require.Equal(t, "dev/bob", l.Identity.Subject)
	require.Equal(t, []string{"dev:dba"}, l.Identity.Groups)
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "a code counts once")

	_, err = p.OpenDevice(s, text[:len(text)-2]+"AA")
	require.ErrorIs(t, err, identity.ErrSealed)
	other, err := New(Config{Name: "other", Issuer: dev.Issuer, ClientID: "device"})
	require.NoError(t, err)
	_, err = other.OpenDevice(s, text)
	require.ErrorIs(t, err, identity.ErrSealed)

	d, err = p.Device(t.Context())
	require.NoError(t, err)
	dev.Deny(t, d.UserCode)
	later(time.Second)
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	require.ErrorContains(t, err, "access_denied")

	d, err = p.Device(t.Context())
	require.NoError(t, err)
	later(time.Hour)
	_, err = d.Poll(t.Context())
	require.ErrorContains(t, err, "expired")
}

// TestDeviceSlowDown: a provider that wants to be asked less often is.
func TestDeviceSlowDown(t *testing.T) {
	h := newHostile(t)
	now := time.Now()
	p := h.provider(func(c *Config) { c.Now = func() time.Time { return now } })
	answer := "slow_down"
	h.token = func(w http.ResponseWriter, _ *http.Request) bool {
		if answer == "" {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, answer)
		return true
	}
	d, err := p.Device(t.Context())
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, d.Wait())
	for _, want := range []time.Duration{10 * time.Second, 15 * time.Second} {
		now = now.Add(d.Wait())
		_, err = d.Poll(t.Context())
		require.ErrorIs(t, err, ErrPending)
		require.Equal(t, want, d.Wait())
	}
	asked := h.asked["/token"]
	_, err = d.Poll(t.Context())
	require.ErrorIs(t, err, ErrPending)
	require.Equal(t, asked, h.asked["/token"])
	now = now.Add(d.Wait())
	h.nonce, answer = "", ""
	_, err = d.Poll(t.Context())
	require.NoError(t, err)
}

// changes collects what Logins tells.
type changes struct {
	mu   sync.Mutex
	list []identity.Change
}

func (c *changes) add(one identity.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, one)
}

func (c *changes) find(ended bool, login string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.list, func(o identity.Change) bool { return o.Ended == ended && o.Login == login })
}

func logins(t *testing.T, docs identity.Documents, told *changes, ps ...*Provider) *Logins {
	s, err := identity.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	l := &Logins{Providers: ps, Documents: docs, Sealer: s, Every: time.Second, Changed: told.add}
	require.NoError(t, l.Check())
	return l
}

// run runs l until the test ends.
func run(t *testing.T, l *Logins) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 20*time.Second, 10*time.Millisecond, what)
}

// TestLoginsFollow: two gateways on the same documents follow what changes at the
// provider, and one of them asks.
func TestLoginsFollow(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	dev.Groups(t, "alice", "dba")
	p := devProvider(t, dev)
	docs := &identity.Memory{}
	var here, there changes
	one, two := logins(t, docs, &here, p), logins(t, docs, &there, devProvider(t, dev))
	run(t, one)
	run(t, two)
	id, err := one.Add(t.Context(), devLogin(t, dev, p, "alice", BeginOptions{}))
	require.NoError(t, err)
	login := id.Claims[identity.ClaimLogin]
	eventually(t, "the other gateway knows the login", func() bool {
		two.mu.Lock()
		defer two.mu.Unlock()
		return two.known[login].subject != ""
	})
	same, err := two.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Same(t, id, same)

	dev.Groups(t, "alice", "ops")
	for _, c := range []*changes{&here, &there} {
		eventually(t, "the groups change", func() bool { return c.find(false, login) })
	}
	now, err := two.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []string{"dev:ops"}, now.Groups)

	dev.Gone(t, "alice")
	for _, c := range []*changes{&here, &there} {
		eventually(t, "the login ends", func() bool { return c.find(true, login) })
	}
	_, err = two.Refresh(t.Context(), now)
	require.ErrorIs(t, err, ErrEnded)
}

// TestLoginsFollowOne: a gateway that hears of a change asks about that login alone, and tells once.
func TestLoginsFollowOne(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	dev.Groups(t, "alice", "dba")
	p := devProvider(t, dev)
	docs := &identity.Memory{}
	var here, there changes
	one, two := logins(t, docs, &here, p), logins(t, docs, &there, devProvider(t, dev))
	id, err := one.Add(t.Context(), devLogin(t, dev, p, "alice", BeginOptions{}))
	require.NoError(t, err)
	login := id.Claims[identity.ClaimLogin]
	require.NoError(t, two.Follow(t.Context(), login))
	now, err := two.Of(t.Context(), id.Subject)
	require.NoError(t, err, "it is known from then on")
	require.Equal(t, id.Subject, now.Subject)
	require.False(t, there.find(false, login))

	d, k, err := one.get(t.Context(), login)
	require.NoError(t, err)
	k.Identity.Groups = []string{"dev:ops"}
	require.NoError(t, one.write(t.Context(), d, k))
	require.NoError(t, two.Follow(t.Context(), login))
	require.True(t, there.find(false, login))
	require.NoError(t, one.End(t.Context(), login, "over"))
	require.NoError(t, two.Follow(t.Context(), login))
	require.True(t, there.find(true, login))
	n := len(there.list)
	require.NoError(t, two.Follow(t.Context(), login))
	require.Len(t, there.list, n, "once")
}

func TestLoginsRefresher(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	dev.Groups(t, "bob", "staff")
	p := devProvider(t, dev)
	now := time.Now()
	l := logins(t, &identity.Memory{}, &changes{}, p)
	l.Now = func() time.Time { return now }
	id, err := l.Add(t.Context(), devLogin(t, dev, p, "bob", BeginOptions{}))
	require.NoError(t, err)
	identitytest.TestRefresher(t, l, identitytest.Refreshing{
		Identity: id,
		Groups:   func(t *testing.T, groups ...string) { dev.Groups(t, "bob", groups...) },
		Remove:   func(t *testing.T) { dev.Gone(t, "bob") },
		Settle: func(t *testing.T) {
			now = now.Add(l.Every)
			require.NoError(t, l.Pass(t.Context()))
		},
	})
}

// TestBackChannelLogout: the provider ends what it names, once, and only by a logout
// token.
func TestBackChannelLogout(t *testing.T) {
	dev := identitytest.StartProvider(t, redirect)
	p := devProvider(t, dev)
	var told changes
	l := logins(t, &identity.Memory{}, &told, p)
	alice := devLogin(t, dev, p, "alice", BeginOptions{})
	one, err := l.Add(t.Context(), alice)
	require.NoError(t, err)
	other, err := l.Add(t.Context(), devLogin(t, dev, p, "bob", BeginOptions{}))
	require.NoError(t, err)

	_, err = l.Logout(t.Context(), "dev", alice.IDToken.Reveal())
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "an ID token ends nothing")
	_, err = l.Logout(t.Context(), "dev", dev.LogoutToken(t, "alice", "device"))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "another client's")
	_, err = l.Logout(t.Context(), "nobody", dev.LogoutToken(t, "alice", "web"))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)

	token := dev.LogoutToken(t, "alice", "web")
	n, err := l.Logout(t.Context(), "dev", token)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, told.find(true, one.Claims[identity.ClaimLogin]))
	_, err = l.Refresh(t.Context(), one)
	require.ErrorIs(t, err, ErrEnded)
	_, err = l.Refresh(t.Context(), other)
	require.NoError(t, err)
	_, err = l.Logout(t.Context(), "dev", token)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "it counts once")
	_, err = p.verify(t.Context(), mustMeta(t, p), token, "web")
	require.NoError(t, err, "a logout token is a token")
}

func mustMeta(t *testing.T, p *Provider) *metadata {
	m, err := p.discover(t.Context())
	require.NoError(t, err)
	return m
}

// TestLogoutTokens: what is not a logout token of now ends nothing.
func TestLogoutTokens(t *testing.T) {
	event := map[string]any{logoutEvent: map[string]any{}}
	for _, c := range []struct {
		name   string
		claims map[string]any
		drop   []string
		want   string
	}{
		{"by subject", nil, nil, ""},
		{"by session", map[string]any{"sid": "x"}, []string{"sub"}, ""},
		{"without an expiry", nil, []string{"exp"}, ""},
		{"without an expiry, old", map[string]any{"iat": time.Now().Add(-time.Hour).Unix()}, []string{"exp"}, "ago"},
		{"neither", nil, []string{"sub"}, "subject"},
		{"a nonce", map[string]any{"nonce": "n"}, nil, "nonce"},
		{"no event", map[string]any{"events": map[string]any{}}, nil, "not a logout"},
		{"an event that is not an object", map[string]any{"events": map[string]any{logoutEvent: true}}, nil, "not a logout"},
		{"no identifier", nil, []string{"jti"}, "jti"},
		{"old", map[string]any{"iat": time.Now().Add(-time.Hour).Unix()}, nil, "ago"},
		{"expired", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, nil, "expired"},
		{"of another", map[string]any{"iss": "https://evil.example.com"}, nil, "provider"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			claims := h.all()
			delete(claims, "nonce")
			claims["events"], claims["jti"] = event, "j-1"
			for k, v := range c.claims {
				claims[k] = v
			}
			for _, k := range c.drop {
				delete(claims, k)
			}
			_, err := h.provider().Logout(t.Context(), h.sign(claims))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, proxy.ErrUnauthenticated)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestLoginsProviderDown: while a provider cannot be asked, logins count for a bounded
// time.
func TestLoginsProviderDown(t *testing.T) {
	h := newHostile(t)
	now := time.Now()
	clock := func() time.Time { return now }
	p := h.provider(func(c *Config) { c.Now = clock })
	var told changes
	l := logins(t, &identity.Memory{}, &told, p)
	l.Now, l.Every, l.Stale = clock, 5*time.Minute, 15*time.Minute
	got, err := h.login(p)
	require.NoError(t, err)
	id, err := l.Add(t.Context(), got)
	require.NoError(t, err)
	h.set(func() {
		h.token = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	require.Zero(t, l.Overdue(t.Context(), id))
	now = now.Add(10 * time.Minute)
	require.NoError(t, l.Pass(t.Context()))
	_, err = l.Refresh(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 5*time.Minute, l.Overdue(t.Context(), id))
	require.Equal(t, 5*time.Minute, l.Overdue(t.Context(), &proxy.Identity{Subject: id.Subject}), "what a login was given")
	require.Zero(t, l.Overdue(t.Context(), &proxy.Identity{Subject: "local"}))
	h.set(func() { h.token = nil; h.without = []string{"nonce"} })
	now = now.Add(4 * time.Minute)
	require.NoError(t, l.Pass(t.Context()))
	require.Zero(t, l.Overdue(t.Context(), id))
	now = now.Add(10 * time.Minute)
	_, err = l.Refresh(t.Context(), id)
	require.NoError(t, err, "it was asked meanwhile")

	h.Close()
	now = now.Add(10 * time.Minute)
	_, err = l.Refresh(t.Context(), id)
	require.ErrorContains(t, err, "cannot be asked since")
	require.NoError(t, l.Pass(t.Context()))
	require.True(t, told.find(true, id.Claims[identity.ClaimLogin]))
}

// TestLoginsAnother: a refresh that answers for somebody else ends the login.
func TestLoginsAnother(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	now := time.Now()
	l := logins(t, &identity.Memory{}, &changes{}, p)
	l.Now = func() time.Time { return now }
	got, err := h.login(p)
	require.NoError(t, err)
	id, err := l.Add(t.Context(), got)
	require.NoError(t, err)
	h.set(func() { h.claims["sub"] = "s-2" })
	now = now.Add(time.Second)
	require.NoError(t, l.Pass(t.Context()))
	_, err = l.Refresh(t.Context(), id)
	require.ErrorIs(t, err, ErrEnded)
}

// TestLoginsElsewhere: a gateway that does not have a login's provider refuses the login, and
// leaves it to the gateways that have the provider.
func TestLoginsElsewhere(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	now := time.Now()
	docs := &identity.Memory{}
	var told changes
	l := logins(t, docs, &changes{}, p)
	other := logins(t, docs, &told, devProvider(t, identitytest.StartProvider(t, redirect), func(c *Config) { c.Name = "other" }))
	l.Now = func() time.Time { return now }
	other.Now = l.Now
	got, err := h.login(p)
	require.NoError(t, err)
	id, err := l.Add(t.Context(), got)
	require.NoError(t, err)
	login := id.Claims[identity.ClaimLogin]

	for range 3 { // it is due each time, and once nobody has asked for too long
		require.NoError(t, other.Pass(t.Context()))
		now = now.Add(other.stale())
	}
	d, k, err := l.get(t.Context(), login)
	require.NoError(t, err)
	require.EqualValues(t, 1, d.Version, "nobody has claimed it")
	require.WithinDuration(t, id.AuthTime, k.Checked, time.Minute)
	require.Empty(t, told.list)
	_, err = other.Refresh(t.Context(), id)
	require.ErrorIs(t, err, ErrEnded)
	require.ErrorContains(t, err, "not an identity provider here")
	_, err = other.Of(t.Context(), id.Subject)
	require.ErrorIs(t, err, ErrEnded)

	require.NoError(t, l.Pass(t.Context()))
	_, err = l.Refresh(t.Context(), id)
	require.NoError(t, err)
	now = now.Add(DefaultLife)
	require.NoError(t, other.Pass(t.Context()))
	_, _, err = l.get(t.Context(), login)
	require.ErrorIs(t, err, identity.ErrNoDocument, "one that has expired is over everywhere")
}

// TestLoginsEndAll: all logins of a subject end, also those that wait to be redeemed, and
// nobody else's.
func TestLoginsEndAll(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	var told changes
	l := logins(t, &identity.Memory{}, &told, p)
	add := func(sub string, life time.Duration) *proxy.Identity {
		h.set(func() { h.claims["sub"] = sub })
		got, err := h.login(p)
		require.NoError(t, err)
		id, err := l.add(t.Context(), got, life)
		require.NoError(t, err)
		return id
	}
	hers := []*proxy.Identity{add("s-1", DefaultLife), add("s-1", codeLife)}
	other := add("s-2", DefaultLife)
	n, err := l.EndAll(t.Context(), hers[0].Subject, "lost a laptop")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for _, id := range hers {
		_, err := l.Refresh(t.Context(), id)
		require.ErrorIs(t, err, ErrEnded)
		require.True(t, told.find(true, id.Claims[identity.ClaimLogin]))
	}
	_, err = l.Refresh(t.Context(), other)
	require.NoError(t, err)
	n, err = l.EndAll(t.Context(), hers[0].Subject, "again")
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestLoginsNotNow: a provider whose answer lets nobody in any more ends the login.
func TestLoginsNotNow(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*Config)
		spoil  func(h *hostile)
	}{
		"a required claim": {func(c *Config) { c.Require = map[string]string{"hd": "example.com"} }, func(h *hostile) { h.claims["hd"] = "evil.example.com" }},
		"no groups claim":  {func(c *Config) { c.Groups.Required = true }, func(h *hostile) { h.without = []string{"groups"} }},
		"groups elsewhere": {func(*Config) {}, func(h *hostile) { h.without = []string{"groups"}; h.claims["hasgroups"] = true }},
		"another subject":  {func(*Config) {}, func(h *hostile) { h.claims["sub"] = "s-9" }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.claims["hd"] = "example.com"
			p := h.provider(c.config)
			now := time.Now()
			var told changes
			l := logins(t, &identity.Memory{}, &told, p)
			l.Now = func() time.Time { return now }
			got, err := h.login(p)
			require.NoError(t, err)
			id, err := l.Add(t.Context(), got)
			require.NoError(t, err)
			h.set(func() { c.spoil(h) })
			now = now.Add(time.Second)
			require.NoError(t, l.Pass(t.Context()))
			require.True(t, told.find(true, id.Claims[identity.ClaimLogin]))
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestLoginsAskOnce: while one gateway waits for a slow provider, another does not ask
// about the same login: a refresh token may be good for one question.
func TestLoginsAskOnce(t *testing.T) {
	h := newHostile(t)
	start := time.Now()
	p := h.provider()
	docs := &identity.Memory{}
	var told changes
	second := h.provider(func(c *Config) {
		c.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("both gateways ask")
			return nil, errors.New("one is enough")
		})}
	})
	one, two := logins(t, docs, &told, p), logins(t, docs, &told, second)
	got, err := h.login(p)
	require.NoError(t, err)
	id, err := one.Add(t.Context(), got)
	require.NoError(t, err)
	asked, answer := make(chan struct{}), make(chan struct{})
	h.set(func() {
		h.without = []string{"nonce"}
		h.token = func(http.ResponseWriter, *http.Request) bool {
			asked <- struct{}{}
			<-answer
			return false
		}
	})
	one.Now = func() time.Time { return start.Add(2 * time.Second) }
	two.Now = func() time.Time { return start.Add(5 * time.Second) }
	done := make(chan error, 1)
	go func() { done <- one.Pass(context.Background()) }()
	<-asked
	require.NoError(t, two.Pass(t.Context()))
	close(answer)
	require.NoError(t, <-done)
	_, err = two.Refresh(t.Context(), id)
	require.NoError(t, err)
}

// TestLoginsManyWhileDown: a provider that is down is not asked about every login.
func TestLoginsManyWhileDown(t *testing.T) {
	h := newHostile(t)
	now := time.Now()
	p := h.provider()
	l := logins(t, &identity.Memory{}, &changes{}, p)
	l.Now = func() time.Time { return now }
	got, err := h.login(p)
	require.NoError(t, err)
	for range 100 {
		_, err = l.Add(t.Context(), got)
		require.NoError(t, err)
	}
	h.set(func() {
		h.token = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	})
	before := h.asked["/token"]
	now = now.Add(time.Second)
	require.NoError(t, l.Pass(t.Context()))
	require.LessOrEqual(t, h.asked["/token"]-before, atOnce)
}

// TestLoginsKeep: what is kept holds no secret that can be read, and what is without a
// refresh token ends with the ID token.
func TestLoginsKeep(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	docs := &identity.Memory{}
	l := logins(t, docs, &changes{}, p)
	got, err := h.login(p)
	require.NoError(t, err)
	got.Refresh = proxy.NewSecret("canary-refresh")
	id, err := l.Add(t.Context(), got)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(DefaultLife), id.Expires, time.Minute)
	d, err := docs.Get(t.Context(), KindLogin, id.Claims[identity.ClaimLogin])
	require.NoError(t, err)
	require.NotContains(t, string(d.Body), "canary")
	require.NotContains(t, string(d.Body), got.IDToken.Reveal())
	back, err := l.Get(t.Context(), d.Name)
	require.NoError(t, err)
	require.Equal(t, "canary-refresh", back.Refresh.Reveal())

	moved := identity.Document{Name: "moved", Body: d.Body}
	_, err = docs.Write(t.Context(), KindLogin, moved)
	require.NoError(t, err)
	_, err = l.Get(t.Context(), "moved")
	require.ErrorIs(t, err, identity.ErrSealed)

	got.Refresh = proxy.Secret{}
	id, err = l.Add(t.Context(), got)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), id.Expires, time.Minute)

	two := h.provider()
	require.ErrorContains(t, (&Logins{Providers: []*Provider{p, two}}).Check(), "are one")
}

// TestLoginsConflicts: the documents fail, and nothing is lost or ended by it.
func TestLoginsConflicts(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	docs := &failing{}
	now := time.Now()
	l := logins(t, docs, &changes{}, p)
	l.Now = func() time.Time { return now }
	got, err := h.login(p)
	require.NoError(t, err)
	id, err := l.Add(t.Context(), got)
	require.NoError(t, err)
	now = now.Add(time.Second)
	docs.err = errors.New("the database is away")
	require.ErrorContains(t, l.Pass(t.Context()), "away")
	_, err = l.Refresh(t.Context(), id)
	require.ErrorContains(t, err, "away")
	require.ErrorContains(t, l.End(t.Context(), id.Claims[identity.ClaimLogin], ""), "away")
	_, err = l.Add(t.Context(), got)
	require.ErrorContains(t, err, "away")
	docs.err = nil
	h.set(func() { h.without = []string{"nonce"} })
	require.NoError(t, l.Pass(t.Context()))
	_, err = l.Refresh(t.Context(), id)
	require.NoError(t, err)
}

// failing is documents that fail when err is set.
type failing struct {
	identity.Memory
	err error
}

func (f *failing) Get(ctx context.Context, kind, name string) (identity.Document, error) {
	if f.err != nil {
		return identity.Document{}, f.err
	}
	return f.Memory.Get(ctx, kind, name)
}

func (f *failing) List(ctx context.Context, kind, after string, limit int) ([]identity.Document, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Memory.List(ctx, kind, after, limit)
}

func (f *failing) Write(ctx context.Context, kind string, d identity.Document) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Memory.Write(ctx, kind, d)
}
