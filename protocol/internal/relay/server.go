package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of what a client may send before it is known what it asks for.
const (
	maxHeader    = 64 << 10
	headerTime   = 20 * time.Second
	idleConn     = 2 * time.Minute
	maxStreams   = 250
	streamBuffer = 1 << 20
)

// Server serves the requests of a gateway's connections. The zero value is ready; it must not be copied.
type Server struct {
	once   sync.Once
	server *http.Server
	conns  *queue
}

func (s *Server) begin(g *proxy.Gateway, h http.Handler, log *slog.Logger) {
	s.once.Do(func() {
		s.conns = &queue{conns: make(chan net.Conn), done: make(chan struct{})}
		protocols := &http.Protocols{}
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		s.server = &http.Server{
			Handler: logged(h, log), MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTime, IdleTimeout: idleConn, Protocols: protocols,
			HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 4 * streamBuffer, MaxReceiveBufferPerStream: streamBuffer},
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, connKey{}, connOf(c))
			},
		}
		context.AfterFunc(g.Draining(), func() { // what runs may end; see Gateway.Serve
			_ = s.server.Shutdown(context.Background()) // the gateway cuts what does not end
		})
		go func() {
			if err := s.server.Serve(s.conns); !errors.Is(err, http.ErrServerClosed) {
				log.Error("connections are not served any more", "err", err)
			}
		}()
	})
}

// Serve serves the requests of one connection, which is protected by config, and returns when it is closed. One of a client that
// is known is not protected, since it is inside of the process. The first call's handler and log are those of all.
func (s *Server) Serve(ctx context.Context, c *proxy.Conn, config *tls.Config, h http.Handler, log *slog.Logger) error {
	s.begin(c.Gateway(), h, log)
	in := &conn{Conn: c, closed: make(chan struct{})}
	if c.IsKnown() {
		return s.hand(c, in, in)
	}
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	// A client that resumes a session is not shown the certificate: it would not see a new one.
	config.SessionTicketsDisabled = true
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	t := tls.Server(in, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	return s.hand(c, in, t)
}

// hand gives a connection to the server, as what it reads, and returns when it is closed.
func (s *Server) hand(c *proxy.Conn, in *conn, as net.Conn) error {
	// What is left of the handshake's time is that of the first request, as the server has it.
	if err := c.Established(); err != nil {
		return err
	}
	select {
	case s.conns.conns <- as:
	case <-s.conns.done:
		return proxy.ErrShutdown
	}
	<-in.closed // by the server, by a handler that has taken it over, or by the gateway
	return nil
}

// ConnOf returns the gateway's connection that a request came by; nil where it came by none.
func ConnOf(r *http.Request) *proxy.Conn {
	c, _ := r.Context().Value(connKey{}).(*proxy.Conn)
	return c
}

// conn is a client's connection that tells when it is closed.
type conn struct {
	*proxy.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

type connKey struct{}

// connOf is the gateway's connection that the server reads, under TLS where there is that.
func connOf(c net.Conn) *proxy.Conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if own, ok := c.(*conn); ok {
		return own.Conn
	}
	return nil
}

// queue hands connections to the server, as a listener.
type queue struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
