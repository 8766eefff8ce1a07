package websocket_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/proxy/tunnel"
	"github.com/sallyport/sallyport/proxy/tunnel/websocket"
)

// rig is a gateway that takes WebSockets.
type rig struct {
	server *tunnel.Server
	agents *ca.Agents
	at     string
}

func start(t *testing.T) *rig {
	docs := &identity.Memory{}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	authority, err := ca.OpenAuthority(t.Context(), ca.ForAgents, ca.Options{Documents: docs, Sealer: sealer})
	require.NoError(t, err)
	agents := &ca.Agents{Authority: authority, Documents: docs}
	cert, err := agents.Gateway(tunnel.ServerName)
	require.NoError(t, err)
	s := &tunnel.Server{
		Registry: agents, Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Roots: authority.Pool,
		Beat: 500 * time.Millisecond,
	}
	s.Upgrade = websocket.Upgrade(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		s.Close()
		require.NoError(t, <-served)
	})
	return &rig{s, agents, ln.Addr().String()}
}

// proxy is one that ends TLS, and passes HTTP on to the gateway.
func (r *rig) proxy(t *testing.T) (*url.URL, *x509.CertPool) {
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: r.at})
	to.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // as proxies do by default
	s := httptest.NewTLSServer(to)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	u.Scheme = "wss"
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return u, pool
}

// run enrols an agent and runs it, by dial.
func (r *rig) run(t *testing.T, dial tunnel.DialFunc) {
	token, err := r.agents.Token(t.Context(), ca.TokenRequest{Agent: "berlin", By: "test"})
	require.NoError(t, err)
	read, err := tunnel.ParseToken(token.Text)
	require.NoError(t, err)
	id, err := tunnel.Enrolment{Gateway: "gw.example.com:443", Token: read, Dial: dial}.Enrol(t.Context())
	require.NoError(t, err)
	f := tunnel.File(filepath.Join(t.TempDir(), "agent.json"))
	require.NoError(t, f.Save(id))
	allow, err := tunnel.ParseAllow("127.0.0.1")
	require.NoError(t, err)
	a := &tunnel.Agent{Keeper: f, Gateways: []string{"gw.example.com:443"}, Allow: allow, Dial: dial, DrainTimeout: time.Second, MaxWait: 200 * time.Millisecond}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool {
		list := r.server.Agents()
		return len(list) == 1 && list[0].Connected
	}, 20*time.Second, 5*time.Millisecond)
}

func echo(t *testing.T) string {
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
				io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func TestAnAgentBehindAProxyThatEndsTLS(t *testing.T) {
	r := start(t)
	u, roots := r.proxy(t)
	dial, err := websocket.Dialer{Roots: roots}.DialFunc(u)
	require.NoError(t, err)
	r.run(t, dial)
	for range 3 {
		c, err := r.server.Dialer("berlin").DialContext(t.Context(), "tcp", echo(t))
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // a megabyte
		go func() { _, _ = c.Write(sent) }()                    // an error shows when it is read
		got := make([]byte, len(sent))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(sent, got))
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return r.server.Agents()[0].Sessions == 0 }, 20*time.Second, 5*time.Millisecond)
}

// What ends the outer TLS is not the gateway, whatever it shows: the token is not sent to it.
func TestAProxyThatPosesAsTheGateway(t *testing.T) {
	r, other := start(t), start(t)
	u, roots := other.proxy(t)
	dial, err := websocket.Dialer{Roots: roots}.DialFunc(u)
	require.NoError(t, err)
	token, err := r.agents.Token(t.Context(), ca.TokenRequest{Agent: "berlin", By: "test"})
	require.NoError(t, err)
	read, err := tunnel.ParseToken(token.Text)
	require.NoError(t, err)
	_, err = tunnel.Enrolment{Gateway: "gw.example.com:443", Token: read, Dial: dial}.Enrol(t.Context())
	require.ErrorContains(t, err, "its authority is another")
}

func TestTheOuterTLSIsVerified(t *testing.T) {
	r := start(t)
	u, _ := r.proxy(t)
	dial, err := websocket.Dialer{Roots: x509.NewCertPool()}.DialFunc(u)
	require.NoError(t, err)
	_, err = dial(t.Context(), "tcp", "gw:1")
	require.ErrorContains(t, err, "certificate")
}

func TestServersThatTakeNoAgents(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"another page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"a redirection": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			u, err := url.Parse(s.URL)
			require.NoError(t, err)
			u.Scheme = "ws"
			dial, err := websocket.Dialer{}.DialFunc(u)
			require.NoError(t, err)
			_, err = dial(t.Context(), "tcp", "gw:1")
			require.Error(t, err)
		})
	}
	for _, text := range []string{"http://gw", "wss://", "gw:443", "wss://user:secret@gw"} {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		_, err = websocket.Dialer{}.DialFunc(u)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

// A WebSocket carries agents, and no further WebSocket: each would take memory, and time of its own.
func TestAWebSocketCarriesNoOther(t *testing.T) {
	r := start(t)
	u, roots := r.proxy(t)
	dial, err := websocket.Dialer{Roots: roots}.DialFunc(u)
	require.NoError(t, err)
	nc, err := dial(t.Context(), "tcp", "gw:1")
	require.NoError(t, err)
	defer nc.Close()
	for _, protos := range [][]string{nil, {"http/1.1"}} {
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
		require.Error(t, c.Handshake())
		if nc, err = dial(t.Context(), "tcp", "gw:1"); err == nil {
			defer nc.Close()
		}
		require.NoError(t, err)
	}
}

// Other pages than that of agents do not exist on the gateway's listener.
func TestOtherPages(t *testing.T) {
	r := start(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for path, want := range map[string]int{"/": http.StatusNotFound, "/v1/sessions": http.StatusNotFound, websocket.Path: http.StatusUpgradeRequired} {
		res, err := client.Get("https://" + r.at + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, path)
	}
}

// A certificate of the servers' authority does not open what needs one of agents.
func TestAStrangerInAWebSocket(t *testing.T) {
	r := start(t)
	u, roots := r.proxy(t)
	dial, err := websocket.Dialer{Roots: roots}.DialFunc(u)
	require.NoError(t, err)
	nc, err := dial(t.Context(), "tcp", "gw:1")
	require.NoError(t, err)
	defer nc.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "berlin"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	c := tls.Client(nc, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"sallyport-agent/1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	if c.Handshake() == nil {
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
	}
	require.Empty(t, r.server.Agents())
}
