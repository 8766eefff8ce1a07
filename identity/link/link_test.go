package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

func open(t *testing.T) *Links {
	t.Helper()
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	return &Links{
		Documents: &identity.Memory{}, Sealer: sealer, URL: func() string { return "https://gw.example.com/" },
		Terms: func(q proxy.LinkRequest) (Terms, bool) {
			return Terms{AnyAddress: q.Resource == "far"}, q.Resource != "closed"
		},
	}
}

func request(user, resource, address string) proxy.LinkRequest {
	at := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 4000))
	return proxy.LinkRequest{Login: proxy.Login{User: user, Resource: resource}, Resource: resource, Protocol: "postgres", Remote: at}
}

func (l *Links) offer(t *testing.T, q proxy.LinkRequest) (o proxy.Link, id string) {
	t.Helper()
	o, err := l.Offer(t.Context(), q)
	require.NoError(t, err)
	id, ok := strings.CutPrefix(o.URL, "https://gw.example.com/link/")
	require.True(t, ok, o.URL)
	require.Len(t, id, 26, "130 bits in base 32")
	return o, id
}

func person(address string) Person {
	return Person{
		Identity: &proxy.Identity{Subject: "dev/alice", Method: proxy.MethodOIDC, Claims: map[string]string{identity.ClaimLogin: "l1", identity.ClaimIssuer: "https://idp"}},
		Name:     "alice", Browser: netip.MustParseAddr(address),
	}
}

// TestConfirm: who has typed the code is who waits, once.
func TestConfirm(t *testing.T) {
	l := open(t)
	o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer o.Close()
	w, err := l.Find(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{"alice", "shop", "postgres", "192.0.2.1", Tries}, []any{w.Login.User, w.Resource, w.Protocol, w.Address.String(), w.Left})
	p := person("192.0.2.1")
	require.NoError(t, l.Confirm(t.Context(), id, " "+strings.ToLower(o.Code), p, nil))
	require.ErrorIs(t, l.Confirm(t.Context(), id, o.Code, p, nil), ErrGone, "it counts once")
	require.ErrorIs(t, l.Refuse(t.Context(), id, p), ErrGone)
	who, err := o.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, proxy.MethodLink, who.Method)
	require.Equal(t, p.Identity.Claims, who.Claims)
	require.Equal(t, proxy.MethodOIDC, p.Identity.Method, "the browser's is what it was")
	list, err := l.Documents.List(t.Context(), Kind, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestAttackConfirm: nobody else confirms a link, nor does what a person was given.
func TestAttackConfirm(t *testing.T) {
	with := func(change func(p *Person)) Person {
		p := person("192.0.2.1")
		id := *p.Identity
		p.Identity = &id
		change(&p)
		return p
	}
	for _, c := range []struct {
		name     string
		resource string
		client   string
		p        Person
		want     error
	}{
		{"herself", "shop", "192.0.2.1", person("192.0.2.1"), nil},
		{"as the gateway sees IPv4 at a socket of both", "shop", "::ffff:192.0.2.1", person("192.0.2.1"), nil},
		{"the browser as the gateway sees it there", "shop", "192.0.2.1", person("::ffff:192.0.2.1"), nil},
		{"another address of her IPv6 network", "shop", "2001:db8:1:2::1", person("2001:db8:1:2:ffff::9"), nil},
		{"another IPv6 network", "shop", "2001:db8:1:2::1", person("2001:db8:1:3::1"), ErrElsewhere},
		{"an IPv6 address that holds the same IPv4 one", "shop", "192.0.2.1", person("64:ff9b::192.0.2.1"), ErrElsewhere},
		{"another address", "shop", "192.0.2.1", person("192.0.2.2"), ErrElsewhere},
		{"a browser without an address", "shop", "192.0.2.1", with(func(p *Person) { p.Browser = netip.Addr{} }), ErrElsewhere},
		{"another address where any may", "far", "192.0.2.1", person("192.0.2.2"), nil},
		{"another user", "shop", "192.0.2.1", with(func(p *Person) { p.Name = "bob" }), ErrOther},
		{"a user whose name differs in case", "shop", "192.0.2.1", with(func(p *Person) { p.Name = "Alice" }), ErrOther},
		{"nobody", "shop", "192.0.2.1", with(func(p *Person) { p.Identity = nil }), ErrNoPerson},
		{"a service", "shop", "192.0.2.1", with(func(p *Person) { p.Identity.Kind = proxy.Service }), ErrNoPerson},
		{"an agent of hers", "shop", "192.0.2.1", with(func(p *Person) { p.Identity.Kind, p.Identity.OnBehalfOf = proxy.Agent, "dev/alice" }), ErrNoPerson},
		{"her access token", "shop", "192.0.2.1", with(func(p *Person) { p.Identity.Claims = map[string]string{identity.ClaimToken: "t"} }), ErrNoPerson},
		{"her certificate", "shop", "192.0.2.1", with(func(p *Person) { p.Identity.Claims = map[string]string{identity.ClaimCertificate: "x509-1"} }), ErrNoPerson},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := open(t)
			o, id := l.offer(t, request("alice", c.resource, c.client))
			defer o.Close()
			recorded := false
			err := l.Confirm(t.Context(), id, o.Code, c.p, func() error { recorded = true; return nil })
			require.ErrorIs(t, err, c.want)
			require.Equal(t, c.want == nil, recorded)
			if c.want != nil {
				require.ErrorIs(t, err, proxy.ErrUnauthenticated)
				require.ErrorIs(t, l.Refuse(t.Context(), id, c.p), c.want)
				w, err := l.Find(t.Context(), id)
				require.NoError(t, err, "it waits still")
				require.Equal(t, Tries, w.Left, "nobody else uses up its tries")
			}
		})
	}
}

// TestAttackCodes: a link bears a few wrong codes, however many are typed at once.
func TestAttackCodes(t *testing.T) {
	l := open(t)
	other, _ := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer other.Close()
	for _, wrong := range []string{"", "-", other.Code, strings.Repeat("B", 1<<16)} {
		o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
		require.ErrorIs(t, l.Confirm(t.Context(), id, wrong, person("192.0.2.1"), nil), ErrCode)
		require.ErrorIs(t, l.Confirm(t.Context(), id, o.Code[:len(o.Code)-1], person("192.0.2.1"), nil), ErrCode)
		require.NoError(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
		o.Close()
	}
	o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer o.Close()
	var wg sync.WaitGroup
	answers := make(chan error, 20)
	for range cap(answers) {
		wg.Go(func() { answers <- l.Confirm(t.Context(), id, "BBBBB-BBBBB", person("192.0.2.1"), nil) })
	}
	wg.Wait()
	close(answers)
	looked := 0
	for err := range answers {
		if errors.Is(err, ErrCode) {
			looked++
		} else {
			require.ErrorIs(t, err, ErrGone)
		}
	}
	require.Equal(t, Tries, looked)
	require.ErrorIs(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil), ErrGone, "the right one comes too late")
	_, err := o.Wait(t.Context())
	require.ErrorIs(t, err, errGuessed)
}

// TestAttackFlood: only so many clients wait, and those that come and go count for a while.
func TestAttackFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t)
		try := func(user, address string) (func(), error) {
			o, err := l.Offer(t.Context(), request(user, "shop", address))
			return o.Close, err
		}
		for i := range MaxPerAddress {
			leave, err := try(fmt.Sprint("u", i), fmt.Sprintf("2001:db8::%x", i+1))
			require.NoError(t, err)
			leave()
		}
		_, err := try("alice", "2001:db8::1:1")
		require.ErrorIs(t, err, proxy.ErrTooManyLinks, "of one IPv6 network")
		time.Sleep(leastCounted + time.Second)
		_, err = try("alice", "2001:db8::1:1")
		require.NoError(t, err)

		for i := range MaxPerUser {
			_, err := try("bob", fmt.Sprintf("192.0.2.%d", i/4+1))
			require.NoError(t, err)
		}
		_, err = try("bob", "192.0.2.1")
		require.ErrorIs(t, err, proxy.ErrTooManyLinks, "for one user")
		leave, err := try("bob", "198.51.100.1")
		require.NoError(t, err, "others do not keep her out")
		_, err = try("bob", "198.51.100.1")
		require.ErrorIs(t, err, proxy.ErrTooManyLinks)
		leave()

		var last error
		n := 0
		for ; last == nil && n < 2*MaxWaiting; n++ {
			_, last = try(fmt.Sprint("v", n), fmt.Sprintf("203.0.%d.%d", n/200, n%200))
		}
		require.ErrorIs(t, last, proxy.ErrTooManyLinks, "in all")
		require.LessOrEqual(t, n, MaxWaiting)
	})
}

// TestCounts: who has left, or is in, is not counted for ever.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t)
		for i := range 3 {
			o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
			if i == 0 {
				require.NoError(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
				_, err := o.Wait(t.Context())
				require.NoError(t, err)
				o.Close()
				require.Zero(t, l.total, "who is in counts no more")
				continue
			}
			o.Close()
			_, err := l.Find(t.Context(), id)
			require.ErrorIs(t, err, ErrGone, "nobody waits there")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, l.total)
		require.Empty(t, l.counts)
		require.Empty(t, l.waiting)
	})
}

// TestExpires: nobody confirms a link after its time.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t)
		o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
		require.Equal(t, Life, time.Until(o.Expires))
		time.Sleep(Life - time.Second)
		_, err := l.Find(t.Context(), id)
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = l.Find(t.Context(), id)
		require.ErrorIs(t, err, ErrGone)
		require.ErrorIs(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil), ErrGone)
		ctx, cancel := context.WithDeadline(t.Context(), o.Expires)
		defer cancel()
		_, err = o.Wait(ctx)
		require.Error(t, err)
	})
}

// TestOtherGateway: a link is confirmed at another gateway on the same documents.
func TestOtherGateway(t *testing.T) {
	one := open(t)
	two := &Links{Documents: one.Documents, Sealer: one.Sealer, URL: one.URL, Terms: one.Terms}
	for _, whole := range []bool{false, true} {
		o, id := one.offer(t, request("alice", "shop", "192.0.2.1"))
		in := make(chan error, 1)
		go func() {
			_, err := o.Wait(t.Context())
			in <- err
		}()
		require.NoError(t, two.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
		if whole {
			one.FollowAll()
		} else {
			one.Follow("another")
			one.Follow(nameOf(id))
		}
		require.NoError(t, <-in)
		o.Close()
	}
}

// TestAttackDocuments: who can read or write the store neither learns a code nor confirms a link.
func TestAttackDocuments(t *testing.T) {
	l := open(t)
	o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer o.Close()
	victim, other := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer victim.Close()
	d, err := l.Documents.Get(t.Context(), Kind, nameOf(id))
	require.NoError(t, err)
	for _, secret := range []string{id, o.Code, strings.ReplaceAll(o.Code, "-", ""), "alice", "shop"} {
		require.NotContains(t, d.Name+string(d.Body), secret)
	}
	// One that was confirmed does not confirm another in whose place it is put.
	require.NoError(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
	confirmed, err := l.Documents.Get(t.Context(), Kind, nameOf(id))
	require.NoError(t, err)
	place, err := l.Documents.Get(t.Context(), Kind, nameOf(other))
	require.NoError(t, err)
	place.Body = confirmed.Body
	_, err = l.Documents.Write(t.Context(), Kind, place)
	require.NoError(t, err)
	_, err = l.Find(t.Context(), other)
	require.ErrorIs(t, err, identity.ErrSealed)
}

// broken are documents that fail when they are told to.
type broken struct {
	identity.Documents
	mu   sync.Mutex
	down bool
}

func (b *broken) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *broken) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("the store does not answer")
	}
	return nil
}

func (b *broken) Get(ctx context.Context, kind, name string) (identity.Document, error) {
	if err := b.err(); err != nil {
		return identity.Document{}, err
	}
	return b.Documents.Get(ctx, kind, name)
}

func (b *broken) Write(ctx context.Context, kind string, d identity.Document) (int64, error) {
	if err := b.err(); err != nil {
		return 0, err
	}
	return b.Documents.Write(ctx, kind, d)
}

// TestStoreAway: while the store does not answer nothing is offered or confirmed; who waits does
// so until it answers.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t)
		b := &broken{Documents: l.Documents}
		l.Documents = b
		o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
		defer o.Close()
		in := make(chan error, 1)
		go func() {
			_, err := o.Wait(t.Context())
			in <- err
		}()
		b.set(true)
		_, err := l.Offer(t.Context(), request("alice", "shop", "192.0.2.1"))
		require.Error(t, err)
		require.NotErrorIs(t, err, proxy.ErrNoLink)
		require.Error(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
		l.Follow(nameOf(id))
		synctest.Wait()
		b.set(false)
		require.NoError(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
		require.NoError(t, <-in)
	})
}

// TestWithdrawn: a link that the configuration does not offer any more logs nobody in.
func TestWithdrawn(t *testing.T) {
	l := open(t)
	o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer o.Close()
	l.Terms = func(proxy.LinkRequest) (Terms, bool) { return Terms{}, false }
	require.NoError(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), nil))
	_, err := o.Wait(t.Context())
	require.ErrorIs(t, err, errWithdrawn)
}

// TestUnrecorded: an answer that cannot be recorded does not count.
func TestUnrecorded(t *testing.T) {
	l := open(t)
	o, id := l.offer(t, request("alice", "shop", "192.0.2.1"))
	defer o.Close()
	full := errors.New("the disk is full")
	require.ErrorIs(t, l.Confirm(t.Context(), id, o.Code, person("192.0.2.1"), func() error { return full }), full)
	_, err := l.Find(t.Context(), id)
	require.NoError(t, err)
}

// TestNotOffered: what no link is for.
func TestNotOffered(t *testing.T) {
	l := open(t)
	account := func(name string) proxy.LinkRequest {
		q := request("alice", "shop", "192.0.2.1")
		q.Login.Account = name
		return q
	}
	for name, q := range map[string]proxy.LinkRequest{
		"another resource":              request("alice", "closed", "192.0.2.1"),
		"a name that no user can have":  request("al ice", "shop", "192.0.2.1"),
		"a name of a megabyte":          request(strings.Repeat("a", 1<<20), "shop", "192.0.2.1"),
		"a client without an address":   {Login: proxy.Login{User: "alice"}, Resource: "shop", Remote: &net.UnixAddr{}},
		"one whose address is not said": {Login: proxy.Login{User: "alice"}, Resource: "shop", Remote: &net.TCPAddr{}},
		"one that names nobody":         request("", "shop", "192.0.2.1"),
		"an account of a megabyte":      account(strings.Repeat("a", 1<<20)),
		"an account with a new line":    account("app\n"),
	} {
		_, err := l.Offer(t.Context(), q)
		require.ErrorIs(t, err, proxy.ErrNoLink, name)
	}
	require.Zero(t, l.total)
}

// TestCodes: each letter is as likely at each place.
func TestCodes(t *testing.T) {
	var counts [codeLen][256]int
	const n = 40000
	for range n {
		code := newCode()
		require.Len(t, code, codeLen)
		for i := range code {
			counts[i][code[i]]++
		}
	}
	for i := range counts {
		for _, c := range []byte(letters) {
			require.InDelta(t, n/len(letters), counts[i][c], 350, "%c", c) // 8 standard deviations
		}
	}
	require.NotEqual(t, newID(), newID())
}
