package tunnel

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// registry is a Registry in memory, with an authority.
type registry struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	life time.Duration

	mu      sync.Mutex
	tokens  map[string]Token // by identifier
	names   map[string]string
	revoked map[string]bool
	issued  int
	down    error
}

func newRegistry(t testing.TB) *registry {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &registry{cert: cert, key: key, life: 24 * time.Hour, tokens: map[string]Token{}, names: map[string]string{}, revoked: map[string]bool{}}
}

func (r *registry) token(agent string) Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := Token{ID: newName(), Secret: newName(), Pin: PinOf(r.cert)}
	r.tokens[t.ID], r.names[t.ID] = t, agent
	return t
}

func (r *registry) sign(name string, usage x509.ExtKeyUsage, public any, names ...string) [][]byte {
	r.issued++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(100 + r.issued)), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(r.life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, DNSNames: names,
		URIs: []*url.URL{{Scheme: "sallyport", Host: "agent", Path: "/" + name}},
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, r.cert, public, r.key)
	if err != nil {
		panic(err)
	}
	return [][]byte{der, r.cert.Raw}
}

func (r *registry) Enrol(_ context.Context, id, secret string, q *x509.CertificateRequest, _ net.Addr) (Issued, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.tokens[id]
	if !ok || t.Secret != secret {
		return Issued{}, ErrToken
	}
	delete(r.tokens, id)
	return Issued{Agent: r.names[id], Chain: r.sign(r.names[id], x509.ExtKeyUsageClientAuth, q.PublicKey), Roots: [][]byte{r.cert.Raw}}, nil
}

func (r *registry) Known(_ context.Context, c *x509.Certificate) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return "", r.down
	}
	if r.revoked[c.Subject.CommonName] {
		return "", ErrRevoked
	}
	return c.Subject.CommonName, nil
}

func (r *registry) Renew(ctx context.Context, c *x509.Certificate, q *x509.CertificateRequest) (Issued, error) {
	name, err := r.Known(ctx, c)
	if err != nil {
		return Issued{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return Issued{Agent: name, Chain: r.sign(name, x509.ExtKeyUsageClientAuth, q.PublicKey), Roots: [][]byte{r.cert.Raw}}, nil
}

func (r *registry) revoke(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[name] = true
}

// server returns the certificate of a gateway.
func (r *registry) server(t testing.TB, names ...string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	chain := r.sign("gateway", x509.ExtKeyUsageServerAuth, &key.PublicKey, append(names, ServerName)...)
	return &tls.Certificate{Certificate: chain, PrivateKey: key}
}

// gate is a gateway that listens.
type gate struct {
	*Server
	address  string
	listener net.Listener
	stop     context.CancelFunc
	served   chan error
}

// logs is what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// gateway starts a gateway on a registry. Beats are short.
func gateway(t testing.TB, r *registry, change ...func(*Server)) *gate {
	cert := r.server(t)
	pool := x509.NewCertPool()
	pool.AddCert(r.cert)
	g := &gate{served: make(chan error, 1), Server: &Server{
		Registry: r, Certificate: func() (*tls.Certificate, error) { return cert, nil }, Roots: func() *x509.CertPool { return pool },
		Beat: 500 * time.Millisecond, ProbeTimeout: 500 * time.Millisecond, Log: (&logs{}).logger(),
	}}
	for _, c := range change {
		c(g.Server)
	}
	g.listen(t, testserver.FreeAddress(t)) // which nobody gets when it is killed
	return g
}

func (g *gate) listen(t testing.TB, address string) {
	ln, err := net.Listen("tcp", address)
	require.NoError(t, err)
	g.address, g.listener = address, ln
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	go func() { g.served <- g.Serve(ctx, ln) }()
	t.Cleanup(g.kill)
}

// kill ends the gateway without a word.
func (g *gate) kill() {
	g.stop()
	g.listener.Close() // at once; Serve does it soon
	g.Close()
}

// enrolled returns the file of an agent that has enrolled.
func enrolled(t testing.TB, r *registry, g *gate, name string) File {
	id, err := Enrolment{Gateway: g.address, Token: r.token(name)}.Enrol(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, id.Agent)
	f := File(filepath.Join(t.TempDir(), name+".json"))
	require.NoError(t, f.Save(id))
	return f
}

// running is an agent that runs.
type running struct {
	*Agent
	stop  context.CancelFunc
	ended chan error
}

// agentAt starts an agent that may connect to this machine.
func agentAt(t testing.TB, f File, addresses []string, change ...func(*Agent)) *running {
	allow, err := ParseAllow("127.0.0.0/8", "::1")
	require.NoError(t, err)
	a := &Agent{Keeper: f, Gateways: addresses, Allow: allow, MaxWait: 200 * time.Millisecond, DrainTimeout: time.Second, Log: (&logs{}).logger()}
	for _, c := range change {
		c(a)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Agent: a, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- a.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

func (r *running) end(t testing.TB) {
	r.stop()
	select {
	case err := <-r.ended:
		r.ended <- err
	case <-time.After(20 * time.Second):
		t.Error("the agent has not ended")
	}
}

// connected waits until an agent is connected to a gateway.
func connected(t testing.TB, g *gate, name string) Status {
	t.Helper()
	var st Status
	eventually(t, func() bool {
		for _, st = range g.Agents() {
			if st.Agent == name && st.Connected {
				return true
			}
		}
		return false
	})
	return st
}

func eventually(t testing.TB, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 20*time.Second, 5*time.Millisecond)
}

// resource is a server that gives each connection to serve.
func resource(t testing.TB, serve func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return ln.Addr().String()
}

// echo is a resource that sends back what it gets.
func echo(t testing.TB) string { return resource(t, func(c net.Conn) { io.Copy(c, c) }) }

// open dials by an agent.
func open(t testing.TB, g *gate, agent, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := g.Dialer(agent).DialContext(ctx, "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// say sends a text to an echo, and wants it back.
func say(t testing.TB, c net.Conn, text string) {
	t.Helper()
	require.NoError(t, said(c, text))
}

func said(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != text {
		return fmt.Errorf("got %q, want %q", b, text)
	}
	return nil
}

// rig is a gateway with an agent.
func rig(t testing.TB, change ...func(*Agent)) (*registry, *gate, *running) {
	r := newRegistry(t)
	g := gateway(t, r)
	a := agentAt(t, enrolled(t, r, g, "berlin"), []string{g.address}, change...)
	connected(t, g, "berlin")
	return r, g, a
}

// link is a way between two that can be made to carry nothing, as a link that is half open.
type link struct {
	address string
	mu      sync.Mutex
	open    chan struct{} // is closed while the link carries
	conns   map[net.Conn]bool
}

func newLink(t testing.TB, to string) *link {
	l := &link{open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(l.open)
	l.address = resource(t, func(c net.Conn) {
		<-l.carries()
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.conns[c], l.conns[up] = true, true
		l.mu.Unlock()
		var wg sync.WaitGroup
		for _, pair := range [][2]net.Conn{{c, up}, {up, c}} {
			wg.Go(func() {
				defer pair[0].Close()
				b := make([]byte, 32<<10)
				for {
					n, err := pair[1].Read(b)
					<-l.carries()
					if err != nil {
						return
					}
					if _, err := pair[0].Write(b[:n]); err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
	})
	t.Cleanup(func() { l.thaw(); l.cut() })
	return l
}

func (l *link) carries() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// freeze has the link carry nothing; neither end is told.
func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(chan struct{})
}

func (l *link) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

// cut closes what the link carries.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}
