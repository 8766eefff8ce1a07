package console_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	url      string
	file     string
	stop     func()
	database string
	pool     *x509.CertPool
}

// open has more sections in the config file, and more access rules.
func open(t *testing.T, more string, access ...string) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return openAt(t, l.Addr().String(), strings.Join(access, ""), "", more)
}

// openAt has the console at an address, with further access rules, keys of identity, and sections of the config file.
func openAt(t *testing.T, address, access, identities string, more ...string) *house {
	t.Helper()
	server, database := testserver.Database(t, `CREATE TABLE customers (id int PRIMARY KEY, name text, email text);
		INSERT INTO customers SELECT i, 'Customer ' || i, 'c' || i || '@example.com' FROM generate_series(1, 20) i;`)
	h := &house{url: "https://" + address, database: database}
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	q := strconv.Quote(verifier)
	t.Setenv("DB_PASSWORD", server.Password)
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
api: {listen: %[1]q, url: %[2]q, console: true}
identity:
  users:
    - {name: alice, groups: [dev], password: %[3]s}
    - {name: olga, groups: [ops], password: %[3]s}
    - {name: ada, groups: [admins], password: %[3]s}
    - {name: eve, password: %[3]s}%[6]s
resources:
  - {name: orders, type: postgres, address: %[4]q, database: %[5]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}, labels: {env: prod, team: shop}}
  - {name: reports, type: postgres, address: %[4]q, database: %[5]s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}, labels: {env: staging}}
  - {name: vm1, type: ssh, address: "127.0.0.1:9", username: deploy, password: "env:DB_PASSWORD", labels: {env: prod}, ssh: {trust_on_first_use: true}}
access:
  - {name: readers, groups: [dev], resources: [orders], allow: [connect, read, write]}
  - {name: machines, groups: [dev], resources: [vm1], protocols: [ssh], allow: [connect, exec, shell], request: {approvers: [ops], max: 8h, reason: "INC-[0-9]+"}}
  - {name: reporters, groups: [dev], resources: [reports], allow: [connect, read], request: {stages: [{approvers: [ops]}, {approvers: [admins]}]}}%[7]s
guardrails:
  - {name: changes, hold: {effects: [update, delete]}, approvers: [ops], for: 15m, message: changes of the shop are looked at by another}
control:
  - {groups: [ops], allow: [list, review]}
  - {groups: [admins], allow: [list, kill, watch, review, users, configure, audit]}
%[8]s`, address, h.url, q, server.Address(), database, identities, access, strings.Join(more, "\n"))
	h.serve(t, t.TempDir(), text)
	return h
}

// serve runs the gateway of a config file in dir.
func (h *house) serve(t *testing.T, dir, text string) {
	t.Helper()
	file := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	h.file = file
	h.start(t)
	t.Cleanup(func() { h.stop() })
	pem, err := os.ReadFile(filepath.Join(dir, "data", "ca", "ca.pem"))
	require.NoError(t, err)
	h.pool = x509.NewCertPool()
	require.True(t, h.pool.AppendCertsFromPEM(pem))
}

// start runs the gateway of the config file; stop ends it.
func (h *house) start(t *testing.T) {
	t.Helper()
	f, err := gateway.Load(h.file, config.Options{})
	require.NoError(t, err)
	h.Gateway, err = gateway.New(f, gateway.Options{Log: slog.New(slog.NewTextHandler(&quiet{t: t}, nil))})
	require.NoError(t, err)
	require.NoError(t, h.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
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
func (h *house) connect(t *testing.T, user, resource string, hears ...func(*pgconn.Notice)) (*pgconn.PgConn, error) {
	host, port, err := net.SplitHostPort(h.Addr("postgres", "").String())
	require.NoError(t, err)
	c, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s+%s password=wonder dbname=%s sslmode=require", host, port, user, resource, h.database))
	require.NoError(t, err)
	c.TLSConfig = &tls.Config{RootCAs: h.pool, ServerName: host}
	for _, hear := range hears {
		c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { hear(n) }
	}
	return pgconn.ConnectConfig(t.Context(), c)
}

// psql connects to a database as somebody, who leaves with the test.
func (h *house) psql(t *testing.T, user, resource string) *pgconn.PgConn {
	t.Helper()
	return h.psqlWith(t, user, resource)
}

// psqlWith is psql with what hears the server's notices.
func (h *house) psqlWith(t *testing.T, user, resource string, hears ...func(*pgconn.Notice)) *pgconn.PgConn {
	t.Helper()
	c, err := h.connect(t, user, resource, hears...)
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
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

// caller is somebody who asks without a browser.
type caller struct {
	t     *testing.T
	house *house
	token string
}

func (h *house) as(t *testing.T, user string) *caller {
	t.Helper()
	c := &caller{t: t, house: h}
	var login struct{ Token string }
	c.ask("POST", "/v1/login", map[string]any{"user": user, "password": "wonder"}, &login)
	c.token = login.Token
	return c
}

// ask makes a request that has to succeed.
func (c *caller) ask(method, path string, body, out any) {
	c.t.Helper()
	status, text := c.try(method, path, body)
	require.Less(c.t, status, 300, "%s %s: %s", method, path, text)
	if out != nil {
		require.NoError(c.t, json.Unmarshal(text, out), "%s", text)
	}
}

func (c *caller) try(method, path string, body any) (int, []byte) {
	c.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(c.t, err)
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.house.url+path, bytes.NewReader(b))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.house.client().Do(r)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp.StatusCode, text
}

// asks has somebody ask for access.
func (c *caller) asks(resource, reason string) string {
	c.t.Helper()
	var r struct{ ID string }
	c.ask("POST", "/v1/requests", map[string]any{"resource": resource, "reason": reason, "seconds": 3600}, &r)
	return r.ID
}

// held is a statement of somebody's that waits, and what its client is answered.
func (h *house) held(t *testing.T, user, sql string) (answer func() error) {
	t.Helper()
	c := h.psql(t, user, "orders")
	done := make(chan error, 1)
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, err := c.Exec(ctx, sql).ReadAll()
		done <- err
	}()
	t.Cleanup(func() { leave(); <-left }) // before its connection is closed
	return func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("the statement is not answered")
			return nil
		}
	}
}

// seed is something to look at: sessions that are over and open, requests that wait, were granted and denied.
func (h *house) seed(t *testing.T) {
	t.Helper()
	past := h.psql(t, "alice", "orders")
	for _, sql := range []string{"SELECT id, name, email FROM customers ORDER BY id LIMIT 5", "SELECT count(*) FROM customers", "INSERT INTO customers VALUES (21, 'Customer 21', 'c21@example.com')", "DROP TABLE customers"} {
		_, _ = past.Exec(t.Context(), sql).ReadAll() // the last is refused
	}
	require.NoError(t, past.Close(t.Context()))
	h.psql(t, "alice", "orders")
	alice, olga := h.as(t, "alice"), h.as(t, "olga")
	decide := func(id, what string, body map[string]any) {
		var r struct{ Hash string }
		olga.ask("GET", "/v1/requests/"+id, nil, &r)
		body["hash"] = r.Hash
		olga.ask("POST", "/v1/requests/"+id+"/"+what, body, nil)
	}
	decide(alice.asks("vm1", "INC-4711: disk full"), "approve", map[string]any{})
	decide(alice.asks("reports", "because"), "deny", map[string]any{"reason": "ask for one report instead"})
	alice.asks("vm1", "INC-4712: look at the queue of the shop")
	alice.asks("reports", "monthly figures")
	h.held(t, "alice", "UPDATE customers\nSET email = 'new@example.com'\nWHERE id = 7")
}

// verifierOf is what the password "wonder" is checked by, as the config file has it.
func verifierOf(t *testing.T) string {
	t.Helper()
	v, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	return strconv.Quote(v)
}
