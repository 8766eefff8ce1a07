package kit_test

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/postgres/kit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// The parts fit interceptors' ports.
var (
	_ masking.Sampler     = (*postgres.Sampler)(nil)
	_ guardrail.Estimator = (*postgres.Estimator)(nil)
	_ masking.Sampler     = protocol.Sampler(nil)
	_ guardrail.Estimator = protocol.Estimator(nil)
	_ guardrail.Limiter   = protocol.Limiter(nil)
	_ guardrail.Limiter   = kit.Kit{}.Limiter
)

// gateway has one resource, a database of the test's own.
func gateway(t *testing.T, sql string) (*proxy.Gateway, proxy.Target) {
	t.Helper()
	s, name := testserver.Database(t, sql)
	t.Setenv("KIT_PASSWORD", s.Password)
	r := &proxy.Resource{
		Name: "shop", Type: "postgres", Address: s.Address(), Database: name, TLS: proxy.TLS{Mode: proxy.TLSRequire},
		Accounts: []proxy.Account{{Name: "main", Username: "postgres", Secret: "env:KIT_PASSWORD"}},
	}
	broker, err := secrets.NewBroker(secrets.Options{Source: secrets.Default()})
	require.NoError(t, err)
	return &proxy.Gateway{Directory: proxy.Resources{r}, Credentials: broker}, proxy.Target{Resource: r, Account: r.Accounts[0]}
}

// What a statement does is told by the catalog, which the kit reads for itself.
func TestStatement(t *testing.T) {
	g, target := gateway(t, "CREATE TABLE people (id int, ssn text); CREATE VIEW v AS SELECT ssn AS s FROM people")
	k := kit.New(kit.Config{Gateway: g})
	defer func() { require.NoError(t, k.Close()) }()
	st, err := k.Statement(t.Context(), target, "SELECT s AS x FROM v")
	require.NoError(t, err)
	require.Equal(t, proxy.KindStatement, st.Kind)
	require.Equal(t, proxy.EffectRead, st.Facts.Effects)
	require.Len(t, st.Facts.Columns, 1)
	require.Equal(t, "ssn", st.Facts.Columns[0].Origins[0].Column)

	// Without a gateway nothing is read, and the text alone is judged.
	blind := kit.New(kit.Config{})
	require.NoError(t, blind.Close())
	st, err = blind.Statement(t.Context(), target, "DELETE FROM people")
	require.NoError(t, err)
	require.Equal(t, proxy.EffectDelete, st.Facts.Effects)
	require.Equal(t, kit.Dialect, st.Facts.Dialect)
	_, err = blind.Statement(t.Context(), proxy.Target{}, "SELECT 1")
	require.ErrorContains(t, err, "the target has no resource")
}

func TestHandler(t *testing.T) {
	certificate := &tls.Config{}
	k := kit.New(kit.Config{Gateway: &proxy.Gateway{}, TLS: certificate, RequireTLS: true, Domain: "gw.example.com"})
	defer k.Close()
	one, all := k.Handler("shop"), k.Handler("")
	require.Equal(t, "shop", one.Resource)
	require.Empty(t, all.Resource)
	for _, h := range []*postgres.Handler{one, all} {
		require.Same(t, certificate, h.TLS)
		require.True(t, h.RequireTLS)
		require.Equal(t, "gw.example.com", h.Domain)
		require.Equal(t, k.Analyzer, h.Analyzer, "handlers share what statements do")
		require.Equal(t, k.Catalog, h.Catalog)
	}
	require.Nil(t, kit.New(kit.Config{}).Handler("").Catalog)
}

func TestProtocol(t *testing.T) {
	p := kit.Protocol()
	require.NoError(t, protocol.Check([]protocol.Protocol{p}))
	require.IsType(t, &postgres.Settings{}, p.Settings())
	s, err := p.Open(protocol.Assembly{})
	require.NoError(t, err)
	require.Nil(t, s.Sampler)
	_, err = s.Handler("")
	require.ErrorContains(t, err, "the assembly has no gateway")
	op, err := s.Operation(t.Context(), proxy.Target{Resource: &proxy.Resource{Name: "shop"}}, "SELECT 1")
	require.NoError(t, err)
	require.Equal(t, proxy.EffectRead, op.(*proxy.Statement).Facts.Effects)
	_, err = s.Operation(t.Context(), proxy.Target{}, "SELECT 1")
	require.Error(t, err)
	text, err := s.Limiter.Limit([]byte("SELECT 1"), 5)
	require.NoError(t, err)
	require.Equal(t, "SELECT 1 LIMIT 5", string(text))

	s, err = p.Open(protocol.Assembly{Gateway: &proxy.Gateway{}, Domain: "gw"})
	require.NoError(t, err)
	require.NotNil(t, s.Sampler)
	require.NotNil(t, s.Estimator)
	h, err := s.Handler("shop")
	require.NoError(t, err)
	require.Equal(t, p.Name, h.Protocol())
	require.NoError(t, s.Close())
}

// Samples are read by the kit's own connections.
func TestSampler(t *testing.T) {
	g, target := gateway(t, "CREATE TABLE people (note text); INSERT INTO people VALUES ('hello')")
	k := kit.New(kit.Config{Gateway: g})
	defer k.Close()
	var got []string
	target.Database = target.Resource.Database
	err := k.Sampler.Sample(t.Context(), &proxy.Session{Target: target}, "public", "people", func(c *proxy.SampledColumn, value []byte) {
		require.NotEmpty(t, c.ID)
		if value != nil {
			got = append(got, c.Name+" "+c.Type+"="+string(value))
		}
	})
	require.NoError(t, err)
	require.Equal(t, []string{"note text=hello"}, got)
}

func TestClient(t *testing.T) {
	at := protocol.Endpoint{Host: "gw", Port: "6432", User: "alice+shop", Database: "shop", Args: []string{"-l"}}
	env := []string{"PGHOST=gw", "PGPORT=6432", "PGUSER=alice+shop", "PGDATABASE=shop"}
	for _, c := range []struct {
		name       string
		ca         string
		requireTLS bool
		want       []string
	}{
		{"the gateway's own authority", "ca.pem", true, []string{"PGSSLMODE=verify-full", "PGSSLROOTCERT=ca.pem"}},
		{"another", "", true, []string{"PGSSLMODE=require"}},
		{"no need", "", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			at.CA, at.RequireTLS = c.ca, c.requireTLS
			got, err := kit.Protocol().Client(at)
			require.NoError(t, err)
			require.Equal(t, &protocol.Command{Program: "psql", Args: []string{"-l"}, Env: append(env[:4:4], c.want...)}, got)
		})
	}
}

// TestClientProves: what a login has left on the machine is shown to the gateway only, by
// psql and by what reads a URL.
func TestClientProves(t *testing.T) {
	at := protocol.Endpoint{
		Host: "gw", Port: "6432", User: "alice+shop", Database: "shop", CA: "/p/ca.pem",
		Proof: &protocol.Proof{Certificate: "/p/cert.pem", Key: "/p/key.pem", KeyDER: "/p/key.pk8"},
	}
	got, err := kit.Protocol().Client(at)
	require.NoError(t, err)
	require.Equal(t, []string{"PGSSLMODE=verify-full", "PGSSLROOTCERT=/p/ca.pem", "PGSSLCERT=/p/cert.pem", "PGSSLKEY=/p/key.pem"}, got.Env[4:])
	require.Equal(t, []protocol.Link{
		{For: "url", Text: "postgresql://alice%2Bshop@gw:6432/shop?sslcert=%2Fp%2Fcert.pem&sslkey=%2Fp%2Fkey.pem&sslmode=verify-full&sslrootcert=%2Fp%2Fca.pem"},
		{For: "jdbc", Text: "jdbc:postgresql://gw:6432/shop?sslcert=%2Fp%2Fcert.pem&sslkey=%2Fp%2Fkey.pk8&sslmode=verify-full&sslrootcert=%2Fp%2Fca.pem&user=alice%2Bshop"},
	}, kit.Protocol().Links(at))
	at.CA = ""
	got, err = kit.Protocol().Client(at)
	require.NoError(t, err)
	require.Contains(t, got.Env, "PGSSLROOTCERT=system", "not without knowing the gateway")
	require.Contains(t, kit.Protocol().Links(at)[1].Text, "sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory")
}
