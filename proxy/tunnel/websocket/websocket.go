// Package websocket carries the connections of agents in WebSockets, through proxies that understand
// HTTP alone. What they carry is the TLS of package tunnel, between agent and gateway: a proxy that
// ends the outer TLS sees and changes nothing.
package websocket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport/sallyport/proxy/tunnel"
)

// Path is where a gateway takes WebSockets of agents.
const Path = "/sallyport/agent"

const (
	subprotocol = "sallyport-agent"
	timeout     = 15 * time.Second
	maxMessage  = 64 << 10 // of what is sent; what comes is not kept
)

// Dialer opens WebSockets.
type Dialer struct {
	// Dial opens the connections below; nil connects by TCP.
	Dial tunnel.DialFunc
	// Roots are what the outer TLS trusts; nil is the system's.
	Roots *x509.CertPool
}

// DialFunc returns what dials a gateway by a WebSocket at a URL, whose scheme is ws or wss, whatever
// address it is given: that is the gateway's name in messages.
func (d Dialer) DialFunc(at *url.URL) (tunnel.DialFunc, error) {
	if at.Scheme != "ws" && at.Scheme != "wss" || at.Host == "" || at.User != nil {
		return nil, fmt.Errorf("the WebSocket %s: want ws:// or wss:// with a host, and without a user", at.Redacted())
	}
	to := *at
	if to.Path == "" || to.Path == "/" {
		to.Path = Path
	}
	dial := d.Dial
	if dial == nil {
		dial = tunnel.Direct
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		// Each connection has a transport of its own: it is not pooled.
		t := &http.Transport{
			DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 16 << 10,
			TLSClientConfig: &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		}
		ws, res, err := websocket.Dial(ctx, to.String(), &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it redirects, which is not followed")
			}},
			Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
		})
		if err != nil {
			if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
				return nil, fmt.Errorf("by the WebSocket %s: the server answers %s", to.Redacted(), http.StatusText(res.StatusCode))
			}
			return nil, fmt.Errorf("by the WebSocket %s: %w", to.Redacted(), err)
		}
		if ws.Subprotocol() != subprotocol {
			ws.CloseNow()
			return nil, fmt.Errorf("by the WebSocket %s: the server does not take agents", to.Redacted())
		}
		return carry(ws, nil), nil
	}, nil
}

// carry returns a WebSocket as a connection. remote is the other end's address, where the WebSocket does
// not know it.
func carry(ws *websocket.Conn, remote net.Addr) *conn {
	ctx, end := context.WithCancel(context.Background())
	return &conn{Conn: websocket.NetConn(ctx, ws, websocket.MessageBinary), ws: ws, end: end, remote: remote, closed: make(chan struct{})}
}

// conn is a WebSocket as a connection. Close does not wait for the other end: what is closed well has
// said so by its own TLS.
type conn struct {
	net.Conn
	ws     *websocket.Conn
	end    context.CancelFunc
	remote net.Addr
	once   sync.Once
	closed chan struct{}
}

// Write sends b in messages that the other end takes.
func (c *conn) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var m int
		m, err = c.Conn.Write(b[:min(len(b), maxMessage)])
		n, b = n+m, b[m:]
	}
	return n, err
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.end()
		c.ws.CloseNow()
	})
	return nil
}

// RemoteAddr returns the address of the other end.
func (c *conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// Upgrade returns what serves a server's HTTP connections; see [tunnel.Server.Upgrade].
func Upgrade(s *tunnel.Server) func(ctx context.Context, c net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		var served sync.WaitGroup
		defer served.Wait()
		h := &http.Server{
			Handler: handler{s, c.RemoteAddr(), &served}, BaseContext: func(net.Listener) context.Context { return ctx },
			ReadHeaderTimeout: timeout, ReadTimeout: timeout, IdleTimeout: timeout, MaxHeaderBytes: 16 << 10,
			ErrorLog: discard,
		}
		one := &single{conn: c, ended: make(chan struct{})}
		_ = h.Serve(one) // ends with the connection, by net.ErrClosed
	}
}

type handler struct {
	server *tunnel.Server
	remote net.Addr
	served *sync.WaitGroup
}

// ServeHTTP takes a WebSocket, and serves what it carries until that ends.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.served.Add(1)
	defer h.served.Done()
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	// Agents are not browsers, and no cookie counts here: where a page is from says nothing.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true,
	})
	if err != nil {
		return // it has answered
	}
	if ws.Subprotocol() != subprotocol {
		ws.CloseNow()
		return
	}
	c := carry(ws, h.remote)
	h.server.ServeConn(r.Context(), c)
	<-c.closed
}
