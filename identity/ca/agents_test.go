package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy/tunnel"
)

// failing are documents that can be made not to answer.
type failing struct {
	identity.Documents
	err error
}

func (f *failing) Get(ctx context.Context, kind, name string) (identity.Document, error) {
	if f.err != nil {
		return identity.Document{}, f.err
	}
	return f.Documents.Get(ctx, kind, name)
}

type agentsRig struct {
	*ca.Agents
	docs *failing
	now  time.Time
}

func newAgents(t *testing.T) *agentsRig {
	r := &agentsRig{docs: &failing{Documents: &identity.Memory{}}, now: time.Now()}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	authority, err := ca.OpenAuthority(t.Context(), ca.ForAgents, ca.Options{Documents: r.docs, Sealer: sealer, Now: func() time.Time { return r.now }})
	require.NoError(t, err)
	r.Agents = &ca.Agents{Authority: authority, Documents: r.docs}
	return r
}

var from = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 40000}

func certRequest(t *testing.T, key any) *x509.CertificateRequest {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{tunnel.ServerName}}, key)
	require.NoError(t, err)
	r, err := x509.ParseCertificateRequest(der)
	require.NoError(t, err)
	return r
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func (r *agentsRig) token(t *testing.T, name string) tunnel.Token {
	text, err := r.Token(t.Context(), ca.TokenRequest{Agent: name, By: "alice"})
	require.NoError(t, err)
	token, err := tunnel.ParseToken(text.Text)
	require.NoError(t, err)
	return token
}

func (r *agentsRig) enrol(t *testing.T, name string) *x509.Certificate {
	token := r.token(t, name)
	issued, err := r.Enrol(t.Context(), token.ID, token.Secret, certRequest(t, p256(t)), from)
	require.NoError(t, err)
	require.Equal(t, name, issued.Agent)
	cert, err := x509.ParseCertificate(issued.Chain[0])
	require.NoError(t, err)
	return cert
}

func TestAgentsEnrol(t *testing.T) {
	r := newAgents(t)
	cert := r.enrol(t, "berlin-1")
	require.Empty(t, cert.DNSNames, "an agent chooses no name of its own")
	_, err := cert.Verify(x509.VerifyOptions{Roots: r.Authority.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.NoError(t, err)
	_, err = cert.Verify(x509.VerifyOptions{Roots: r.Authority.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	require.Error(t, err, "an agent could pass for a gateway")
	name, err := r.Known(t.Context(), cert)
	require.NoError(t, err)
	require.Equal(t, "berlin-1", name)
	list, err := r.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "alice", list[0].By)
	require.Equal(t, "192.0.2.7:40000", list[0].From)
}

func TestTokensOfAgents(t *testing.T) {
	r := newAgents(t)
	for _, q := range []ca.TokenRequest{
		{}, {Agent: "Berlin"}, {Agent: "-a"}, {Agent: "a b"}, {Agent: "a/b"}, {Agent: "../x"}, {Agent: "a", For: -1}, {Agent: "a", For: ca.MaxTokenLife + 1},
	} {
		_, err := r.Token(t.Context(), q)
		require.Error(t, err, q)
	}
	token := r.token(t, "berlin")
	use := func(id, secret string) error {
		_, err := r.Enrol(t.Context(), id, secret, certRequest(t, p256(t)), from)
		return err
	}
	require.ErrorIs(t, use(token.ID, "wrong"), tunnel.ErrToken)
	require.ErrorIs(t, use("other", token.Secret), tunnel.ErrToken)
	require.ErrorIs(t, use(token.ID, ""), tunnel.ErrToken)
	r.now = r.now.Add(time.Hour)
	require.ErrorIs(t, use(token.ID, token.Secret), tunnel.ErrToken, "it has expired")
	r.now = r.now.Add(-time.Minute)
	require.NoError(t, use(token.ID, token.Secret))
	require.ErrorIs(t, use(token.ID, token.Secret), tunnel.ErrToken, "it was used")
	d, err := r.docs.List(t.Context(), ca.KindAgentToken, "", 10)
	require.NoError(t, err)
	require.Empty(t, d)
	// What is kept of a token opens nothing.
	token = r.token(t, "paris")
	d, err = r.docs.List(t.Context(), ca.KindAgentToken, "", 10)
	require.NoError(t, err)
	require.NotContains(t, string(d[0].Body), token.Secret)
}

// Of many who use one token at once, one enrols.
func TestATokenOfAnAgentIsUsedOnce(t *testing.T) {
	r := newAgents(t)
	token := r.token(t, "berlin")
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for range 20 {
		q := certRequest(t, p256(t))
		wg.Go(func() {
			_, err := r.Enrol(t.Context(), token.ID, token.Secret, q, from)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	n := 0
	for err := range errs {
		if err == nil {
			n++
		} else {
			require.ErrorIs(t, err, tunnel.ErrToken)
		}
	}
	require.Equal(t, 1, n)
}

func TestAgentsAreRevoked(t *testing.T) {
	r := newAgents(t)
	cert, other := r.enrol(t, "berlin"), r.enrol(t, "paris")
	require.ErrorIs(t, r.Revoke(t.Context(), ca.Revocation{Agent: "rome", By: "root", Reason: "x"}), ca.ErrNoAgent)
	require.NoError(t, r.Revoke(t.Context(), ca.Revocation{Agent: "berlin", By: "root", Reason: "its machine was stolen"}))
	_, err := r.Known(t.Context(), cert)
	require.ErrorIs(t, err, tunnel.ErrRevoked)
	_, err = r.Renew(t.Context(), cert, certRequest(t, p256(t)))
	require.ErrorIs(t, err, tunnel.ErrRevoked)
	_, err = r.Known(t.Context(), other)
	require.NoError(t, err)
	again := r.enrol(t, "berlin")
	_, err = r.Known(t.Context(), again)
	require.NoError(t, err)
	_, err = r.Known(t.Context(), cert)
	require.ErrorIs(t, err, tunnel.ErrRevoked, "a certificate counts again, since another of its name does")
}

// An agent that enrols takes the place of the one of its name.
func TestAnAgentEnrolsAgain(t *testing.T) {
	r := newAgents(t)
	first := r.enrol(t, "berlin")
	second := r.enrol(t, "berlin")
	_, err := r.Known(t.Context(), first)
	require.ErrorIs(t, err, tunnel.ErrRevoked)
	_, err = r.Known(t.Context(), second)
	require.NoError(t, err)
}

func TestCertificatesOfAgentsAreRenewed(t *testing.T) {
	r := newAgents(t)
	first := r.enrol(t, "berlin")
	r.now = r.now.Add(24 * time.Hour)
	issued, err := r.Renew(t.Context(), first, certRequest(t, p256(t)))
	require.NoError(t, err)
	second, err := x509.ParseCertificate(issued.Chain[0])
	require.NoError(t, err)
	for _, c := range []*x509.Certificate{first, second} { // the first may still be in use
		name, err := r.Known(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, "berlin", name)
	}
	require.Equal(t, r.now.Add(ca.AgentLife).Unix(), second.NotAfter.Unix())
}

func TestKeysThatAgentsMayNotHave(t *testing.T) {
	r := newAgents(t)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	token := r.token(t, "berlin")
	_, err = r.Enrol(t.Context(), token.ID, token.Secret, certRequest(t, small), from)
	require.ErrorContains(t, err, "ECDSA")
	_, err = r.Enrol(t.Context(), token.ID, token.Secret, certRequest(t, p256(t)), from)
	require.NoError(t, err, "the token was used up by a request that was refused")
}

func TestAgentsWhileTheStoreDoesNotAnswer(t *testing.T) {
	r := newAgents(t)
	cert := r.enrol(t, "berlin")
	r.docs.err = errors.New("down")
	_, err := r.Known(t.Context(), cert)
	require.NoError(t, err)
	r.now = r.now.Add(ca.AgentStale)
	_, err = r.Known(t.Context(), cert)
	require.ErrorIs(t, err, ca.ErrUnavailable)
	r.docs.err = nil
	require.NoError(t, r.Revoke(t.Context(), ca.Revocation{Agent: "berlin", By: "root", Reason: "x"}))
	r.docs.err = errors.New("down")
	_, err = r.Known(t.Context(), cert)
	require.ErrorIs(t, err, tunnel.ErrRevoked)
}

// Certificates that other authorities of the gateway have signed are not those of agents.
func TestOtherCertificatesAreNotThoseOfAgents(t *testing.T) {
	r := newAgents(t)
	cert, err := r.Gateway(tunnel.ServerName)
	require.NoError(t, err)
	_, err = r.Known(t.Context(), cert.Leaf)
	require.ErrorIs(t, err, tunnel.ErrRevoked)
	_, err = r.Renew(t.Context(), cert.Leaf, certRequest(t, p256(t)))
	require.Error(t, err)
	_, err = (&ca.Agents{}).Gateway("x")
	require.Error(t, err)
}

// While another key takes the place of the one that certifies agents, those whose certificates count know
// the gateway, and it knows them.
func TestAgentsFollowTheAuthority(t *testing.T) {
	r := newAgents(t)
	before := r.enrol(t, "berlin")
	old := r.token(t, "paris")
	require.NoError(t, r.Authority.Rotate(t.Context(), ca.AgentLife, ca.AgentLife))
	from := r.now.Add(ca.AgentLife)
	trusts := func(roots [][]byte) error {
		pool := x509.NewCertPool()
		for _, der := range roots {
			c, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			pool.AddCert(c)
		}
		gateway, err := r.Gateway(tunnel.ServerName)
		require.NoError(t, err)
		_, err = gateway.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: r.now, DNSName: tunnel.ServerName})
		return err
	}
	counts := func(c *x509.Certificate) error {
		_, err := c.Verify(x509.VerifyOptions{Roots: r.Authority.Pool(), CurrentTime: r.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err
	}
	r.now = r.now.Add(ca.AgentLife / 3)
	issued, err := r.Renew(t.Context(), before, certRequest(t, p256(t)))
	require.NoError(t, err)
	require.Len(t, issued.Roots, 2)
	renewed, err := x509.ParseCertificate(issued.Chain[0])
	require.NoError(t, err)
	gateway, err := r.Gateway(tunnel.ServerName)
	require.NoError(t, err)
	require.NoError(t, trusts(issued.Roots))

	r.now = from.Add(time.Minute)
	require.False(t, r.Authority.Signs(gateway.Leaf), "the gateway would not certify itself anew")
	require.NoError(t, trusts(issued.Roots), "an agent that was renewed does not know the gateway any more")
	require.Error(t, trusts(issued.Roots[:1]), "the gateway is certified by the key before")
	require.Error(t, counts(before), "it outlives what it knows")
	require.NoError(t, counts(renewed))
	require.NotEqual(t, old.Pin, r.token(t, "paris").Pin, "a token is not of the key that certifies")

	r.now = from.Add(ca.AgentLife - time.Minute)
	require.NoError(t, counts(r.enrol(t, "rome")))
	r.now = from.Add(ca.AgentLife + time.Minute)
	require.Len(t, r.Authority.Certificates(), 1)
	require.Error(t, counts(renewed))
	require.NoError(t, counts(r.enrol(t, "oslo")))
}
