// Package exampletest runs examples in tests: a real database, a config file of a
// gateway for it, and psql as its client.
package exampletest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
)

// Upstream is the password of the role app at the database.
const Upstream = "upstream"

// Shop starts a database server with a database shop, which the role app owns, has
// app run sql there, and returns the server's address.
func Shop(t testing.TB, sql string) string {
	t.Helper()
	if _, err := exec.LookPath("psql"); err != nil {
		testserver.Missing(t, "psql")
	}
	s := testserver.Postgres(t, pgembed.Config{})
	testserver.Exec(t, s, "postgres", "CREATE ROLE app LOGIN PASSWORD '"+Upstream+"'; CREATE DATABASE shop OWNER app")
	testserver.Exec(t, s, "shop", "GRANT ALL ON SCHEMA public TO app; SET ROLE app; "+sql)
	return s.Address()
}

// Config writes a config file in a folder of its own and returns its name: the user
// alice, whose password is "secret", may read and write at the resource shop, and so
// may members of the groups. secret is the reference to the role's password.
func Config(t testing.TB, address, secret string, groups ...string) string {
	t.Helper()
	verifier, err := identity.NewVerifier("secret")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: %q}]}
resources:
  - {name: shop, type: postgres, address: %q, database: shop, username: app, password: %q, tls: {mode: disable}, plaintext: true}
access: [{groups: [%s], allow: [connect, read, write, ddl, call]}]
`, verifier, address, secret, strings.Join(append([]string{"dev"}, groups...), ", "))
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Append adds text to a config file.
func Append(t testing.TB, file, text string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(old, text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Serve serves the gateway of a config file until the test ends or stop is called,
// which waits for it.
func Serve(t testing.TB, file string, c config.Options, o gateway.Options) (g *gateway.Gateway, stop func()) {
	t.Helper()
	f, err := gateway.Load(file, c)
	if err != nil {
		t.Fatal(err)
	}
	o.Log = slog.New(slog.DiscardHandler)
	if g, err = gateway.New(f, o); err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return g, stop
}

// Psql has psql run statements at a gateway's address and returns what it prints.
// params are those of the connection besides the address.
func Psql(t testing.TB, address, password, params string, statements ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-X", "-A", "-t", "host=" + host + " port=" + port + " dbname=shop " + params}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	cmd := exec.Command("psql", args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=30")
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
