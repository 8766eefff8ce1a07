package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

type world struct {
	users   *Users
	docs    *identity.Memory
	options Options
	changes []identity.Change

	mu     sync.Mutex
	clock  time.Time
	people map[string][]string // groups, by subject
}

func newWorld(t *testing.T) *world {
	w := &world{docs: &identity.Memory{}, clock: time.Now(), people: map[string][]string{"entra/a-1": {"entra:dba"}, "entra/b-2": nil}}
	s, err := identity.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	w.options = Options{Documents: w.docs, Sealer: s, Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.clock }}
	a, err := OpenAuthority(t.Context(), ForUsers, w.options)
	require.NoError(t, err)
	w.users = &Users{Authority: a, Documents: w.docs, Changed: func(c identity.Change) { w.changes = append(w.changes, c) }, Owner: func(_ context.Context, subject, _ string) (*proxy.Identity, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		groups, ok := w.people[subject]
		if !ok {
			return nil, errors.New("she has left")
		}
		return &proxy.Identity{Subject: subject, Groups: groups}, nil
	}}
	return w
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) alice() User {
	return User{Name: "alice", Subject: "entra/a-1", Login: "l-1", Proven: w.options.Now().Add(-time.Minute), Expires: w.options.Now().Add(time.Hour)}
}

func (w *world) bob() User {
	u := w.alice()
	u.Name, u.Subject = "bob", "entra/b-2"
	return u
}

func ed(t *testing.T) (ed25519.PublicKey, gossh.PublicKey) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	key, err := gossh.NewPublicKey(public)
	require.NoError(t, err)
	return public, key
}

func (w *world) tls(t *testing.T, u User) proxy.Proof {
	key, _ := ed(t)
	cert, err := w.users.Sign(t.Context(), u, key)
	require.NoError(t, err)
	return proxy.Proof{Method: proxy.MethodCertificate, User: u.Name, Certificates: []*x509.Certificate{cert}}
}

func (w *world) ssh(t *testing.T, u User) proxy.Proof {
	_, key := ed(t)
	cert, err := w.users.SignSSH(t.Context(), u, key)
	require.NoError(t, err)
	return proxy.Proof{Method: proxy.MethodSSHCertificate, User: u.Name, PublicKey: cert.Marshal()}
}

// TestUsers: certificates of both kinds prove who they were signed for, at TLS and SSH.
func TestUsers(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	as := func(p proxy.Proof, name string) proxy.Proof { p.User = name; return p }
	identitytest.TestAuthenticator(t, func(*testing.T) proxy.Authenticator { return w.users },
		identitytest.Proofs{Right: w.tls(t, w.alice()), Wrong: other.tls(t, w.alice()), Unknown: as(other.tls(t, w.alice()), "nobody"), Other: as(w.tls(t, w.alice()), "bob")},
		identitytest.Proofs{Right: w.ssh(t, w.alice()), Wrong: other.ssh(t, w.alice()), Unknown: as(other.ssh(t, w.alice()), "nobody"), Other: as(w.ssh(t, w.alice()), "bob")},
	)
	for _, p := range []proxy.Proof{w.tls(t, w.alice()), w.ssh(t, w.alice())} {
		id, err := w.users.Authenticate(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, "entra/a-1", id.Subject)
		require.Equal(t, []string{"entra:dba"}, id.Groups, "as the owner has them now")
		require.Equal(t, "l-1", id.Claims[identity.ClaimLogin])
		require.WithinDuration(t, w.clock.Add(-time.Minute), id.AuthTime, time.Second)
		require.WithinDuration(t, w.clock.Add(time.Hour), id.Expires, time.Second)
		w.later(time.Hour + time.Second)
		_, err = w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, "it has expired")
		w.later(-time.Hour - time.Second)
	}
}

func TestUsersRefresher(t *testing.T) {
	w := newWorld(t)
	id, err := w.users.Authenticate(t.Context(), w.tls(t, w.alice()))
	require.NoError(t, err)
	identitytest.TestRefresher(t, w.users, identitytest.Refreshing{
		Identity: id,
		Groups:   func(_ *testing.T, groups ...string) { w.people["entra/a-1"] = groups },
		Remove:   func(*testing.T) { delete(w.people, "entra/a-1") },
	})
}

// TestForged: what another key, purpose or form of certificate says is not believed.
func TestForged(t *testing.T) {
	w := newWorld(t)
	servers, err := OpenAuthority(t.Context(), ForServers, w.options)
	require.NoError(t, err)
	_, err = (&Users{Authority: servers}).Sign(t.Context(), w.alice(), nil)
	require.ErrorContains(t, err, "authority for users")
	_, err = w.users.Authority.Server("gw.example.com")
	require.ErrorContains(t, err, "signs no servers")

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	u := w.alice()
	u.issued = w.clock
	made := func(by *authorityKey, change func(*x509.Certificate)) proxy.Proof {
		c := &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: "alice"}, URIs: []*url.URL{u.encode()}, NotBefore: w.clock.Add(-time.Minute), NotAfter: w.clock.Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		change(c)
		der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.signer)
		require.NoError(t, err)
		cert, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		return proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: []*x509.Certificate{cert}}
	}
	own := w.users.Authority.signing()
	_, err = w.users.Authenticate(t.Context(), made(own, func(*x509.Certificate) {}))
	require.NoError(t, err, "the template itself is right")
	for what, p := range map[string]proxy.Proof{
		"by the authority for servers": made(servers.signing(), func(*x509.Certificate) {}),
		"a server's":                   made(own, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"without a user":               made(own, func(c *x509.Certificate) { c.URIs = nil }),
		"of two users":                 made(own, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }),
		"of another form":              made(own, func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/alice"}} }),
		"not yet":                      made(own, func(c *x509.Certificate) { c.NotBefore = w.clock.Add(time.Minute) }),
		"no certificate":               {Method: proxy.MethodCertificate, User: "alice"},
		"the authority itself":         {Method: proxy.MethodCertificate, User: own.cert.Subject.CommonName, Certificates: []*x509.Certificate{own.cert}},
	} {
		_, err := w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, what)
	}

	_, public := ed(t)
	sshMade := func(by gossh.Signer, change func(*gossh.Certificate)) proxy.Proof {
		c, err := w.users.SignSSH(t.Context(), u, public)
		require.NoError(t, err)
		change(c)
		require.NoError(t, c.SignCert(rand.Reader, by))
		return proxy.Proof{Method: proxy.MethodSSHCertificate, User: "alice", PublicKey: c.Marshal()}
	}
	_, err = w.users.Authenticate(t.Context(), sshMade(own.ssh, func(*gossh.Certificate) {}))
	require.NoError(t, err)
	for what, p := range map[string]proxy.Proof{
		"by the authority for servers": sshMade(servers.signing().ssh, func(*gossh.Certificate) {}),
		"a host's":                     sshMade(own.ssh, func(c *gossh.Certificate) { c.CertType = gossh.HostCert }),
		"for everybody":                sshMade(own.ssh, func(c *gossh.Certificate) { c.ValidPrincipals = nil }),
		"for two":                      sshMade(own.ssh, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"alice", "bob"} }),
		"a critical option":            sshMade(own.ssh, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "x"} }),
		"without a user":               sshMade(own.ssh, func(c *gossh.Certificate) { delete(c.Extensions, extension) }),
		"a bare key":                   {Method: proxy.MethodSSHCertificate, User: "alice", PublicKey: public.Marshal()},
		"garbage":                      {Method: proxy.MethodSSHCertificate, User: "alice", PublicKey: []byte("x")},
	} {
		_, err := w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, what)
	}
}

func TestSignRefuses(t *testing.T) {
	w := newWorld(t)
	good, ssh := ed(t)
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	for what, c := range map[string]struct {
		change func(*User)
		key    any
	}{
		"no name":       {func(u *User) { u.Name = "" }, good},
		"a plus":        {func(u *User) { u.Name = "a+b" }, good},
		"no subject":    {func(u *User) { u.Subject = "" }, good},
		"too long":      {func(u *User) { u.Expires = w.clock.Add(MaxUserLife + time.Minute) }, good},
		"past":          {func(u *User) { u.Expires = w.clock }, good},
		"never proven":  {func(u *User) { u.Proven = time.Time{} }, good},
		"proven later":  {func(u *User) { u.Proven = w.clock.Add(time.Hour) }, good},
		"a short key":   {func(*User) {}, weak},
		"another's key": {func(*User) {}, "key"},
	} {
		u := w.alice()
		c.change(&u)
		_, err := w.users.Sign(t.Context(), u, c.key)
		require.Error(t, err, what)
	}
	cert, err := w.users.SignSSH(t.Context(), w.alice(), ssh)
	require.NoError(t, err)
	_, err = w.users.SignSSH(t.Context(), w.alice(), cert)
	require.Error(t, err, "a certificate is not certified")
}

// TestRevocation: what was revoked proves nobody, and nobody else's is touched.
func TestRevocation(t *testing.T) {
	w := newWorld(t)
	one, two, ssh, bob := w.tls(t, w.alice()), w.tls(t, w.alice()), w.ssh(t, w.alice()), w.tls(t, w.bob())
	id, err := w.users.Authenticate(t.Context(), one)
	require.NoError(t, err)
	require.Error(t, w.users.Revoke(t.Context(), id.Subject, "entra/a-1", "lost"))
	require.NoError(t, w.users.Revoke(t.Context(), id.Subject, id.Claims[identity.ClaimCertificate], "lost"))
	require.True(t, w.changes[0].Concerns(id))
	_, err = w.users.Authenticate(t.Context(), one)
	require.ErrorIs(t, err, ErrRevoked)
	_, err = w.users.Refresh(t.Context(), id)
	require.ErrorIs(t, err, ErrRevoked)
	for _, p := range []proxy.Proof{two, ssh, bob} {
		other, err := w.users.Authenticate(t.Context(), p)
		require.NoError(t, err)
		require.False(t, w.changes[0].Concerns(other))
	}
	w.later(time.Second)
	require.NoError(t, w.users.RevokeAll(t.Context(), "entra/a-1", "left"))
	for _, p := range []proxy.Proof{two, ssh} {
		_, err = w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, ErrRevoked)
	}
	_, err = w.users.Authenticate(t.Context(), bob)
	require.NoError(t, err)
	w.later(time.Second)
	_, err = w.users.Authenticate(t.Context(), w.ssh(t, w.alice()))
	require.NoError(t, err, "a certificate of a login since then counts")
	require.NoError(t, w.users.RevokeAll(t.Context(), "entra/a-1", "again"))
}

// TestRevokeSkew: what gateways have signed whose clocks are ahead does not count after a
// revocation at one whose clock is right or late; what is given afterwards does, everywhere and
// at once, and can be revoked in turn.
func TestRevokeSkew(t *testing.T) {
	w := newWorld(t)
	at := func(d time.Duration, do func()) {
		w.later(d)
		do()
		w.later(-d)
	}
	requireGone := func(proofs ...proxy.Proof) {
		t.Helper()
		for _, p := range proofs {
			_, err := w.users.Authenticate(t.Context(), p)
			require.ErrorIs(t, err, ErrRevoked)
		}
	}
	both := func(d time.Duration) (proofs []proxy.Proof) {
		at(d, func() { proofs = []proxy.Proof{w.tls(t, w.alice()), w.ssh(t, w.alice())} })
		return proofs
	}
	before := append(both(clockSkew-time.Second), both(0)...)
	for range 3 { // in a row, and at clocks that go back
		at(-time.Minute, func() { require.NoError(t, w.users.RevokeAll(t.Context(), "entra/a-1", "left")) })
		before = append(before, both(clockSkew-time.Minute-time.Second)...)
		require.NoError(t, w.users.RevokeAll(t.Context(), "entra/a-1", "left"))
		requireGone(before...)
		for _, d := range []time.Duration{-time.Minute, 0, time.Minute} {
			for _, p := range both(d) {
				for _, there := range []time.Duration{-time.Minute, 0, time.Minute} {
					at(there, func() {
						_, err := w.users.Authenticate(t.Context(), p)
						require.NoError(t, err, "signed at %s, used at %s", d, there)
					})
				}
				before = append(before, p)
			}
		}
	}
	last := both(0)
	id, err := w.users.Authenticate(t.Context(), last[0])
	require.NoError(t, err)
	at(-time.Minute, func() {
		require.NoError(t, w.users.Revoke(t.Context(), id.Subject, id.Claims[identity.ClaimCertificate], "lost"))
	})
	requireGone(last[0])
	at(-time.Minute, func() { require.NoError(t, w.users.RevokeLogin(t.Context(), "entra/a-1", "l-1", "logged out")) })
	requireGone(last...)
}

// TestRevokeLogin: what was given for one login ends with it, and what was given for
// another login of the same user does not.
func TestRevokeLogin(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.alice()
	elsewhere.Login = "l-2"
	none := w.alice()
	none.Login = ""
	gone := []proxy.Proof{w.tls(t, w.alice()), w.ssh(t, w.alice())}
	live, err := w.users.Authenticate(t.Context(), gone[0])
	require.NoError(t, err)
	others := []proxy.Proof{w.tls(t, elsewhere), w.ssh(t, elsewhere), w.tls(t, none)}
	require.Error(t, w.users.RevokeLogin(t.Context(), "entra/a-1", "", "logged out"))
	require.NoError(t, w.users.RevokeLogin(t.Context(), "entra/a-1", "l-1", "logged out"))
	require.True(t, w.changes[0].Ended && w.changes[0].Concerns(live))
	_, err = w.users.Refresh(t.Context(), live)
	require.ErrorIs(t, err, ErrRevoked)
	for _, p := range gone {
		_, err := w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, ErrRevoked)
	}
	for _, p := range others {
		id, err := w.users.Authenticate(t.Context(), p)
		require.NoError(t, err)
		require.False(t, w.changes[0].Concerns(id))
	}
}

// TestRevokeLoginSkew: what a gateway whose clock is ahead has signed before the login ended
// does not count either; what it has signed for another login does.
func TestRevokeLoginSkew(t *testing.T) {
	w := newWorld(t)
	w.later(clockSkew - time.Second)
	other := w.alice()
	other.Login = "l-2"
	ahead, goes := []proxy.Proof{w.tls(t, w.alice()), w.ssh(t, w.alice())}, w.tls(t, other)
	w.later(time.Second - clockSkew)
	require.NoError(t, w.users.RevokeLogin(t.Context(), "entra/a-1", "l-1", "logged out"))
	w.later(clockSkew)
	for _, p := range ahead {
		_, err := w.users.Authenticate(t.Context(), p)
		require.ErrorIs(t, err, ErrRevoked)
	}
	_, err := w.users.Authenticate(t.Context(), goes)
	require.NoError(t, err)
}

// TestRotate: while one key takes the place of another both count, then the new one
// alone, on every gateway.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	there, err := OpenAuthority(t.Context(), ForUsers, w.options)
	require.NoError(t, err)
	first := w.users.Authority.signing().ID
	require.Equal(t, first, there.signing().ID, "two gateways have one authority")
	require.Error(t, w.users.Authority.Rotate(t.Context(), time.Minute, 0))
	require.NoError(t, w.users.Authority.Rotate(t.Context(), time.Minute, 2*time.Hour))
	require.Equal(t, first, w.users.Authority.signing().ID, "the new one is announced")
	require.Len(t, w.users.Authority.Certificates(), 2)
	old, oldSSH := w.tls(t, w.alice()), w.ssh(t, w.alice())

	w.later(time.Minute)
	require.NotEqual(t, first, w.users.Authority.signing().ID)
	fresh := w.tls(t, w.alice())
	_, err = (&Users{Authority: there, Documents: w.docs, Owner: w.users.Owner}).Authenticate(t.Context(), fresh)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "it has not heard of the new key")
	require.NoError(t, there.Load(t.Context()))
	for _, p := range []proxy.Proof{old, oldSSH, fresh} {
		_, err = (&Users{Authority: there, Documents: w.docs, Owner: w.users.Owner}).Authenticate(t.Context(), p)
		require.NoError(t, err)
	}
	w.later(2 * time.Hour)
	require.Len(t, w.users.Authority.Certificates(), 1)
	require.Len(t, w.users.Authority.SSHKeys(), 1)
	u := w.alice()
	u.issued = w.clock
	_, err = w.users.Authenticate(t.Context(), old)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	_, err = w.users.Authenticate(t.Context(), w.tls(t, w.alice()))
	require.NoError(t, err)
	require.NoError(t, w.users.Authority.Rotate(t.Context(), 0, time.Hour))
	require.Len(t, w.users.Authority.keys, 2, "the first is forgotten")
}

// TestAuthorityKept: a stolen copy signs nothing, and a wrong key is told.
func TestAuthorityKept(t *testing.T) {
	w := newWorld(t)
	d, err := w.docs.Get(t.Context(), KindAuthority, string(ForUsers))
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(w.users.Authority.signing().signer)
	require.NoError(t, err)
	require.NotContains(t, string(d.Body), string(der))
	wrong := w.options
	wrong.Sealer, err = identity.NewSealer(nil)
	require.NoError(t, err)
	_, err = OpenAuthority(t.Context(), ForUsers, wrong)
	require.ErrorIs(t, err, identity.ErrSealed)
	require.NotContains(t, err.Error(), "key\":")
	_, err = OpenAuthority(t.Context(), ForUsers, Options{Documents: w.docs})
	require.Error(t, err)

	_, err = w.docs.Write(t.Context(), KindAuthority, identity.Document{Name: string(ForServers), Body: d.Body})
	require.NoError(t, err)
	_, err = OpenAuthority(t.Context(), ForServers, w.options)
	require.ErrorIs(t, err, identity.ErrSealed, "keys of another purpose are not taken")

	ids := make(chan string, 8)
	docs := &identity.Memory{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			o := w.options
			o.Documents = docs
			if a, err := OpenAuthority(t.Context(), ForUsers, o); err == nil {
				ids <- a.signing().ID
			}
		})
	}
	wg.Wait()
	require.Len(t, ids, 8)
	one := <-ids
	for range 7 {
		require.Equal(t, one, <-ids, "of several that make it at once, all have the same")
	}
}

// TestHandshake: the certificates work in TLS, both ways.
func TestHandshake(t *testing.T) {
	w := newWorld(t)
	servers, err := OpenAuthority(t.Context(), ForServers, w.options)
	require.NoError(t, err)
	pair, err := servers.Server("localhost", "127.0.0.1")
	require.NoError(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	cert, err := w.users.Sign(t.Context(), w.alice(), public)
	require.NoError(t, err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
	require.NoError(t, err)
	defer ln.Close()
	got := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			tc := c.(*tls.Conn)
			if err = tc.HandshakeContext(context.Background()); err == nil {
				_, err = w.users.Authenticate(context.Background(), proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: tc.ConnectionState().PeerCertificates})
			}
			c.Close()
		}
		got <- err
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: servers.Pool(), Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: private}}})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, <-got)
}

// TestRotateSSH: authorities for SSH are replaced as others are. They begin with a key that was kept elsewhere, where there is
// one, and certify nothing but SSH.
func TestRotateSSH(t *testing.T) {
	for _, purpose := range []Purpose{ForHosts, ForResources} {
		t.Run(string(purpose), func(t *testing.T) {
			w := newWorld(t)
			public, private, err := ed25519.GenerateKey(rand.Reader)
			require.NoError(t, err)
			asked := 0
			o := w.options
			o.First = func() (crypto.PrivateKey, error) { asked++; return private, nil }
			a, err := OpenAuthority(t.Context(), purpose, o)
			require.NoError(t, err)
			there, err := OpenAuthority(t.Context(), purpose, o)
			require.NoError(t, err)
			require.Equal(t, 1, asked, "the second gateway finds the authority")
			for _, one := range []*Authority{a, there} {
				require.Equal(t, public, one.Signer().Public())
				require.Equal(t, []crypto.PublicKey{public}, one.PublicKeys())
			}
			line, err := gossh.NewPublicKey(public)
			require.NoError(t, err)
			require.Equal(t, gossh.FingerprintSHA256(line), a.Keys()[0].Fingerprint)
			require.Equal(t, strings.TrimSpace(string(gossh.MarshalAuthorizedKey(line))), a.Keys()[0].PublicKey)

			require.NoError(t, a.Rotate(t.Context(), time.Hour, 2*time.Hour))
			require.NoError(t, there.Load(t.Context()))
			for _, one := range []*Authority{a, there} {
				require.Equal(t, public, one.Signer().Public(), "the next key is announced")
				require.Len(t, one.PublicKeys(), 2)
			}
			next := there.PublicKeys()[1]
			require.IsType(t, ed25519.PublicKey{}, next)
			w.later(time.Hour)
			for _, one := range []*Authority{a, there} {
				require.Equal(t, next, one.Signer().Public())
				require.Equal(t, []crypto.PublicKey{public, next}, one.PublicKeys(), "both count")
			}
			w.later(2 * time.Hour)
			require.Equal(t, []crypto.PublicKey{next}, there.PublicKeys())

			require.Empty(t, a.Certificates())
			_, err = a.Server("localhost")
			require.ErrorContains(t, err, "signs no servers")
			_, err = (&Users{Authority: a, Documents: w.docs}).Sign(t.Context(), w.alice(), public)
			require.ErrorContains(t, err, "need the authority for users")
			require.False(t, a.Signs(&x509.Certificate{}))
			d, err := w.docs.Get(t.Context(), KindAuthority, string(purpose))
			require.NoError(t, err)
			der, err := x509.MarshalPKCS8PrivateKey(a.Signer())
			require.NoError(t, err)
			require.NotContains(t, string(d.Body), base64.StdEncoding.EncodeToString(der))
		})
	}
	w, failing := newWorld(t), errors.New("the store does not answer")
	o := w.options
	o.First = func() (crypto.PrivateKey, error) { return nil, failing }
	_, err := OpenAuthority(t.Context(), ForHosts, o)
	require.ErrorIs(t, err, failing)
	o.First = nil
	a, err := OpenAuthority(t.Context(), ForHosts, o)
	require.NoError(t, err)
	require.IsType(t, ed25519.PublicKey{}, a.Signer().Public(), "without one it makes one")
}
