package main

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
)

func TestEmbed(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		testserver.Missing(t, "psql")
	}
	server := testserver.Postgres(t, pgembed.Config{})
	testserver.Exec(t, server, "postgres", "CREATE ROLE app LOGIN PASSWORD 'upstream'; CREATE DATABASE shop OWNER app")
	verifier, err := identity.NewVerifier("secret")
	require.NoError(t, err)
	t.Setenv("ALICE_VERIFIER", verifier)
	t.Setenv("DB_PASSWORD", "upstream")

	for _, c := range []struct {
		name string
		hour int
		want string
	}{
		{"by day", 12, "CREATE TABLE\nINSERT 0 1\n1\n"},
		{"at night", 3, "ERROR:  changes are made between 8 and 18 (rule office-hours)\nHINT:  Come back in the morning.\n1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan error, 1)
			records := t.TempDir()
			go func() {
				served <- serve(ctx, ln, server.Address(), records, func() time.Time { return time.Date(2026, 5, 1, c.hour, 0, 0, 0, time.UTC) })
			}()
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			args := []string{"-X", "-A", "-t", "host=127.0.0.1 port=" + port + " user=alice password=secret dbname=shop"}
			if c.hour == 12 {
				args = append(args, "-c", "CREATE TABLE t (x int)")
			}
			args = append(args, "-c", "INSERT INTO t VALUES (1)", "-c", "SELECT count(*) FROM t")
			out, _ := exec.Command("psql", args...).CombinedOutput()
			require.Equal(t, c.want, string(out))
			cancel()
			require.NoError(t, <-served)
		})
	}
}
