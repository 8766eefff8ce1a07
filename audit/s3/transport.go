package s3

import (
	"context"
	"net"
	"net/http"
	"time"
)

// newTransport ends connections that stand still, in whatever direction and at
// whatever point of a request.
func newTransport(c Config) *http.Transport {
	dialer := net.Dialer{Timeout: min(c.Timeout, 10*time.Second)}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS, ForceAttemptHTTP2: false,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &stalling{conn, c.Timeout}, nil
		},
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: c.Timeout,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
}

// stalling is a connection that fails when nothing moves on it for a time.
type stalling struct {
	net.Conn
	timeout time.Duration
}

func (s *stalling) Read(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Read(p)
}

func (s *stalling) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}
