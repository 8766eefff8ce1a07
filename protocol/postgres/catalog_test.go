package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

const catalogSchema = `
CREATE SCHEMA app;
CREATE TABLE app.p (id int PRIMARY KEY, gone int, ssn text);
ALTER TABLE app.p DROP COLUMN gone;
CREATE TABLE c (id int REFERENCES app.p ON DELETE CASCADE ON UPDATE SET NULL);
CREATE TABLE part (k int, v text) PARTITION BY LIST (k);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE VIEW v AS SELECT ssn AS s FROM app.p;
CREATE MATERIALIZED VIEW m AS SELECT upper(ssn) AS u FROM app.p;
CREATE FUNCTION f(int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM app.p';
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION h(int) RETURNS int IMMUTABLE SET search_path = app LANGUAGE sql RETURN $1 + 1;
CREATE OPERATOR @@@ (FUNCTION = h, RIGHTARG = int);
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE ON app.p FOR EACH ROW EXECUTE FUNCTION g();
CREATE TRIGGER t2 INSTEAD OF DELETE ON v FOR EACH ROW EXECUTE FUNCTION g();
CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO app.p (ssn) VALUES (new.s);
CREATE TEMPORARY TABLE hidden (x int);
ALTER DATABASE %s SET search_path = app, public`

func TestCatalogReader(t *testing.T) {
	g := startGate(t, gateConfig{})
	testserver.Exec(t, g.pg, g.db, fmt.Sprintf(catalogSchema, g.db))
	s, err := (&CatalogReader{Gateway: g.Gateway}).Load(context.Background(), sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"pg_catalog", "app", "public"}, s.Path)

	p := s.Relation("", "p")
	require.NotNil(t, p)
	require.Equal(t, sql.RelationTable, p.Kind)
	require.Equal(t, "app", p.Schema)
	require.Len(t, p.Columns, 2)
	require.EqualValues(t, 3, p.Columns[1].Attr)
	require.Len(t, p.Triggers, 1)
	require.Equal(t, proxy.EffectInsert|proxy.EffectUpdate, p.Triggers[0].On)
	require.NotZero(t, p.Triggers[0].Function)
	require.True(t, p.Columns[0].NotNull)
	require.False(t, p.Columns[1].NotNull)
	require.Contains(t, s.Extensions, "plpgsql")
	require.Equal(t, []sql.Reference{{From: s.Relation("", "c").OID, OnDelete: proxy.EffectDelete, OnMove: proxy.EffectUpdate}}, p.References)
	require.Equal(t, []uint32{s.Relation("", "part1").OID}, s.Relation("", "part").Children)

	v := s.Relation("", "v")
	require.True(t, v.IsView())
	require.Contains(t, v.Definition, "FROM app.p")
	require.Equal(t, []sql.Trigger{{On: proxy.EffectDelete, Function: v.Triggers[0].Function, Instead: true}}, v.Triggers)
	require.Len(t, v.Rules, 1)
	require.Equal(t, proxy.EffectInsert, v.Rules[0].On)
	require.True(t, v.Rules[0].Instead)
	require.Contains(t, v.Rules[0].Definition, "INSERT INTO app.p")
	require.Equal(t, sql.RelationMaterialized, s.Relation("public", "m").Kind)
	require.False(t, s.Relation("", "pg_stats").IsView(), "the server's own counts as a table")
	require.Nil(t, s.Relation("", "hidden"))

	f := s.FunctionsNamed("", "f")
	require.Len(t, f, 1)
	require.Equal(t, sql.Stable, f[0].Volatility)
	require.Equal(t, "SELECT count(*) FROM app.p", f[0].Body)
	h := s.FunctionsNamed("", "h")[0]
	require.True(t, h.Pinned)
	require.Contains(t, h.Body, "RETURN")
	require.Len(t, s.Behind("@@@"), 1)
	require.Empty(t, s.Behind("+"))
}

// A view whose table somebody has locked keeps nobody waiting: it is opaque.
func TestCatalogLocked(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE p (ssn text, g text GENERATED ALWAYS AS (ssn) STORED); CREATE VIEW v AS SELECT ssn FROM p; CREATE RULE r AS ON INSERT TO p DO ALSO NOTHING"})
	c, err := pgx.Connect(t.Context(), testserver.URL(pgembed.User, g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(t.Context(), "BEGIN; LOCK TABLE p")
	require.NoError(t, err)
	begun := time.Now()
	s, err := (&CatalogReader{Gateway: g.Gateway}).Load(context.Background(), sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}, nil)
	require.NoError(t, err)
	require.Less(t, time.Since(begun), 10*time.Second)
	require.True(t, s.Partial)
	require.Empty(t, s.Relation("", "v").Definition)
	require.True(t, s.Source(s.Relation("", "v").OID, 1).Opaque)
	require.Equal(t, "?", s.Relation("", "p").Column("g").Generated)
	require.Len(t, s.Relation("", "p").Rules, 1)
	require.Empty(t, s.Relation("", "p").Rules[0].Definition)
}

// A server that lies, is huge or never ends costs bounded memory and time.
func TestCatalogFromHostileServers(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE p (ssn text)"})
	key := sql.CatalogKey{Resource: "orders", Database: g.db, Account: "main"}
	_, err := (&CatalogReader{Gateway: g.Gateway, MaxBytes: 10_000}).Load(context.Background(), key, nil)
	require.ErrorContains(t, err, "too large")
	_, err = (&CatalogReader{Gateway: g.Gateway}).Load(context.Background(), sql.CatalogKey{Resource: "other"}, nil)
	require.ErrorIs(t, err, proxy.ErrNotFound)
	_, err = (&CatalogReader{Gateway: g.Gateway}).Load(context.Background(), sql.CatalogKey{Resource: "orders", Account: "nobody"}, nil)
	require.ErrorIs(t, err, proxy.ErrNotFound)

	r := &catalogRows{relations: make(map[uint32]*sql.Relation)}
	b := func(v ...string) (values [][]byte) {
		for _, s := range v {
			values = append(values, []byte(s))
		}
		return values
	}
	require.NoError(t, r.relation(b("20000", "s", "t", "r", "f")))
	require.Error(t, r.relation(b("20000", "s", "u", "r", "f")), "twice")
	require.Error(t, r.relation(b("-1", "s", "u", "r", "f")))
	require.NoError(t, r.column(b("20000", "1", "a", "23", "")))
	for _, v := range [][]string{{"20000", "1", "b", "23", ""}, {"20000", "40000", "b", "23", ""}, {"20000", "0", "b", "23", ""}, {"20000", "2", "b", "x", ""}, {"", "2", "b", "1", ""}} {
		require.Error(t, r.column(b(v...)), strings.Join(v, " "))
	}
	require.NoError(t, r.column(b("20001", "1", "a", "23", "")), "one of a relation that came later")
	require.Error(t, r.rule(b("20000", "9", "t", "x")))
}

// tables is a catalog of what the gate's database holds, read anew after each
// change.
func (g *gate) catalog(t testing.TB) *sql.CatalogCache {
	c := &sql.CatalogCache{Load: (&CatalogReader{Gateway: g.Gateway}).Load, Resolve: sqlpostgres.Resolve}
	t.Cleanup(func() { c.Close() })
	return c
}

// Columns of results carry the names of the base columns that their numbers
// identify, also after somebody has changed them through the gateway.
func TestColumnsHaveNames(t *testing.T) {
	var seen []string
	h := &hooks{Hooks: proxy.Hooks{Flow: func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		for _, c := range shape.Columns {
			text := c.Schema + "." + c.Relation + "." + c.Column
			switch {
			case c.Source == nil:
				text += " ?"
			case c.Source.Opaque:
				text += " *"
			}
			seen = append(seen, text)
		}
		return proxy.Filter{}, nil
	}}}
	g := startGate(t, gateConfig{
		sql:   "CREATE TABLE p (id int, ssn text); CREATE VIEW v AS SELECT ssn AS s FROM p",
		chain: []proxy.Interceptor{h},
		handler: func(h *Handler) {
			h.Analyzer = factsByWord{
				"CREATE TEMP": {Effects: proxy.EffectCreate, Renames: []proxy.NameChange{{Kind: proxy.NameTemporary, Value: "q"}}},
				"ALTER":       {Effects: proxy.EffectAlter, Renames: []proxy.NameChange{{Kind: proxy.NameObject, Value: "p"}}},
				"CREATE OR":   {Effects: proxy.EffectCreate, Renames: []proxy.NameChange{{Kind: proxy.NameObject, Value: "v"}}},
				"ROLLBACK":    {Effects: proxy.EffectTransaction, Renames: []proxy.NameChange{{Kind: proxy.NameRollback}}},
				"DO":          {Effects: proxy.EffectDo}, "": {Effects: proxy.EffectRead},
			}
		},
	})
	g.handler.Catalog = g.catalog(t)
	psql := func(script string) []string {
		seen = nil
		out := g.psql(t, script, "-Atq")
		require.NotContains(t, out, "ERROR")
		return seen
	}
	require.Equal(t, []string{"public.p.id", "public.p.ssn", ".. ?"}, psql("SELECT id AS a, ssn AS b, 1 FROM p"))
	require.Equal(t, []string{"public.p.ssn"}, psql("SELECT s FROM v"))
	require.Equal(t, []string{"public.p.x"}, psql("ALTER TABLE p RENAME ssn TO x;\nSELECT x FROM p"), "at once")
	require.Equal(t, []string{".. *", "public.p.x"}, psql("BEGIN;\nCREATE OR REPLACE VIEW v AS SELECT upper(x) AS s FROM p;\nSELECT s FROM v;\nROLLBACK;\nSELECT s FROM v"),
		"what only this session sees is not told")
	require.Equal(t, []string{".. *"}, psql("BEGIN;\nDO $$BEGIN EXECUTE 'CREATE OR REPLACE VIEW v AS SELECT id::text || x AS s FROM p'; END$$;\nSELECT s FROM v;\nROLLBACK"),
		"nor what it may have done unseen")
	require.Equal(t, []string{".. ?", "public.p.id", "public.p.x"}, psql("CREATE TEMP TABLE q AS SELECT * FROM p;\nSELECT id FROM q;\nSELECT id FROM public.p;\nSELECT s FROM v"))
}

// factsByWord is an analyzer that knows what texts do by how they begin.
type factsByWord map[string]*proxy.Facts

func (a factsByWord) Analyze(_ context.Context, text []byte, _ *proxy.Reading) *proxy.Facts {
	for word, f := range a {
		if word != "" && strings.HasPrefix(string(text), word) {
			return f
		}
	}
	return a[""]
}
