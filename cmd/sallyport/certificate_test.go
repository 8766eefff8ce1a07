package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// writePair writes a certificate for the gateway and its key, signed by an authority.
func writePair(t *testing.T, a *testserver.Authority, cert, key string) {
	t.Helper()
	c, k := a.ServerPEM("127.0.0.1")
	require.NoError(t, os.WriteFile(cert, c, 0o600))
	require.NoError(t, os.WriteFile(key, k, 0o600))
}

// shownBy returns the serial number of the certificate that a client of PostgreSQL is
// shown.
func shownBy(t *testing.T, address string) string {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer raw.Close()
	require.NoError(t, raw.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = raw.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)) // SSLRequest
	require.NoError(t, err)
	_, err = io.ReadFull(raw, make([]byte, 1))
	require.NoError(t, err)
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, c.Handshake())
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Replaced files of the certificate are served to new connections, by themselves and
// at once after SIGHUP; broken ones leave the one from before; open sessions go on.
func TestServeReplacedCertificate(t *testing.T) {
	needs(t, "psql")
	a := testserver.NewAuthority()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "gateway.pem"), filepath.Join(dir, "gateway.key")
	writePair(t, a, cert, key)
	root := filepath.Join(dir, "root.pem")
	require.NoError(t, os.WriteFile(root, a.PEM(), 0o600))
	o := openOffice(t, fmt.Sprintf("tls: {cert: %q, key: %q}\n", cert, key))
	address := net.JoinHostPort(o.host, o.port)
	first := shownBy(t, address)
	sessions := exec.Command("psql", "-X", "-A", "-t", strings.Replace(o.conn("alice"), filepath.Join(o.dir, "data", "ca", "ca.pem"), root, 1))
	in, err := sessions.StdinPipe()
	require.NoError(t, err)
	open := &process{}
	sessions.Stdout, sessions.Stderr = open, open
	open.done = make(chan error, 1)
	require.NoError(t, sessions.Start())
	ask := func(n int) {
		fmt.Fprintf(in, "SELECT 'answer %d';\n", n)
		open.wait(t, fmt.Sprintf("(?m)^answer %d$", n))
	}
	ask(1)

	// By itself.
	writePair(t, a, cert, key)
	o.wait(t, "clients are shown a new certificate: its files have changed")
	second := shownBy(t, address)
	require.NotEqual(t, first, second)
	ask(2)

	// A broken replacement keeps what was there, and the log says why.
	good, err := os.ReadFile(cert)
	require.NoError(t, err)
	for i, broken := range []string{"", "not a certificate", string(good[:len(good)/2])} {
		require.NoError(t, os.WriteFile(cert, []byte(broken), 0o600))
		require.NoError(t, o.cmd.Process.Signal(syscall.SIGHUP))
		o.wait(t, fmt.Sprintf("(?s)(cannot be used: they are shown the one from before.*){%d}", i+1))
		require.Equal(t, second, shownBy(t, address))
	}
	require.NoError(t, os.Remove(cert))
	require.NoError(t, o.cmd.Process.Signal(syscall.SIGHUP))
	o.wait(t, "no such file")
	require.Equal(t, second, shownBy(t, address))
	ask(3)

	// At once.
	writePair(t, a, cert, key)
	require.NoError(t, o.cmd.Process.Signal(syscall.SIGHUP))
	o.wait(t, "the config file is used as it is now")
	require.NotContains(t, []string{first, second}, shownBy(t, address))
	ask(4)
	require.NotContains(t, o.output(), "BEGIN", "no key is in the log")
	require.NoError(t, in.Close())
	require.NoError(t, sessions.Wait())
	o.stop(t)
}

// SIGHUP does not end the gateway, and the log says what it did.
func TestServeHangup(t *testing.T) {
	o := openOffice(t, "")
	for i := range 3 {
		require.NoError(t, o.cmd.Process.Signal(syscall.SIGHUP))
		o.wait(t, fmt.Sprintf("(?s)(SIGHUP: reading the config file and the certificates again.*the config file is used as it is now.*){%d}", i+1))
	}
	require.Contains(t, o.psql(t, "alice", "-c", "SELECT 'still here'"), "still here")
	o.stop(t)
}

// A second gateway says who has the audit log, and what to do.
func TestServeTwice(t *testing.T) {
	o := openOffice(t, "")
	second := start(t, "serve", "-c", o.config)
	second.wait(t, fmt.Sprintf("process %d has run since .* and has it open: stop that process, or wait until its sessions have ended", o.cmd.Process.Pid))
	require.Error(t, <-second.done)
	second.done <- nil
	require.Contains(t, o.psql(t, "alice", "-c", "SELECT 'still here'"), "still here")
	o.stop(t)
}

// TLS 1.2 has the suites that seal and keep earlier traffic closed, and no others.
func TestServeCipherSuites(t *testing.T) {
	o := openOffice(t, "")
	for _, list := range [][]*tls.CipherSuite{tls.CipherSuites(), tls.InsecureCipherSuites()} {
		for _, suite := range list {
			if suite.SupportedVersions[0] == tls.VersionTLS13 {
				continue
			}
			raw, err := net.Dial("tcp", net.JoinHostPort(o.host, o.port))
			require.NoError(t, err)
			require.NoError(t, raw.SetDeadline(time.Now().Add(20*time.Second)))
			_, err = raw.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)) // SSLRequest
			require.NoError(t, err)
			_, err = io.ReadFull(raw, make([]byte, 1))
			require.NoError(t, err)
			err = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}).Handshake()
			raw.Close()
			seals := strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "CHACHA20")
			if !seals || !strings.Contains(suite.Name, "ECDHE") {
				require.Error(t, err, suite.Name)
			} else if strings.Contains(suite.Name, "ECDSA") { // the kind of the gateway's own key
				require.NoError(t, err, suite.Name)
			}
		}
	}
}
