package console_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/browsertest"
	"github.com/sallyport/sallyport/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// house is a gateway with a console, before a database. Its users are alice of the developers, olga who approves, ada who
// administers and audits, and eve who may nothing. Their passwords are "wonder".
type house struct {
	*gateway.Gateway
	url  string
	pool *x509.CertPool
}

// more are further sections of the config file.
func open(t *testing.T, more string) *house {
	t.Helper()
	server, database := testserver.Database(t, `CREATE TABLE customers (id int PRIMARY KEY, name text, email text);
		INSERT INTO customers SELECT i, 'Customer ' || i, 'c' || i || '@example.com' FROM generate_series(1, 20) i;`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &house{url: "https://" + l.Addr().String()}
	require.NoError(t, l.Close())
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	q := strconv.Quote(verifier)
	t.Setenv("DB_PASSWORD", server.Password)
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
api: {listen: %q, url: %q, console: true}
identity:
  users:
    - {name: alice, groups: [dev], password: %[3]s}
    - {name: olga, groups: [ops], password: %[3]s}
    - {name: ada, groups: [admins], password: %[3]s}
    - {name: eve, password: %[3]s}
resources:
  - {name: orders, type: postgres, address: %[4]q, database: %[5]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}, labels: {env: prod, team: shop}}
  - {name: reports, type: postgres, address: %[4]q, database: %[5]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}, labels: {env: staging}}
  - {name: vm1, type: ssh, address: "127.0.0.1:9", username: deploy, password: "env:DB_PASSWORD", labels: {env: prod}, ssh: {trust_on_first_use: true}}
access:
  - {name: readers, groups: [dev], resources: [orders], allow: [connect, read, write]}
  - {name: machines, groups: [dev], resources: [vm1], protocols: [ssh], allow: [connect, exec, shell], request: {approvers: [ops], max: 8h, reason: "INC-[0-9]+"}}
  - {name: reporters, groups: [dev], resources: [reports], allow: [connect, read], request: {stages: [{approvers: [ops]}, {approvers: [admins]}]}}
guardrails:
  - {name: changes, hold: {effects: [update, delete]}, approvers: [ops], for: 15m, message: changes of the shop are looked at by another}
control:
  - {groups: [ops], allow: [list, review]}
  - {groups: [admins], allow: [list, kill, watch, review, users, configure]}
%s`, l.Addr().String(), h.url, q, server.Address(), database, more)
	dir := t.TempDir()
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	f, err := gateway.Load(file, config.Options{})
	require.NoError(t, err)
	h.Gateway, err = gateway.New(f, gateway.Options{Log: slog.New(slog.NewTextHandler(&quiet{t: t}, nil))})
	require.NoError(t, err)
	require.NoError(t, h.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	pem, err := os.ReadFile(filepath.Join(dir, "data", "ca", "ca.pem"))
	require.NoError(t, err)
	h.pool = x509.NewCertPool()
	require.True(t, h.pool.AppendCertsFromPEM(pem))
	return h
}

// quiet is the gateway's log, which is shown where a test asks for it.
type quiet struct {
	t  testing.TB
	mu sync.Mutex
}

func (q *quiet) Write(b []byte) (int, error) {
	if os.Getenv("SALLYPORT_LOG") != "" {
		q.mu.Lock()
		defer q.mu.Unlock()
		os.Stderr.Write(b)
	}
	return len(b), nil
}

// browser has somebody at the gateway's console.
func (h *house) browser(t *testing.T, user string) *browsertest.Browser {
	t.Helper()
	b := browsertest.Open(t)
	b.Go(h.url + "/")
	h.signIn(b, user)
	return b
}

func (h *house) signIn(b *browsertest.Browser, user string) {
	b.Has("heading", "Sign in")
	b.Fill("User", user)
	b.Fill("Password", "wonder")
	b.Press("\r")
	b.Has("heading", "Home")
}

// connect connects to a database as somebody.
func (h *house) connect(t *testing.T, user, resource string) (*pgconn.PgConn, error) {
	host, port, err := net.SplitHostPort(h.Addr("postgres", "").String())
	require.NoError(t, err)
	c, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s+%s password=wonder dbname=postgres sslmode=require", host, port, user, resource))
	require.NoError(t, err)
	c.TLSConfig = &tls.Config{RootCAs: h.pool, ServerName: host}
	return pgconn.ConnectConfig(t.Context(), c)
}

// psql connects to a database as somebody, who leaves with the test.
func (h *house) psql(t *testing.T, user, resource string) *pgconn.PgConn {
	t.Helper()
	c, err := h.connect(t, user, resource)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// client asks without a browser.
func (h *house) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.pool}, ForceAttemptHTTP2: true}}
}
