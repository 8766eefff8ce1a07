package postgres

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// users authenticates by SCRAM verifiers, or by passwords for names that begin
// with "plain".
type users map[string]string

func (u users) Verifier(_ context.Context, user string) (string, bool, error) {
	if strings.HasPrefix(user, "plain") {
		return "", false, nil
	}
	if pw, ok := u[user]; ok {
		v, err := scram.NewVerifier(pw)
		return v.String(), true, err
	}
	return scram.Mock([]byte("test"), user).String(), true, nil
}

func (u users) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	pw, ok := u[p.User]
	if p.Method == proxy.MethodPassword && p.Password.Reveal() != pw || !ok {
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

func (h *hooks) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	k := h.Hooks
	ask := k.Ask
	k.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Allow("test")
		}
		if ask != nil {
			return ask(ctx, op)
		}
		return proxy.Pass()
	}
	done := k.Done
	k.Done = func(ctx context.Context, op proxy.Op, out *proxy.Outcome) {
		if st, ok := op.(*proxy.Statement); ok {
			h.mu.Lock()
			h.ops = append(h.ops, op.Info().Kind.String()+" "+string(st.Text)+" "+out.Verdict.Action.String()+" "+out.Code+" "+out.Tag)
			h.mu.Unlock()
		}
		if done != nil {
			done(ctx, op, out)
		}
	}
	return k, nil
}

// denying refuses statements that hold word, in any case.
func denying(word string) *hooks {
	return &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if st, ok := op.(*proxy.Statement); ok && containsFold(st.Text, []byte(word)) {
			return proxy.Deny(proxy.CauseGuardrail, "no-"+word, word+" is not allowed here", "Ask for it.")
		}
		return proxy.Pass()
	}}}
}

// gate is a gateway in front of the shared PostgreSQL.
type gate struct {
	*proxy.Gateway
	handler *Handler
	pg      *pgembed.Server
	db      string
	addr    string
	stop    func()
}

type gateConfig struct {
	sql      string
	settings Settings
	handler  func(*Handler)
	mode     proxy.TLSMode
	tls      bool
	resource func(*proxy.Resource)
	gateway  func(*proxy.Gateway)
	chain    []proxy.Interceptor
}

func startGate(t testing.TB, c gateConfig) *gate {
	t.Helper()
	pg, db := testserver.Database(t, c.sql)
	r := &proxy.Resource{
		Name: "orders", Type: "postgres", Address: pg.Address(), Database: db, Settings: c.settings,
		Accounts: []proxy.Account{{Name: "main", Username: pgembed.User}},
		TLS:      proxy.TLS{Mode: proxy.TLSDisable},
	}
	_, ca := testserver.Shared(t)
	if c.tls {
		r.TLS = proxy.TLS{Mode: c.mode, RootCAs: ca.Pool, ServerName: "localhost"}
	}
	if c.resource != nil {
		c.resource(r)
	}
	if len(c.chain) == 0 {
		c.chain = []proxy.Interceptor{&hooks{}}
	}
	g := &gate{pg: pg, db: db, Gateway: &proxy.Gateway{
		Authenticator: users{"alice": "wonder", "plain": "text"}, Directory: proxy.Resources{r},
		Credentials: proxytest.Credential{Username: pgembed.User, Password: proxy.NewSecret(pg.Password)}, Interceptors: c.chain,
		DrainTimeout: 2 * time.Second,
	}}
	if c.gateway != nil {
		c.gateway(g.Gateway)
	}
	g.handler = &Handler{}
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
	return g
}

// psql runs the real client with script on standard input and returns what a
// person would see.
func (g *gate) psql(t testing.TB, script string, args ...string) string {
	t.Helper()
	out, _ := g.client(t, "psql", script, append([]string{"-X", "-d", g.db}, args...)...)
	return out
}

// client runs one of PostgreSQL's programs as alice through the gateway.
func (g *gate) client(t testing.TB, program, stdin string, args ...string) (string, error) {
	t.Helper()
	return g.as(t, "alice+orders", "wonder", program, stdin, args...)
}

// as runs one of PostgreSQL's programs as user.
func (g *gate) as(t testing.TB, user, password, program, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(g.pg.Bin, program), args...)
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+user, "PGPASSWORD="+password, "PGAPPNAME=test")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (g *gate) serverTLS(t testing.TB) *tls.Config {
	_, ca := testserver.Shared(t)
	return ca.ServerConfig("localhost", "*.gw.example.com")
}
