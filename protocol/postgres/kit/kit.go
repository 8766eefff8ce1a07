// Package kit assembles PostgreSQL with everything that belongs to it: handlers,
// the parser of its SQL, catalogs, estimates and samples. It is apart from
// protocol/postgres because the parser is a module of others.
package kit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// Config is what a kit is made of.
type Config struct {
	// Gateway is the one that handlers will serve in. Its directory, dialer and
	// credentials are used for catalogs and samples. Nil: names in statements mean
	// what they say, and nothing is served.
	Gateway *proxy.Gateway
	// TLS, RequireTLS, Domain and KnowsCertificate are those of [postgres.Handler].
	TLS              *tls.Config
	RequireTLS       bool
	KnowsCertificate func(*x509.Certificate) bool
	Domain           string
	// Log is told of catalogs that cannot be read; nil is slog.Default.
	Log *slog.Logger
}

// Kit is PostgreSQL, wired. Its parts may be given to interceptors; they are safe
// for concurrent use.
type Kit struct {
	// Analyzer says what statements do, by the catalog.
	Analyzer proxy.Analyzer
	// Catalog keeps what databases hold; nil without a gateway.
	Catalog *sql.CatalogCache
	// Sampler reads values for masking; nil without a gateway.
	Sampler *postgres.Sampler
	// Estimator asks servers what statements would cost, and Limiter adds LIMIT to
	// queries, for guardrails; their dialect is [Dialect].
	Estimator *postgres.Estimator
	Limiter   sqlpostgres.Limiter

	config Config
	reader *postgres.CatalogReader
}

// Dialect is that of the statements, under which guardrails know the estimator and
// the limiter.
const Dialect = sqlpostgres.Dialect

// New returns a kit, which is to be closed.
func New(c Config) *Kit {
	k := &Kit{Estimator: &postgres.Estimator{}, config: c}
	if c.Gateway == nil {
		k.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
		return k
	}
	k.reader = &postgres.CatalogReader{Gateway: c.Gateway}
	k.Catalog = &sql.CatalogCache{Load: k.reader.Load, Resolve: sqlpostgres.Resolve, Log: c.Log}
	k.Sampler = &postgres.Sampler{Reader: k.reader, Catalog: k.Catalog}
	k.Analyzer = sqlpostgres.New(sqlpostgres.Config{Catalog: k.Catalog})
	return k
}

// Handler returns the handler of one listener, for one resource or, when resource
// is empty, for those that clients name.
func (k *Kit) Handler(resource string) *postgres.Handler {
	h := &postgres.Handler{Resource: resource, TLS: k.config.TLS, RequireTLS: k.config.RequireTLS, Domain: k.config.Domain, KnowsCertificate: k.config.KnowsCertificate, Analyzer: k.Analyzer}
	if k.Catalog != nil { // a nil pointer in the interface would be a catalog
		h.Catalog = k.Catalog
	}
	return h
}

// Statement returns the operation that runs text at a target.
func (k *Kit) Statement(ctx context.Context, t proxy.Target, text string) (*proxy.Statement, error) {
	if t.Resource == nil {
		return nil, errors.New("explaining a statement: the target has no resource")
	}
	database := t.Database
	if database == "" {
		database = t.Resource.Database
	}
	r := proxy.Reading{Dialect: Dialect, Resource: t.Resource.Name, Database: database, Account: t.Account.Name}
	b := []byte(text)
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: b, Facts: k.Analyzer.Analyze(ctx, b, &r), Giver: &sql.Giver{Analyzer: k.Analyzer, Reading: r},
	}, nil
}

// Close ends the reading of catalogs.
func (k *Kit) Close() error {
	if k.Catalog == nil {
		return nil
	}
	return errors.Join(k.Catalog.Close(), k.reader.Close())
}

// Protocol returns PostgreSQL for an assembly.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "postgres", DefaultPort: 5432, Dialect: Dialect, Databases: true, Own: true, TLS: true, LoginLinks: true,
		Reserved: []string{"postgres", "pgbouncer", "rdsadmin", "rds_superuser", "cloudsqladmin", "cloudsqlsuperuser", "azure_superuser", "azuresu"},
		Kinds: []proxy.Kind{
			proxy.KindConnect, proxy.KindStatement, proxy.KindPrepare, proxy.KindFunction, proxy.KindReplication, proxy.KindRunbook,
		},
		Settings: func() any { return &postgres.Settings{} },
		Open:     open,
		Client:   client,
		Exec:     execute,
		Links:    links,
	}
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	k := New(Config{Gateway: a.Gateway, TLS: a.TLS, RequireTLS: a.RequireTLS, Domain: a.Domain, KnowsCertificate: a.KnowsCertificate, Log: a.Log})
	s := &protocol.Service{
		Clients: protocol.Clients{Database: openDatabase, UndoText: postgres.UndoText, SQL: &protocol.SQL{Numbered: true, Quote: '"'}},
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", Protocol().Name)
			}
			return k.Handler(resource), nil
		},
		Operation: func(ctx context.Context, t proxy.Target, text string) (proxy.Op, error) {
			st, err := k.Statement(ctx, t, text)
			if err != nil {
				return nil, err
			}
			return st, nil
		},
		Reach: postgres.Reach, Estimator: k.Estimator, Limiter: k.Limiter, Close: k.Close,
	}
	if k.Sampler != nil {
		s.Sampler = k.Sampler
	}
	return s, nil
}

// client is psql's command line.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	c := &protocol.Command{Program: "psql", Args: e.Args, Env: []string{"PGHOST=" + e.Host, "PGPORT=" + e.Port, "PGUSER=" + e.User, "PGDATABASE=" + e.Database}}
	for _, s := range settings(e) {
		c.Env = append(c.Env, "PG"+strings.ToUpper(s.name)+"="+s.value)
	}
	return c, nil
}

// execute is psql's command line for one text, which is given up at its first error.
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	args := []string{"--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--pset=pager=off"}
	if x.CSV {
		args = append(args, "--csv", "--pset=null="+x.Null)
	}
	if x.Text != "" {
		args = append(args, "--command="+x.Text)
	} else {
		args = append(args, "--file="+x.File)
	}
	e.Args = args
	return client(e)
}

// setting is one of libpq's, and of what follows it.
type setting struct{ name, value string }

// settings are those of TLS, as libpq calls them.
func settings(e protocol.Endpoint) (list []setting) {
	switch {
	case e.CA != "":
		list = append(list, setting{"sslmode", "verify-full"}, setting{"sslrootcert", e.CA})
	case e.Proof != nil:
		// What a login has left is not shown to another server.
		list = append(list, setting{"sslmode", "verify-full"}, setting{"sslrootcert", "system"})
	case e.RequireTLS:
		list = append(list, setting{"sslmode", "require"})
	}
	if e.Proof != nil {
		list = append(list, setting{"sslcert", e.Proof.Certificate}, setting{"sslkey", e.Proof.Key})
	}
	return list
}

// links are a URL as libpq reads it, and one for JDBC.
func links(e protocol.Endpoint) []protocol.Link {
	at := net.JoinHostPort(e.Host, e.Port)
	u := url.URL{Scheme: "postgresql", User: url.User(e.User), Host: at, Path: "/" + e.Database}
	jdbc := url.URL{Scheme: "postgresql", Host: at, Path: "/" + e.Database}
	plain, java := url.Values{}, url.Values{"user": {e.User}}
	for _, s := range settings(e) {
		plain.Set(s.name, s.value)
		switch {
		case s.name == "sslkey":
			java.Set(s.name, e.Proof.KeyDER)
		case s.name == "sslrootcert" && e.CA == "":
			java.Set("sslfactory", "org.postgresql.ssl.DefaultJavaSSLFactory")
		default:
			java.Set(s.name, s.value)
		}
	}
	u.RawQuery, jdbc.RawQuery = plain.Encode(), java.Encode()
	// A plus in the user's name is one, for every program that reads the URL.
	return []protocol.Link{
		{For: "url", Text: strings.Replace(u.String(), u.User.String()+"@", url.QueryEscape(e.User)+"@", 1)},
		{For: "jdbc", Text: "jdbc:" + jdbc.String()},
	}
}
