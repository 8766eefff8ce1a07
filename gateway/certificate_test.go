package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
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

// TestRenewCertificate: the certificate of the gateway's own authority is renewed when
// a third of its life is left, under open sessions and without judging them anew.
func TestRenewCertificate(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	s.use(t, "a")
	session, err := pgconn.Connect(t.Context(), s.database("alice", "shop"))
	require.NoError(t, err)
	defer session.Close(t.Context())
	shown := func() *x509.Certificate {
		c, err := s.gateway.Certificate(&tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, ServerName: "127.0.0.1"})
		require.NoError(t, err)
		return c.Leaf
	}
	first, revision := shown(), s.gateway.Revision()
	life := first.NotAfter.Sub(first.NotBefore)
	for _, early := range []time.Time{time.Now(), first.NotBefore.Add(life/2 + life/10)} {
		require.NoError(t, s.renewCertificate(early, false))
		require.Equal(t, first.SerialNumber, shown().SerialNumber)
	}
	require.NoError(t, s.renewCertificate(first.NotAfter.Add(-life/4), false))
	second := shown()
	require.NotEqual(t, first.SerialNumber, second.SerialNumber)
	require.NoError(t, second.CheckSignatureFrom(authorityOf(t, s.Authority())), "of the same authority, which clients trust")
	require.Equal(t, first.IPAddresses, second.IPAddresses)
	require.Equal(t, first.DNSNames, second.DNSNames)
	require.NoError(t, session.Exec(t.Context(), "SELECT 1").Close(), "an open session goes on")
	require.Same(t, revision, s.gateway.Revision(), "and is not judged anew")
	k, err := pgconn.Connect(t.Context(), s.database("alice", "shop"))
	require.NoError(t, err)
	require.NoError(t, k.Close(t.Context()))

	// A gateway that slept past the end makes one at the next look.
	require.NoError(t, s.renewCertificate(second.NotAfter.Add(time.Hour), false))
	require.NotEqual(t, second.SerialNumber, shown().SerialNumber)
}

func authorityOf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return c
}
