// Package kit assembles MySQL and MariaDB with everything that belongs to them: handlers
// and the parser of their SQL. It is apart from protocol/mysql because the parser is a
// module of others.
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
	"os/exec"
	"strings"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/mysql"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
)

// Config is what a kit is made of.
type Config struct {
	// Gateway is the one that handlers will serve in. Its directory, dialer and
	// credentials are used for catalogs. Nil: names in statements mean what they say.
	Gateway *proxy.Gateway
	// TLS, Domain, KnowsCertificate and Resources are those of [mysql.Handler].
	TLS              *tls.Config
	KnowsCertificate func(*x509.Certificate) bool
	Domain           string
	Resources        func() proxy.Resources
	// Log is told of catalogs that cannot be read; nil is slog.Default.
	Log *slog.Logger
}

// Kit is MySQL, wired. Its parts may be given to interceptors; they are safe for
// concurrent use.
type Kit struct {
	// Analyzer says what statements do, by the catalog.
	Analyzer proxy.Analyzer
	// Catalog keeps what servers hold; nil without a gateway.
	Catalog *sql.CatalogCache
	// Sampler reads values for masking; nil without a gateway.
	Sampler *mysql.Sampler
	// Estimator asks servers what statements would cost, and Limiter adds LIMIT to queries, for
	// guardrails; their dialect is [Dialect].
	Estimator *mysql.Estimator
	Limiter   sqlmysql.Limiter

	config Config
	shared mysql.Shared
}

// Dialect is that of the statements.
const Dialect = sqlmysql.Dialect

// New returns a kit, which is to be closed.
func New(c Config) *Kit {
	k := &Kit{Estimator: &mysql.Estimator{}, config: c}
	if c.Gateway == nil {
		k.Analyzer = sqlmysql.New(sqlmysql.Config{})
		return k
	}
	reader := &mysql.CatalogReader{Gateway: c.Gateway}
	k.Catalog = &sql.CatalogCache{Load: reader.Load, Resolve: sqlmysql.Resolve, Log: c.Log}
	k.Sampler = &mysql.Sampler{Reader: reader, Catalog: k.Catalog}
	k.Analyzer = sqlmysql.New(sqlmysql.Config{Catalog: k.Catalog})
	return k
}

// Close ends the reading of catalogs.
func (k *Kit) Close() error {
	if k.Catalog == nil {
		return nil
	}
	return k.Catalog.Close()
}

// Handler returns the handler of one listener, for one resource or, when resource
// is empty, for those that clients name.
func (k *Kit) Handler(resource string) *mysql.Handler {
	h := &mysql.Handler{
		Resource: resource, TLS: k.config.TLS, Domain: k.config.Domain, KnowsCertificate: k.config.KnowsCertificate, Analyzer: k.Analyzer,
		Resources: k.config.Resources, Shared: &k.shared,
	}
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
	r := proxy.Reading{Dialect: Dialect, Resource: t.Resource.Name, Account: t.Account.Name, BackslashLiterals: true}
	if set, ok := t.Resource.Settings.(mysql.Settings); ok {
		r.Names.Path = set.Schema
	}
	b := []byte(text)
	return &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: b, Facts: k.Analyzer.Analyze(ctx, b, &r), Giver: &sql.Giver{Analyzer: k.Analyzer, Reading: r},
	}, nil
}

// Protocol returns MySQL for an assembly. What a server calls a database is what others call
// a schema: a session reaches all that its account may, so its resources have none of which
// one would be chosen.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "mysql", DefaultPort: 3306, Dialect: Dialect, Own: true, TLS: true,
		Reserved: []string{"root", "mysql", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "rdsadmin", "cloudsqladmin", "azure_superuser"},
		Kinds: []proxy.Kind{
			proxy.KindConnect, proxy.KindStatement, proxy.KindPrepare, proxy.KindCommand, proxy.KindReplication, proxy.KindRunbook,
		},
		Settings: func() any { return &mysql.Settings{} },
		Open:     open,
		Client:   client,
		Exec:     execute,
		Links:    links,
	}
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	k := New(Config{Gateway: a.Gateway, Log: a.Log, TLS: a.TLS, Domain: a.Domain, KnowsCertificate: a.KnowsCertificate, Resources: a.Resources})
	s := &protocol.Service{
		Clients: protocol.Clients{Database: openDatabase, UndoText: mysql.UndoText, SQL: &protocol.SQL{Quote: '`'}},
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
		Reach: mysql.Reach, Estimator: k.Estimator, Limiter: k.Limiter, Close: k.Close,
	}
	if k.Sampler != nil {
		s.Sampler = k.Sampler
	}
	return s, nil
}

// program is the native client that is installed: MariaDB's, else MySQL's own.
func program() string {
	if _, err := exec.LookPath("mariadb"); err == nil {
		return "mariadb"
	}
	return "mysql"
}

// client is the command line of the native client, which asks for the password where
// nothing else proves the user.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	c := line(e)
	if e.Proof == nil {
		c.Args = append(c.Args, "--password")
	}
	if e.Database != "" {
		c.Args = append(c.Args, "--database="+e.Database)
	}
	c.Args = append(c.Args, e.Args...)
	return c, nil
}

// line is the command line as far as where, as which user and how protected.
func line(e protocol.Endpoint) *protocol.Command {
	c := &protocol.Command{Program: program(), Args: []string{"--host=" + e.Host, "--port=" + e.Port, "--user=" + e.User, "--protocol=tcp"}}
	maria := c.Program == "mariadb"
	switch {
	case maria && (e.CA != "" || e.Proof != nil):
		c.Args = append(c.Args, "--ssl-verify-server-cert")
	case maria:
		c.Args = append(c.Args, "--ssl")
	case e.CA != "" || e.Proof != nil:
		c.Args = append(c.Args, "--ssl-mode=VERIFY_IDENTITY")
	default:
		c.Args = append(c.Args, "--ssl-mode=REQUIRED")
	}
	if e.CA != "" {
		c.Args = append(c.Args, "--ssl-ca="+e.CA)
	}
	if e.Proof != nil {
		c.Args = append(c.Args, "--ssl-cert="+e.Proof.Certificate, "--ssl-key="+e.Proof.Key)
	}
	return c
}

// execute is the command line for one text, which is given up at its first error.
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	c := line(e)
	c.Args = append([]string{"--no-defaults"}, c.Args...) // it must come first
	c.Args = append(c.Args, "--batch")
	if e.Database != "" {
		c.Args = append(c.Args, "--database="+e.Database)
	}
	switch {
	case x.CSV:
		return nil, errors.New("running a statement by " + c.Program + ": it writes no CSV: leave the format out, and columns are apart by tabs")
	case x.Text != "":
		c.Args = append(c.Args, "--execute="+x.Text)
	case x.File != "-":
		c.Args = append(c.Args, "--execute=source "+x.File)
	}
	return c, nil
}

// links are a URL as drivers read it, and one for JDBC.
func links(e protocol.Endpoint) []protocol.Link {
	at := net.JoinHostPort(e.Host, e.Port)
	plain := url.Values{"ssl-mode": {"VERIFY_IDENTITY"}}
	java := url.Values{"user": {e.User}, "sslMode": {"VERIFY_IDENTITY"}}
	if e.CA != "" {
		plain.Set("ssl-ca", e.CA)
	}
	if e.Proof != nil {
		plain.Set("ssl-cert", e.Proof.Certificate)
		plain.Set("ssl-key", e.Proof.Key)
	}
	u := url.URL{Scheme: "mysql", User: url.User(e.User), Host: at, Path: "/" + e.Database, RawQuery: plain.Encode()}
	jdbc := url.URL{Scheme: "mysql", Host: at, Path: "/" + e.Database, RawQuery: java.Encode()}
	return []protocol.Link{
		// A plus in the user's name is one, for every program that reads the URL.
		{For: "url", Text: strings.Replace(u.String(), u.User.String()+"@", url.QueryEscape(e.User)+"@", 1)},
		{For: "jdbc", Text: "jdbc:" + jdbc.String()},
	}
}
