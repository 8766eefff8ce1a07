package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/internal/testserver"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// users authenticates by passwords, and by challenges against verifiers.
type users struct {
	mu        sync.Mutex
	passwords map[string]string
	verifiers map[string]string
	methods   []proxy.Method
}

func newUsers() *users {
	u := &users{passwords: map[string]string{"alice": "wonder", "bob": "builder"}, verifiers: map[string]string{}}
	for name, password := range u.passwords {
		v, err := scram.NewVerifier(password)
		if err != nil {
			panic(err)
		}
		u.verifiers[name] = v.String()
	}
	return u
}

func (u *users) Verifier(_ context.Context, user string) (string, bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if v := u.verifiers[user]; v != "" {
		return v, true, nil
	}
	return scram.Mock([]byte("test"), user).String(), true, nil
}

func (u *users) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.methods = append(u.methods, p.Method)
	right := false
	switch p.Method {
	case proxy.MethodPassword:
		right = u.passwords[p.User] != "" && p.Password.Reveal() == u.passwords[p.User]
	case proxy.MethodChallenge:
		right = p.Verifier != "" && p.Verifier == u.verifiers[p.User]
	case proxy.MethodCertificate:
		right = p.Certificates[0].Subject.CommonName == p.User
	}
	if !right {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: p.User, Method: p.Method, AuthTime: time.Now()}, nil
}

// hooks is an interceptor made of functions.
type hooks struct {
	proxy.Hooks
	mu  sync.Mutex
	ops []string
}

func (h *hooks) Name() string { return "test" }

func (h *hooks) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ops...)
}

func (h *hooks) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	k := h.Hooks
	ask, done := k.Ask, k.Done
	k.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Allow("test")
		}
		if ask != nil {
			return ask(ctx, op)
		}
		return proxy.Pass()
	}
	k.Done = func(ctx context.Context, op proxy.Op, out *proxy.Outcome) {
		text := ""
		switch o := op.(type) {
		case *proxy.Statement:
			text = string(o.Text)
			for _, a := range o.Args {
				if a.Value == nil {
					text += " NULL"
				} else {
					text += fmt.Sprintf(" %q", a.Value)
				}
			}
		case *proxy.Call:
			text = o.Name
		}
		if op.Info().Kind != proxy.KindConnect {
			h.mu.Lock()
			h.ops = append(h.ops, fmt.Sprintf("%s %s: %s rows=%d code=%s", op.Info().Kind, text, out.Verdict.Action, out.Rows, out.Code))
			h.mu.Unlock()
		}
		if done != nil {
			done(ctx, op, out)
		}
	}
	return k, nil
}

// denying refuses statements that hold word.
func denying(word string) *hooks {
	return &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && strings.Contains(strings.ToLower(string(st.Text)), word) {
			return proxy.Deny(proxy.CauseGuardrail, "no-"+word, word+" is not allowed here", "Ask for it.")
		}
		return proxy.Pass()
	}}}
}

// starring replaces every value of columns of a name by stars, whatever their type.
func starring(name string) *hooks {
	return &hooks{Hooks: proxy.Hooks{Flow: func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{Row: func(r *proxy.Row) error {
			for i, c := range shape.Columns {
				if c.Name == name && r.Value(i) != nil {
					r.Set(i, []byte("***"))
				}
			}
			return nil
		}}, nil
	}}}
}

// gate is a gateway in front of the shared MariaDB.
type gate struct {
	*proxy.Gateway
	users    *users
	handler  *Handler
	resource *proxy.Resource
	maria    *testserver.MariaDBServer
	ca       *testserver.Authority
	caFile   string
	db, addr string
	stop     func()
}

type gateConfig struct {
	sql      string
	settings Settings
	handler  func(*Handler)
	tls      bool // to the server
	resource func(*proxy.Resource)
	gateway  func(*proxy.Gateway)
	chain    []proxy.Interceptor
	user     string // at the server, with its password
	password string
}

func startGate(t testing.TB, c gateConfig) *gate {
	t.Helper()
	maria, db, ca := testserver.SharedMariaDB(t, c.sql)
	if c.user == "" {
		c.user, c.password = "app", "app-secret"
		_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
		require.NoError(t, err)
	}
	r := &proxy.Resource{
		Name: "orders", Type: "mysql", Address: fmt.Sprintf("127.0.0.1:%d", maria.Port), Settings: c.settings,
		Accounts: []proxy.Account{{Name: "main", Username: c.user}}, TLS: proxy.TLS{Mode: proxy.TLSDisable},
	}
	if c.tls {
		r.TLS = proxy.TLS{Mode: proxy.TLSVerifyFull, RootCAs: ca.Pool, ServerName: "localhost"}
	}
	if c.resource != nil {
		c.resource(r)
	}
	if len(c.chain) == 0 {
		c.chain = []proxy.Interceptor{&hooks{}}
	}
	g := &gate{users: newUsers(), resource: r, maria: maria, ca: ca, db: db}
	g.Gateway = &proxy.Gateway{
		Authenticator: g.users, Directory: proxy.Resources{r}, Credentials: proxytest.Credential{Username: c.user, Password: proxy.NewSecret(c.password)},
		Interceptors: c.chain, DrainTimeout: 2 * time.Second, Unrecorded: true,
	}
	if c.gateway != nil {
		c.gateway(g.Gateway)
	}
	g.handler = &Handler{
		TLS: ca.ServerConfig("localhost", "*.gw.example.com"), Analyzer: sqlmysql.New(sqlmysql.Config{}),
		Resources: func() proxy.Resources { return proxy.Resources{r} },
	}
	if c.handler != nil {
		c.handler(g.handler)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln, g.handler) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Serve did not return")
		}
	})
	t.Cleanup(g.stop)
	g.caFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(g.caFile, ca.PEM(), 0o600))
	return g
}

// dsn is how go-sql-driver connects as a user.
func (g *gate) dsn(user, password string, change ...func(*driver.Config)) string {
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user+"+orders", password, "tcp", g.addr, g.db
	c.TLS = &tls.Config{RootCAs: g.ca.Pool, ServerName: "localhost"}
	c.MultiStatements, c.ParseTime = true, false
	c.AllowAllFiles = true
	for _, f := range change {
		f(c)
	}
	name := fmt.Sprintf("t%p", c)
	if c.TLS != nil {
		driver.RegisterTLSConfig(name, c.TLS)
		c.TLS, c.TLSConfig = nil, name
	}
	return c.FormatDSN()
}

// open is one connection of alice's.
func (g *gate) open(t testing.TB, change ...func(*driver.Config)) *sql.Conn {
	t.Helper()
	db, err := sql.Open("mysql", g.dsn("alice", "wonder", change...))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// values are those of a row's columns.
func values(t testing.TB, rows *sql.Rows, columns int) []sql.NullString {
	t.Helper()
	list, to := make([]sql.NullString, columns), make([]any, columns)
	for i := range list {
		to[i] = &list[i]
	}
	require.NoError(t, rows.Scan(to...))
	return list
}

// texts are the rows of a query as text.
func texts(t testing.TB, c *sql.Conn, query string, args ...any) [][]string {
	t.Helper()
	rows, err := c.QueryContext(context.Background(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	var all [][]string
	for {
		names, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			row := make([]string, len(names))
			for i, v := range values(t, rows, len(names)) {
				if row[i] = v.String; !v.Valid {
					row[i] = "NULL"
				}
			}
			all = append(all, row)
		}
		require.NoError(t, rows.Err())
		if !rows.NextResultSet() {
			return all
		}
	}
}

// mariadb runs a program of MariaDB's as alice, through the gateway.
func (g *gate) mariadb(t testing.TB, program, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, program, append([]string{
		"--no-defaults", "-h", host, "-P", port, "-u", "alice+orders", "-pwonder", "--ssl", "--ssl-ca=" + g.caFile,
	}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func chain(list ...*hooks) []proxy.Interceptor {
	var all []proxy.Interceptor
	for _, h := range list {
		all = append(all, h)
	}
	return all
}
