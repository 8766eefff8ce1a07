package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestSwapCertificate: new connections see the new certificate at once, logins are
// bound to the one that they see, and open sessions go on.
func TestSwapCertificate(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		testserver.Missing(t, "psql")
	}
	dir := t.TempDir()
	s := openSwapping(t, nil, dir)
	s.use(t, "a")
	own, other := s.Authority(), filepath.Join(dir, "other-ca.pem")
	conn := s.database("alice", "shop")
	bound := func(authority string) string {
		return strings.Replace(conn, own, authority, 1) + " channel_binding=require"
	}
	psql := func(authority string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "psql", "-X", "-A", "-t", bound(authority), "-c", "SELECT 'in'").CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	session, err := pgconn.Connect(t.Context(), bound(own))
	require.NoError(t, err)
	defer session.Close(t.Context())

	// A client that would go on with an earlier TLS session.
	resuming := &tls.Config{ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(8), RootCAs: x509.NewCertPool()}
	for _, file := range []string{own, other} {
		pem, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, resuming.RootCAs.AppendCertsFromPEM(pem))
	}
	shown := func() (issuer string, resumed bool) {
		raw, err := net.Dial("tcp", s.Addr("postgres", "").String())
		require.NoError(t, err)
		defer raw.Close()
		require.NoError(t, raw.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = raw.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)) // SSLRequest
		require.NoError(t, err)
		answer := make([]byte, 1)
		_, err = io.ReadFull(raw, answer)
		require.NoError(t, err)
		require.Equal(t, "S", string(answer))
		c := tls.Client(raw, resuming)
		require.NoError(t, c.Handshake())
		// An answer of the server's has the ticket before it, if there is one: a startup
		// packet of a version that there is not.
		_, err = c.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 9<<16))
		require.NoError(t, err)
		_, _ = io.ReadAll(c)
		state := c.ConnectionState()
		return state.PeerCertificates[0].Issuer.String(), state.DidResume
	}
	before, _ := shown()
	for _, c := range []struct{ revision, trusted, not string }{{"b", other, own}, {"a", own, other}, {"b", other, own}} {
		s.use(t, c.revision)
		out, err := psql(c.trusted)
		require.NoError(t, err, out)
		require.Equal(t, "in", out)
		_, err = psql(c.not)
		require.Error(t, err, "the certificate is still another's")
		k, err := pgconn.Connect(t.Context(), bound(c.trusted))
		require.NoError(t, err)
		require.NoError(t, k.Close(t.Context()))
		require.NoError(t, session.Exec(t.Context(), "SELECT 1").Close(), "an open session goes on")
		issuer, resumed := shown()
		require.False(t, resumed, "a client that resumes is not shown the certificate")
		require.NotEqual(t, before, issuer)
		before = issuer
	}
}
