package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/tcp"
	"github.com/sallyport/sallyport/proxy"
)

// TestTCP: in a gateway as its config makes it, a connection to a resource of any protocol needs an explicit right, is on record with how much was sent and that
// nobody saw what, and ends within a second once its user may not have it any more.
func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	dir := t.TempDir()
	config := func(rights string) string {
		return fmt.Sprintf(`
data_dir: data
domain: apps.example.com
listen: {tcp: "127.0.0.1:0"}
identity:
  users: [{name: bob, groups: [dev], password: %s}, {name: ann, groups: [readers], password: %s}]
resources:
  - {name: cache, type: tcp, address: %q, tls: {mode: disable}, tcp: {idle: 1h}}
access:
  - {name: readers, groups: [readers], allow: [connect, read, write, ddl, admin, exec, shell]}
  - {name: dev, groups: [dev], allow: [%s]}
masking: [{use: default}]
`, verifier(t), verifier(t), ln.Addr().String(), rights)
	}
	h := open(t, dir, config("connect, forward"))
	authority, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority))
	dial := func(user, secret string) (*tls.Conn, error) {
		c := tcp.Client{
			Address: h.Addr("tcp", "").String(), TLS: &tls.Config{RootCAs: roots, ServerName: "cache.apps.example.com"},
			User: user, Password: proxy.NewSecret(secret),
		}
		conn, note, err := c.Dial(context.Background())
		if err == nil {
			require.Equal(t, tcp.Note, note)
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			t.Cleanup(func() { conn.Close() })
		}
		return conn, err
	}
	_, err = dial("bob", "guess")
	require.ErrorContains(t, err, "authentication failed")
	_, err = dial("ann", password)
	require.ErrorContains(t, err, "forward", "rights that need to see what is sent allow nothing here")
	conn, err := dial("bob", password)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "PING hunter2\r\n")
	require.NoError(t, err)
	got := make([]byte, 14)
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, "PING hunter2\r\n", string(got))

	s := h.session(t, "bob", "cache")
	at := time.Now()
	require.NoError(t, h.Apply(h.file(t, config("connect"))))
	_, err = io.ReadAll(conn)
	require.Error(t, err)
	require.Less(t, time.Since(at), 10*time.Second, "the revision is built and checked first, and the connection would last for ever")
	require.Error(t, s.Err())
	require.NoError(t, h.stop())
	var begun, ended bool
	for _, e := range h.records(t)[s.ID] {
		require.NotContains(t, fmt.Sprintf("%+v", e), "hunter2")
		if e.Kind == "forward" && e.Opaque {
			begun = true
			require.Equal(t, ln.Addr().String(), net.JoinHostPort(e.Target, fmt.Sprint(e.Port)))
		}
		if e.BytesIn == 14 && e.BytesOut == 14 {
			ended = true
		}
	}
	require.True(t, begun, "the record does not say that nobody saw what was sent")
	require.True(t, ended, "the record does not say how much was sent")
}
