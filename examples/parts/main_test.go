package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/sshembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

func TestParts(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		testserver.Missing(t, "ssh")
	}
	dir := t.TempDir()
	host, err := sshembed.Start(sshembed.Config{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, host.Stop()) }()
	p := place{
		database: exampletest.Shop(t, "CREATE TABLE cards (id int, number text)"),
		host:     host.Address, hostKey: host.HostKey, key: filepath.Join(dir, "vm1.pem"),
	}
	require.NoError(t, os.WriteFile(p.key, []byte(host.PrivateKey), 0o600))
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := gossh.NewSignerFromKey(key)
	require.NoError(t, err)
	block, err := gossh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	private := filepath.Join(dir, "alice")
	require.NoError(t, os.WriteFile(private, pem.EncodeToMemory(block), 0o600))
	t.Setenv("ALICE_VERIFIER", verifier)
	t.Setenv("ALICE_KEY", string(gossh.MarshalAuthorizedKey(signer.PublicKey())))
	t.Setenv("DB_PASSWORD", exampletest.Upstream)

	for _, c := range []struct {
		name string
		hour int
		want []string // of psql
	}{
		{"by day", 12, []string{"INSERT 0 1", "(rule no-where)"}},
		{"at night", 3, []string{"ERROR:  changes are made between 8 and 18 (rule office-hours)\nHINT:  Come back in the morning."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.data = t.TempDir()
			forPostgres, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			forSSH, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			g := &proxy.Gateway{Now: func() time.Time { return time.Date(2026, 5, 1, c.hour, 0, 0, 0, time.UTC) }}
			go func() { served <- serve(ctx, g, p, forPostgres, forSSH) }()
			known := filepath.Join(p.data, "ssh", "gateway_known_hosts")
			require.Eventually(t, func() bool { _, err := os.Stat(known); return err == nil }, 30*time.Second, 5*time.Millisecond)

			out := exampletest.Psql(
				t, forPostgres.Addr().String(), "secret", "user=alice+shop sslmode=verify-full sslrootcert="+filepath.Join(p.data, "ca.pem"),
				"INSERT INTO cards VALUES (1, '4111111111111111')", "DELETE FROM cards", "SELECT number AS x FROM cards",
			)
			for _, want := range c.want {
				require.Contains(t, out, want)
			}
			require.NotContains(t, out, "4111111111111111", "cards are masked")
			require.Contains(t, out, "1111", "in part")

			_, port, err := net.SplitHostPort(forSSH.Addr().String())
			require.NoError(t, err)
			cmd := exec.Command(
				"ssh", "-F", "none", "-p", port, "-i", private, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
				"-o", "UserKnownHostsFile="+known, "-o", "GlobalKnownHostsFile=none", "alice+vm1@127.0.0.1", "echo paid with 4111111111111111",
			)
			text, err := cmd.CombinedOutput()
			require.NoError(t, err, string(text))
			require.Contains(t, string(text), "paid with ")
			require.NotContains(t, string(text), "4111111111111111")
			cancel()
			require.NoError(t, <-served)

			// Both sessions are on record.
			log, err := audit.OpenArchive(filepath.Join(p.data, "audit"))
			require.NoError(t, err)
			sessions, err := log.Sessions()
			require.NoError(t, err)
			var ran []string
			for _, id := range sessions {
				for e, err := range log.Events(id) {
					require.NoError(t, err)
					if e.Type == audit.OperationStart || e.Type == audit.OperationRefused {
						ran = append(ran, e.Type+" "+e.Kind+" "+e.Text)
					}
				}
			}
			all := strings.Join(ran, "\n")
			require.Contains(t, all, "operation.start statement SELECT number AS x FROM cards")
			require.Contains(t, all, "operation.refused statement DELETE FROM cards")
			require.Contains(t, all, "operation.start exec echo paid with")
		})
	}
}
