package masking_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// people authenticates by the one password; the user's name is her group.
type people struct{ password string }

func (p people) Verifier(context.Context, string) (string, bool, error) {
	v, err := scram.NewVerifier(p.password)
	return v.String(), true, err
}

func (people) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	return &proxy.Identity{Subject: p.User, Groups: []string{p.User}, Method: p.Method, AuthTime: time.Now()}, nil
}

// letIn allows Connect.
type letIn struct{}

func (letIn) Name() string { return "policy" }

func (letIn) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect {
			return proxy.Allow("test")
		}
		return proxy.Pass()
	}}, nil
}

// rig is a gateway with a masker in front of the shared PostgreSQL, assembled as
// cmd/sallyport does it.
type rig struct {
	pg       *pgembed.Server
	database string
	addr     string

	mu     sync.Mutex
	counts map[detect.Type]uint64
	notes  []string // rules that only observed
	texts  []string // what these say
}

// counter counts what the masker notes.
type counter struct{ *rig }

func (counter) Name() string { return "counter" }

func (c counter) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Noted: func(ctx context.Context, _ proxy.Op, n *proxy.Note) error { return c.Record(ctx, n) }}, nil
}

func (c counter) Record(_ context.Context, n *proxy.Note) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch n.Kind {
	case proxy.NoteMasked:
		c.counts[detect.Type(n.Type)] += n.Count
	case proxy.NoteObserved:
		c.notes = append(c.notes, n.Rule)
		c.texts = append(c.texts, n.Rule+": "+n.Text)
	}
	return nil
}

func startRig(t testing.TB, schema string, c masking.Config) *rig {
	t.Helper()
	return startRigWith(t, schema, c, nil)
}

// startRigWith has other, if any, in the place of the masker.
func startRigWith(t testing.TB, schema string, c masking.Config, other proxy.Interceptor) *rig {
	t.Helper()
	gateway := &proxy.Gateway{}
	reader := &postgres.CatalogReader{Gateway: gateway}
	catalog := &sql.CatalogCache{Load: reader.Load, Resolve: sqlpostgres.Resolve}
	if c.Sampler == nil {
		c.Sampler = &postgres.Sampler{Reader: reader, Catalog: catalog}
	}
	g := &rig{counts: map[detect.Type]uint64{}}
	g.pg, g.database = testserver.Database(t, schema)
	m, err := masking.New(c)
	require.NoError(t, err)
	chain := []proxy.Interceptor{letIn{}, m, counter{g}}
	if other != nil {
		chain[1] = other
	}
	*gateway = proxy.Gateway{
		Authenticator: people{"wonder"},
		Directory: proxy.Resources{&proxy.Resource{
			Name: "orders", Type: "postgres", Address: g.pg.Address(), Database: g.database, TLS: proxy.TLS{Mode: proxy.TLSDisable},
			Accounts: []proxy.Account{{Name: "main", Username: pgembed.User}},
		}},
		Credentials:  proxytest.Credential{Username: pgembed.User, Password: proxy.NewSecret(g.pg.Password)},
		Interceptors: chain,
		DrainTimeout: 2 * time.Second,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		analyzer := sqlpostgres.New(sqlpostgres.Config{Catalog: catalog})
		served <- gateway.Serve(ctx, ln, &postgres.Handler{Analyzer: analyzer, Catalog: catalog})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
		require.NoError(t, catalog.Close())
	})
	return g
}

// psql runs the real client as user and returns all that it printed.
func (g *rig) psql(t testing.TB, user, script string, args ...string) string {
	t.Helper()
	out, _ := g.client(t, "psql", g.addr, user+"+orders", script, append([]string{"-X", "-d", g.database}, args...)...)
	return out // failing statements are part of the tests
}

// client runs one of PostgreSQL's programs at addr.
func (g *rig) client(t testing.TB, program, addr, user, stdin string, args ...string) (string, error) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	password := "wonder"
	if addr == g.pg.Address() {
		password = g.pg.Password
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(g.pg.Bin, program), args...)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+user, "PGPASSWORD="+password)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// connect returns a client of the wire's own.
func (g *rig) connect(t testing.TB, user string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), testserver.URL(user+"+orders", "wonder", g.addr, g.database, "sslmode=disable"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// direct is the URL of the database without the gateway.
func (g *rig) direct() string {
	return testserver.URL(pgembed.User, g.pg.Password, g.pg.Address(), g.database, "sslmode=disable")
}

// observed are the rules that only observed, in order.
func (g *rig) observed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.notes...)
}

// said are what rules that only observe say, in order.
func (g *rig) said() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.texts...)
}
