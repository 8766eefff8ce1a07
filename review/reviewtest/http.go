package reviewtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// HTTP is a service that is told by HTTPS. It is a Service.
type HTTP struct {
	URL  string
	TLS  *tls.Config       // which trusts it
	Leaf *x509.Certificate // that it shows

	server    *httptest.Server
	elsewhere *httptest.Server
	taken     atomic.Int64
	strayed   atomic.Int64
	sent      atomic.Int64
	ending    chan struct{}

	mu       sync.Mutex
	does     Behaviour
	impostor tls.Certificate
}

// NewHTTP starts a service, which ends with the test. answer takes a request; nil takes it with 204. The body can be read.
func NewHTTP(t testing.TB, answer http.HandlerFunc) *HTTP {
	h := &HTTP{ending: make(chan struct{}), impostor: Certificate(t)}
	h.elsewhere = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { h.strayed.Add(1) }))
	if answer == nil {
		answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, answer) }))
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	genuine := Certificate(t)
	h.server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.behaviour() == Impostor {
			return &h.impostor, nil
		}
		return &genuine, nil
	}}
	h.server.StartTLS()
	h.server.TLS.Certificates = nil
	h.URL, h.TLS, h.Leaf = h.server.URL, Trust(genuine), genuine.Leaf
	t.Cleanup(func() {
		close(h.ending)
		h.server.CloseClientConnections()
		h.server.Close()
		h.elsewhere.Close()
	})
	return h
}

func (h *HTTP) behaviour() Behaviour {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.does
}

// Do implements Service.
func (h *HTTP) Do(b Behaviour) bool {
	h.mu.Lock()
	h.does = b
	h.mu.Unlock()
	h.server.CloseClientConnections()
	return true
}

// Taken implements Service.
func (h *HTTP) Taken() int { return int(h.taken.Load()) }

// Strayed implements Service.
func (h *HTTP) Strayed() int { return int(h.strayed.Load()) }

// Sent implements Service.
func (h *HTTP) Sent() int64 { return h.sent.Load() }

var loopback = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}

// maxFlood bounds a flood that nobody leaves.
const maxFlood = 256 << 20

func (h *HTTP) serve(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return
	}
	switch h.behaviour() {
	case Takes:
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
		h.taken.Add(1) // before the answer is sent, and after what answer notes
	case Fails:
		http.Error(w, "it is broken: "+string(body), http.StatusInternalServerError)
	case Busy:
		w.Header().Set("Retry-After", strconv.Itoa(int(BusyFor/time.Second)))
		w.WriteHeader(http.StatusTooManyRequests)
	case Hangs:
		select {
		case <-r.Context().Done():
		case <-h.ending:
		}
		panic(http.ErrAbortHandler)
	case Cuts:
		h.taken.Add(1)
		panic(http.ErrAbortHandler)
	case Redirects:
		w.Header().Set("Location", h.elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Babbles:
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "\x00<html>")
	case Floods:
		w.WriteHeader(http.StatusOK)
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for h.sent.Load() < maxFlood {
			n, err := w.Write(chunk)
			h.sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// Trust is TLS that trusts a certificate alone.
func Trust(c tls.Certificate) *tls.Config {
	t := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	t.RootCAs.AddCert(c.Leaf)
	return t
}

// Certificate makes one of localhost, 127.0.0.1 and ::1 that signs itself.
func Certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "reviewtest"}, DNSNames: []string{"localhost"}, IPAddresses: loopback,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
