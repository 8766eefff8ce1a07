package policy_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol/postgres"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

const schema = `
CREATE SCHEMA hr;
CREATE TABLE hr.salaries (id int PRIMARY KEY, amount int);
CREATE TABLE hr.audit (id int);
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE items (id int, order_id int REFERENCES orders ON DELETE CASCADE);
CREATE VIEW open_orders AS SELECT * FROM orders;
CREATE VIEW pay AS SELECT id, amount FROM hr.salaries;
CREATE FUNCTION total() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT sum(amount) FROM hr.salaries';
CREATE FUNCTION hidden() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(amount) FROM hr.salaries); END';
CREATE SEQUENCE numbers;
`

type fixed struct{ snapshot *sql.Snapshot }

func (f fixed) Snapshot(context.Context, *proxy.Reading) *sql.Snapshot { return f.snapshot }
func (f fixed) Latest(context.Context, *proxy.Reading) (*sql.Snapshot, []proxy.NameChange) {
	return f.snapshot, nil
}
func (fixed) Changed(*proxy.Reading, []proxy.NameChange) {}
func (fixed) Doubt(*proxy.Reading)                       {}

// analyzers returns what says what a statement does, with the database's catalog and
// without.
func analyzers(t *testing.T) (with, without func(text string) *proxy.Facts) {
	server, database := testserver.Database(t, schema)
	r := &proxy.Resource{
		Name: "r", Type: "postgres", Address: server.Address(), Database: database, TLS: proxy.TLS{Mode: proxy.TLSDisable},
		Accounts: []proxy.Account{{Username: pgembed.User}},
	}
	g := &proxy.Gateway{Directory: proxy.Resources{r}, Credentials: proxytest.Credential{Username: pgembed.User, Password: proxy.NewSecret(server.Password)}}
	s, err := (&postgres.CatalogReader{Gateway: g}).Load(t.Context(), sql.CatalogKey{Resource: "r", Database: database}, nil)
	require.NoError(t, err)
	sqlpostgres.Resolve(s)
	s.ID = 1
	analyze := func(a proxy.Analyzer) func(string) *proxy.Facts {
		return func(text string) *proxy.Facts { return a.Analyze(t.Context(), []byte(text), &proxy.Reading{}) }
	}
	return analyze(sqlpostgres.New(sqlpostgres.Config{Catalog: fixed{s}})), analyze(sqlpostgres.New(sqlpostgres.Config{}))
}

// TestRelations judges what PostgreSQL's grammar and a real catalog say of statements.
func TestRelations(t *testing.T) {
	with, without := analyzers(t)
	limited := []policy.Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect", "read"}, Relations: []string{"public.orders", "open_*", "public.items"}},
		{Groups: []string{"dev"}, Allow: []string{"write"}, Relations: []string{"public.orders"}},
	}
	barred := []policy.Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect", "read", "write", "ddl", "call", "do", "unknown"}},
		{Name: "no-pay", Groups: []string{"*"}, Deny: []string{"read", "write", "drop"}, Relations: []string{"hr.*"}},
	}
	for _, c := range []struct {
		text                string
		limited, barred     bool
		blindLimited, blind bool // without a catalog
	}{
		{"SELECT 1", true, true, true, true},
		{"SELECT now(), version()", true, true, true, true},
		{"SELECT * FROM orders", true, true, false, false},
		{"SELECT * FROM public.orders JOIN items ON true", true, true, false, false},
		{"SELECT * FROM open_orders", true, true, false, false},
		{"SELECT * FROM orders FOR UPDATE", true, true, false, false},
		{"COPY orders TO STDOUT", true, true, false, false},
		{"EXPLAIN SELECT * FROM orders", true, true, false, false},
		{"BEGIN", true, true, true, true},
		{"SET statement_timeout = 1", true, true, true, true},
		{"SELECT * FROM hr.salaries", false, false, false, false},
		{"SELECT * FROM hr.audit", false, false, false, false},
		{"SELECT * FROM pay", false, false, false, false},
		{"SELECT total()", false, false, false, false},
		{"SELECT hidden()", false, false, false, false},
		{"SELECT (SELECT max(amount) FROM hr.salaries) FROM orders", false, false, false, false},
		{"WITH x AS (SELECT * FROM hr.salaries) SELECT * FROM orders", false, false, false, false},
		{"SELECT * FROM orders; SELECT * FROM hr.salaries", false, false, false, false},
		{"CREATE TABLE copy AS SELECT * FROM hr.salaries", false, false, false, false},
		{"CREATE VIEW v AS SELECT * FROM pay", false, false, false, false},
		{"SELECT * FROM nowhere", false, false, false, false},
		{"SELECT * FROM pg_class", false, true, false, false},
		{"UPDATE orders SET note = ''", true, true, false, false},
		{"INSERT INTO orders SELECT id, '' FROM hr.salaries", false, false, false, false},
		{"INSERT INTO orders VALUES (1)", true, true, false, false},
		{"INSERT INTO items VALUES (1)", false, true, false, false},
		{"DELETE FROM orders", false, true, false, false}, // deletes from items, too
		{"COPY orders FROM STDIN", true, true, false, false},
		{"DROP TABLE orders", false, true, false, false},
		{"DROP SCHEMA hr CASCADE", false, false, false, false},
		{"DROP SCHEMA public CASCADE", false, false, false, false},
		{"TRUNCATE hr.salaries", false, false, false, false},
		{"SELECT nextval('numbers')", false, false, false, false},
		{"DO $$BEGIN END$$", false, false, false, false},
		{"EXECUTE x", false, false, false, false},
		{"SELEC", false, false, false, false},
		{"CREATE INDEX ON orders (note)", false, true, false, true},
	} {
		for _, w := range []struct {
			name  string
			rules []policy.Rule
			facts *proxy.Facts
			want  bool
		}{
			{"limited", limited, with(c.text), c.limited},
			{"barred", barred, with(c.text), c.barred},
			{"limited, without a catalog", limited, without(c.text), c.blindLimited},
			{"barred, without a catalog", barred, without(c.text), c.blind},
		} {
			t.Run(c.text+", "+w.name, func(t *testing.T) {
				p, err := policy.New(w.rules)
				require.NoError(t, err)
				s, err := proxytest.Open(&proxy.Gateway{}, p)
				require.NoError(t, err)
				defer s.Close(nil)
				op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(c.text), Facts: w.facts}
				v := s.Ask(t.Context(), op)
				require.Equal(t, w.want, !v.Refuses(), "%s %s: %+v", v.Rule, v.Reason, w.facts)
				s.Done(op, &proxy.Outcome{})
			})
		}
	}
}

func TestRelationsInMessages(t *testing.T) {
	p, err := policy.New([]policy.Rule{
		{Groups: []string{"dev"}, Allow: []string{"connect", "read"}, Relations: []string{"public.orders", "items"}},
		{Groups: []string{"dev"}, Allow: []string{"write"}},
		{Name: "no-pay", Groups: []string{"*"}, Deny: []string{"write"}, Relations: []string{"hr.*"}},
	})
	require.NoError(t, err)
	s, err := proxytest.Open(&proxy.Gateway{}, p)
	require.NoError(t, err)
	defer s.Close(nil)
	ask := func(e proxy.Effects, on string) *proxy.Verdict {
		op := proxytest.Statement("…", e)
		op.Facts.Resolved, op.Facts.Relations = true, []proxy.Relation{{Schema: "hr", Name: on, Effects: e}}
		return s.Ask(t.Context(), op)
	}
	v := ask(proxy.EffectRead, "salaries")
	require.Equal(t, "you may not read data at shop/shop: hr.salaries", v.Reason)
	require.Equal(t, "Your rights here: connect, read on public.orders and items, write.", v.Remedy)
	v = ask(proxy.EffectUpdate, "salaries")
	require.Equal(t, "you may not update rows at shop/shop: hr.salaries (rule no-pay)", v.Message())
}
