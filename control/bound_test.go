package control_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// bound is a listener with bounds, and who connects to it.
type bound struct {
	net.Listener
	accepted chan net.Conn
}

func openBound(t *testing.T, total, perAddress int) *bound {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &bound{control.Bound(inner, total, perAddress), make(chan net.Conn, 10)}
	t.Cleanup(func() { b.Close() })
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			b.accepted <- c
		}
	}()
	return b
}

// from connects from an address of this machine.
func (b *bound) from(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", b.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// let connects, and returns the connection at both ends.
func (b *bound) let(t *testing.T, address string) (client, server net.Conn) {
	t.Helper()
	client = b.from(t, address)
	return client, <-b.accepted
}

func requireClosed(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "it is closed")
}

func requireOpen(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(-time.Second)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it is open")
}

// proves has the user at the other end of a connection proven.
func proves(t *testing.T, c net.Conn) {
	t.Helper()
	control.Proven(httptest.NewRequestWithContext(control.BoundContext(t.Context(), c), "GET", "/", nil))
}

// TestBound: one address does not keep others out, and a place is free again once its
// connection is closed.
func TestBound(t *testing.T) {
	b := openBound(t, 3, 2)
	_, first := b.let(t, "127.0.0.1")
	b.let(t, "127.0.0.1")
	requireClosed(t, b.from(t, "127.0.0.1"))
	first.Close()
	first.Close()
	b.let(t, "127.0.0.1")
	requireClosed(t, b.from(t, "127.0.0.1"))
}

// TestBoundTotal: connections that prove nobody give way to new ones, the oldest first, and
// those that do stay.
func TestBoundTotal(t *testing.T) {
	b := openBound(t, 3, 2)
	first, server := b.let(t, "127.0.0.1")
	proves(t, tls.Server(server, nil))
	second, server := b.let(t, "127.0.0.2")
	third, _ := b.let(t, "127.0.0.2")
	fourth, last := b.let(t, "127.0.0.3")
	requireClosed(t, second)
	proves(t, server) // it was closed meanwhile
	fifth, server := b.let(t, "127.0.0.3")
	requireClosed(t, third)
	for _, c := range []net.Conn{first, fourth, fifth} {
		requireOpen(t, c)
	}
	proves(t, server)
	proves(t, last)
	proves(t, last)
	requireClosed(t, b.from(t, "127.0.0.4"))
	last.Close()
	b.let(t, "127.0.0.4")
	requireOpen(t, first)
	control.Proven(httptest.NewRequest("GET", "/", nil)) // which came in elsewhere
}

// TestBoundAPI: who is known by the API has her connection.
func TestBoundAPI(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(s.handler)
	server.Listener.Close()
	server.Listener = control.Bound(inner, 2, 2)
	server.Config.ConnContext = control.BoundContext
	server.Config.ErrorLog = s.server.Config.ErrorLog
	server.StartTLS()
	defer server.Close()
	connections := 0
	client := server.Client()
	dial := client.Transport.(*http.Transport).DialContext
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections++
		return dial(ctx, network, inner.Addr().String())
	}
	s.server.URL, server.URL = server.URL, s.server.URL
	status, _ := s.ask(t, client, token, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status)
	for i := range 5 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))}}
		c, err := d.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	status, _ = s.ask(t, client, token, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 1, connections)
}
