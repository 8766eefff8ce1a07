package postgres

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	protosql "github.com/sallyport/sallyport/protocol/sql"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// approver is a Reviewer that measures what is held, has somebody look at it, and approves it.
type approver struct {
	looks func(st *proxy.Statement, i *proxy.Impact)
	claim *proxy.Impact // of an earlier session, so that nothing is measured; nil: what is measured
	fails error
	limit time.Duration // of measuring; 0: enough
}

// enough is a time in which a busy machine measures, too. One question may take a third of it, and wait for a lock for a ninth.
const enough = 45 * time.Second

func (a *approver) Request(ctx context.Context, _ *proxy.Session, op proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	st := op.(*proxy.Statement)
	i := a.claim
	if i == nil {
		var err error
		if i, err = st.Measure(ctx); err != nil {
			a.fails = err
			return nil, err
		}
	}
	return &proxy.Pending{ID: "1", Message: "held", Wait: func(context.Context) proxy.Verdict {
		if a.looks != nil {
			a.looks(st, i)
		}
		v := proxy.Allow("approved")
		v.Impact = i
		return v
	}}, nil
}

// impactGate is a gate in which what changes rows of a table is held.
func impactGate(t *testing.T, schema string, a *approver, more ...proxy.Interceptor) *gate {
	t.Helper()
	cache := &protosql.CatalogCache{Resolve: sqlpostgres.Resolve}
	holds := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		const changes = proxy.EffectsWrite | proxy.EffectDrop | proxy.EffectUnknown
		if !ok || st.Kind != proxy.KindStatement || !st.Facts.Effects.Has(changes) || containsFold(st.Text, []byte("unheld")) {
			return proxy.Pass()
		}
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{"big"}, Approvers: [][]string{{"ops"}}, For: time.Minute}}
	}}}
	g := startGate(t, gateConfig{
		sql: schema, chain: append([]proxy.Interceptor{holds}, more...),
		gateway: func(g *proxy.Gateway) { g.Reviewer, g.AskTimeout = a, 3*enough },
		handler: func(h *Handler) {
			h.Catalog, h.Analyzer = cache, sqlpostgres.New(sqlpostgres.Config{Catalog: cache})
			h.measures = cmp.Or(a.limit, enough)
		},
	})
	cache.Load = (&CatalogReader{Gateway: g.Gateway}).Load
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	return g
}

const ordersSchema = `CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, qty int NOT NULL DEFAULT 1);
INSERT INTO orders SELECT i, CASE WHEN i <= 3 THEN 'open' ELSE 'closed' END FROM generate_series(1, 10) AS i;`

// exec runs a statement that nobody looks at.
func (g *gate) exec(t testing.TB, text string) string { return testserver.Exec(t, g.pg, g.db, text) }

// What is held is measured, by simple and extended queries, in transactions and outside, and
// runs as what was approved alone.
func TestImpact(t *testing.T) {
	for name, flow := range map[string]bool{"rows that nobody sees": false, "rows that are filtered": true} {
		t.Run(name, func(t *testing.T) {
			var seen []*proxy.Impact
			between := ""
			a := &approver{}
			var more []proxy.Interceptor
			if flow {
				h := &hooks{}
				h.Flow = func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
					return proxy.Filter{Row: func(*proxy.Row) error { return nil }}, nil
				}
				h.Show = proxy.HidesNothing
				more = append(more, h)
			}
			g := impactGate(t, ordersSchema, a, more...)
			a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
				seen = append(seen, i)
				if between != "" {
					g.exec(t, between)
				}
			}
			c := g.connect(t, "sslmode=disable").PgConn()
			w := &conversation{t, c.Frontend()}
			last := func() *proxy.Impact { return seen[len(seen)-1] }
			reset := func() {
				g.exec(t, "DELETE FROM orders; INSERT INTO orders SELECT i, CASE WHEN i <= 3 THEN 'open' ELSE 'closed' END FROM generate_series(1, 10) AS i")
			}
			const update = "UPDATE orders SET status = 'done', qty = qty + 1 WHERE status = 'open'"
			const fourth, changed = "UPDATE orders SET status = 'open' WHERE id = 4", "UPDATE orders SET qty = 7 WHERE id = 3"
			count := func() string { return g.exec(t, "SELECT count(*) FROM orders WHERE status = 'done'") }

			// A simple query of its own.
			require.Equal(t, "C(UPDATE 3) Z(I)", w.query(update))
			i := last()
			require.EqualValues(t, 3, i.Rows)
			require.Equal(t, "public.orders", i.Table)
			require.Equal(t, "update", i.Effect)
			require.Equal(t, proxy.HoldsRows, i.Holds)
			require.Len(t, i.Digest, 64)
			require.Contains(t, i.Plan, "Scan")
			require.NotZero(t, i.Cost)
			require.Equal(t, []string{"id", "status", "qty"}, i.Columns)
			require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"open"`, `"1"`}, After: []string{"", `"done"`, `"2"`}}, i.Samples[0])
			require.Len(t, i.Samples, 3)
			require.Empty(t, i.Unsaid)
			require.Equal(t, "3", count())
			require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))

			for _, between = range []string{fourth, changed} {
				reset()
				require.Equal(t, "E(42501) Z(I)", w.query(update), between)
				require.Equal(t, "0", count())
				require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))

				reset()
				w.run("SELECT 7")
				w.run(update)
				w.run("SELECT 8")
				require.Equal(t, "1 2 D7 C(SELECT 1) 1 2 E(42501) Z(I)", w.sync(), "%s %+v", between, last())
				require.Equal(t, "0", count())

				reset()
				require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
				require.Equal(t, "C(INSERT 0 1) Z(T)", w.query("INSERT INTO orders VALUES (100, 'unheld')"))
				require.Equal(t, "C(SAVEPOINT) Z(T)", w.query("SAVEPOINT mine"))
				require.Equal(t, "E(42501) Z(E)", w.query(update), between)
				require.Equal(t, "C(ROLLBACK) Z(T)", w.query("ROLLBACK TO mine"), "the transaction goes on from where the client says")
				require.Equal(t, "T D1 C(SELECT 1) Z(T)", w.query("SELECT count(*) FROM orders WHERE id = 100"))
				require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))
			}
			between = ""

			// Within a transaction, which goes on.
			reset()
			require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
			require.Equal(t, "C(UPDATE 3) Z(T)", w.query(update))
			require.Equal(t, "T D0 C(SELECT 1) Z(T)", w.query("SELECT count(*) FROM orders WHERE status = 'open'"))
			w.run("UPDATE orders SET status = 'open' WHERE status = 'done'")
			require.Equal(t, "1 2 C(UPDATE 3) Z(T)", w.sync())
			require.EqualValues(t, 3, last().Rows)
			require.Equal(t, "C(COMMIT) Z(I)", w.query("COMMIT"))
			require.Equal(t, "0", count())

			// In the middle of a batch that is its own transaction, and its first.
			w.run("INSERT INTO orders VALUES (11, 'open /* unheld */')")
			w.run("SELECT 7")
			w.run("DELETE FROM orders WHERE id > 8 RETURNING id")
			w.run("SELECT 8")
			require.Equal(t, "1 2 C(INSERT 0 1) 1 2 D7 C(SELECT 1) 1 2 D9 D10 D11 C(DELETE 3) 1 2 D8 C(SELECT 1) Z(I)", w.sync())
			require.EqualValues(t, 3, last().Rows)
			require.Equal(t, proxy.HoldsRows, last().Holds)
			require.Nil(t, last().Samples[0].After)
			w.run(update)
			require.Equal(t, "1 2 C(UPDATE 3) Z(I)", w.sync())
			require.Equal(t, "3", count())
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM pg_prepared_statements"))
			require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM pg_cursors"))
			require.Equal(t, "T Doff C(SHOW) Z(I)", w.query("SHOW transaction_read_only"))
			require.Equal(t, "T D0 C(SHOW) Z(I)", w.query("SHOW statement_timeout"))
			require.Equal(t, "T D0 C(SHOW) Z(I)", w.query("SHOW idle_in_transaction_session_timeout"))
		})
	}
}

const hostileSchema = `
CREATE TABLE plain (id int PRIMARY KEY, a text, n float8); INSERT INTO plain VALUES (1, 'x', 0.1), (2, 'y', 0.2), (3, NULL, 0.3);
CREATE TABLE nokey (a text); INSERT INTO nokey VALUES ('same'), ('same'), ('other');
CREATE TABLE "Odd ""T"" select" ("from" int PRIMARY KEY, "a ""b""" text, "x;--" text); INSERT INTO "Odd ""T"" select" VALUES (1, 'p', 'q');
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE triggered (id int); INSERT INTO triggered VALUES (1);
CREATE FUNCTION acts() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION acts();
CREATE TABLE ruled (id int); INSERT INTO ruled VALUES (1); CREATE RULE r AS ON UPDATE TO ruled DO ALSO NOTHING;
CREATE TABLE secured (id int); INSERT INTO secured VALUES (1); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE TABLE parted (k int, v text) PARTITION BY LIST (k); CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1); CREATE TABLE parted2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 'a'), (2, 'b');
CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE TABLE referred (id int PRIMARY KEY); CREATE TABLE refers (id int REFERENCES referred ON DELETE CASCADE); INSERT INTO referred VALUES (1); INSERT INTO refers VALUES (1);
CREATE FUNCTION loud(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO nokey VALUES (''acted''); RETURN $1; END';
CREATE FUNCTION quiet(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE OPERATOR === (FUNCTION = louder, LEFTARG = int, RIGHTARG = int);
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text);
CREATE TABLE typed (id int PRIMARY KEY, m mood, p positive, c pair, j jsonb, b bytea, t timestamptz, l int[], g int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO typed VALUES (1, 'sad', 5, ROW(1, 'x'), '{"a": 1}', '\x00ff', '2026-01-02 03:04:05+00', '{1,2}');
CREATE TABLE large (id int PRIMARY KEY, v text); INSERT INTO large VALUES (1, repeat('long ', 1000000)), (2, 'short');
CREATE TABLE many (id int); INSERT INTO many SELECT generate_series(1, 10050);`

// What can be said of a statement, and what cannot, and why. Nothing of it acts.
func TestImpactSays(t *testing.T) {
	schema := strings.Replace(hostileSchema, "CREATE OPERATOR", "CREATE FUNCTION louder(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO nokey VALUES (''acted''); RETURN true; END'; CREATE OPERATOR", 1)
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := impactGate(t, schema, a)
	wide := make([]string, 1600)
	for i := range wide {
		wide[i] = "c" + strconv.Itoa(i) + " int"
	}
	g.exec(t, "CREATE TABLE wide ("+strings.Join(wide, ", ")+"); INSERT INTO wide (c0) VALUES (1)")
	c := g.connect(t, "sslmode=disable").PgConn()
	w := &conversation{t, c.Frontend()}
	w.query("SELECT 1")
	const none, count, rows = proxy.HoldsNothing, proxy.HoldsCount, proxy.HoldsRows
	for _, c := range []struct {
		text   string
		n      int64
		holds  proxy.Held
		unsaid string // of one sentence; empty: there is none
		tag    string // of the answer; empty is that n rows were changed
	}{
		{"UPDATE plain SET a = 'z'", 3, rows, "", ""},
		{"UPDATE plain SET a = 'z' WHERE false", 0, rows, "", ""},
		{"DELETE FROM plain WHERE id = 3 AND n = 0.3 RETURNING *", 1, rows, "", ""},
		{"UPDATE plain p SET a = random()::text WHERE p.id < 3", 2, rows, "", ""},
		{"UPDATE plain SET a = 'r' WHERE random() < 2", 2, none, "true of other rows each time", ""},
		{"UPDATE plain SET a = now()::text WHERE now() > '2020-01-01'", 2, rows, "", ""},
		{"UPDATE plain SET a = f.a FROM nokey f WHERE f.a = 'same'", 2, rows, "other tables have a say", ""},
		{"UPDATE plain SET a = 'w' WHERE id IN (SELECT id FROM typed)", 1, rows, "other tables have a say", ""},
		{"WITH w AS (SELECT 1 AS id) UPDATE plain SET a = 'w' FROM w WHERE w.id = plain.id", 1, rows, "other tables have a say", ""},
		{"DELETE FROM nokey WHERE a = 'same'", 2, rows, "", ""},
		{`UPDATE "Odd ""T"" select" AS "o""1" SET "a ""b""" = "o""1"."x;--" || 'it''s' WHERE "o""1"."from" = 1`, 1, rows, "", ""},
		{"DELETE FROM nothing", 2, rows, "", ""},
		{"UPDATE triggered SET id = 2", 1, none, "has triggers", "UPDATE 0"},
		{"DELETE FROM triggered", 1, rows, "", ""},
		{"UPDATE ruled SET id = 2", 1, none, "has rules", ""},
		{"UPDATE parted SET v = v || v", 2, rows, "", ""},
		{"UPDATE parted SET k = 2 WHERE k = 1", 1, rows, "", ""},
		{"DELETE FROM parent", 1, count, "inherit from", ""},
		{"DELETE FROM ONLY parent", 0, rows, "", ""},
		{"UPDATE seen SET a = 'v' WHERE id = 1", -1, none, "not a plain table", "UPDATE 1"},
		{"DELETE FROM referred", 1, rows, "refer to them go", ""},
		{"UPDATE plain SET a = 'l' WHERE loud(id) = 1", -1, none, "may do more than read", "UPDATE 1"},
		{"UPDATE plain SET a = 'l' WHERE id === 1", -1, none, "may do more than read", "UPDATE 2"},
		{"UPDATE plain SET a = 'l' WHERE quiet(id) = 2", 1, rows, "", ""},
		{"UPDATE typed SET m = 'ok', p = 6, c = ROW(2, 'y'), j = j || '{\"b\": 2}', b = '\\x01', t = t + interval '1 day', l[1] = 3", 1, rows, "", ""},
		{"UPDATE typed SET (m, p) = ('sad', 7) WHERE m = 'ok'::mood AND p > 1 AND g = 2", 1, rows, "", ""},
		{"UPDATE large SET v = 'cut' WHERE id > 0", 2, rows, "", ""},
		{"DELETE FROM many", 10050, count, "more than 10000", ""},
		{"UPDATE wide SET c1599 = 2", 1, rows, "more columns are not shown", ""},
		{"DELETE FROM wide", 1, rows, "more columns are not shown", ""},
		{"INSERT INTO nokey VALUES ('a'), (DEFAULT)", 2, count, "", ""},
		{"INSERT INTO nokey SELECT a FROM plain WHERE id < 3", 2, rows, "not locked", ""},
		{"INSERT INTO nokey (a) SELECT random()::text FROM plain", 2, none, "each time", ""},
		{"INSERT INTO many SELECT generate_series(1, 10020)", 10020, count, "more than 10000", ""},
		{"INSERT INTO triggered SELECT id FROM plain", 2, rows, "not locked", ""},
		{"WITH w AS (SELECT 7 AS x, 'seven' AS y) INSERT INTO parted (v, k) SELECT y, 1 FROM w RETURNING k", 1, rows, "not locked", ""},
		{"INSERT INTO plain SELECT id FROM plain ON CONFLICT DO NOTHING", 2, none, "ON CONFLICT", "INSERT 0 0"},
		{"INSERT INTO nokey SELECT loud(1)::text", -1, none, "may do more than read", "INSERT 0 1"},
		{"TRUNCATE nokey, refers", -2, count, "", "TRUNCATE TABLE"},
		{"DROP TABLE nothing, child CASCADE", 0, count, "CASCADE", "DROP TABLE"},
		{"TRUNCATE seen", -1, none, "not a plain table", "42809"},
		{"UPDATE nosuch SET a = 1", -1, none, "", "42P01"},
		{"UPDATE plain SET a = 1; UPDATE plain SET a = 2", -1, none, "several statements", "UPDATE 2 UPDATE 2"},
		{"DELETE FROM secured", -1, none, "", ""},
	} {
		last = nil
		if c.n == -2 {
			n, err := strconv.Atoi(g.exec(t, "SELECT (SELECT count(*) FROM nokey) + (SELECT count(*) FROM refers)"))
			require.NoError(t, err)
			c.n = int64(n)
		}
		got := w.query(c.text)
		if strings.Contains(c.text, "secured") { // of the owner, who is a superuser
			continue
		}
		require.NotNil(t, last, c.text+" "+got)
		require.Equal(t, c.n, last.Rows, "%s %+v", c.text, last)
		require.Equal(t, c.holds, last.Holds, "%s %+v", c.text, last)
		require.Equal(t, c.holds == rows, last.Digest != "", c.text)
		switch {
		case strings.HasPrefix(c.tag, "42"):
			require.NotEmpty(t, last.Unsaid)
		case c.unsaid == "":
			require.Empty(t, last.Unsaid, c.text)
		default:
			require.Contains(t, strings.Join(last.Unsaid, "; "), c.unsaid, c.text)
		}
		switch {
		case strings.HasPrefix(c.tag, "4"):
			require.Contains(t, got, "E("+c.tag+")", c.text)
		case c.tag != "":
			for _, tag := range strings.Split(strings.NewReplacer(" UPDATE", "\nUPDATE").Replace(c.tag), "\n") {
				require.Contains(t, got, "C("+tag+")", c.text)
			}
		default:
			require.Contains(t, got, " "+strconv.FormatInt(c.n, 10)+") Z(I)", c.text)
		}
		require.NotContains(t, got, "N(", c.text)
	}
	require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))
}

// A domain or a cast that may do anything is not called.
func TestImpactOfDomains(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := impactGate(t, `CREATE TABLE acted (id int); CREATE FUNCTION acts(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO acted VALUES ($1); RETURN true; END';
CREATE DOMAIN loud AS int CHECK (acts(VALUE)); CREATE TABLE t (id int PRIMARY KEY, d loud, l loud[], n int); INSERT INTO t VALUES (1, 2, '{3}', 4);
CREATE FUNCTION takes(loud) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION acting() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM acted'; TRUNCATE acted`, a)
	c := g.connect(t, "sslmode=disable")
	w := &conversation{t, c.PgConn().Frontend()}
	w.query("SELECT 1")
	acted := ""
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		last, acted = i, g.exec(t, "SELECT count(*) FROM acted")
	}
	for text, measured := range map[string]bool{
		"UPDATE t SET n = 5 WHERE d = 2":                        true,
		"UPDATE t SET d = 7, l = '{8}' WHERE n > 0":             true,
		"UPDATE t SET n = 5 WHERE d = 2::loud":                  false,
		"UPDATE t SET n = 5 WHERE d = loud '2'":                 false,
		"UPDATE t SET n = 5 WHERE takes(2) = 1":                 false,
		"INSERT INTO t SELECT id + 10, CAST(id AS loud) FROM t": false,
	} {
		g.exec(t, "TRUNCATE acted")
		got := w.query(text)
		require.NotContains(t, got, "E(", text)
		require.Equal(t, "0", acted, text)
		require.Equal(t, measured, last.Rows >= 0, "%s %+v", text, last)
		if measured {
			for _, s := range last.Samples {
				require.NotContains(t, s.After, `"7"`)
			}
		}
	}
	_, err := c.Exec(t.Context(), "UPDATE t SET n = 6 WHERE d > $1 AND id = 1", 0)
	require.NoError(t, err)
	require.EqualValues(t, 1, last.Rows, "%+v", last)
	g.exec(t, "CREATE TYPE own AS (a int); CREATE FUNCTION made(own) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; CREATE CAST (own AS int) WITH FUNCTION made(own) AS IMPLICIT")
	w.query("UPDATE t SET n = 7")
	require.EqualValues(t, -1, last.Rows)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "may do more than read")
}

// An account that row security hides rows from, or that may not read or lock, is told so to approvers.
func TestImpactOfAnAccount(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := impactGate(t, `CREATE TABLE secured (id int PRIMARY KEY, who text); INSERT INTO secured VALUES (1, 'impact_user'), (2, 'other');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON secured USING (who = current_user);
CREATE TABLE unlockable (id int); INSERT INTO unlockable VALUES (1), (2);
CREATE TABLE blind (id int); INSERT INTO blind VALUES (1), (2);
CREATE SCHEMA own; CREATE TABLE own.unlockable (id int)`, a)
	g.exec(t, "DO $$ BEGIN CREATE ROLE impact_user LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	g.exec(t, "GRANT SELECT, UPDATE ON secured TO impact_user; GRANT SELECT, DELETE ON unlockable TO impact_user; GRANT DELETE, UPDATE ON blind TO impact_user")
	g.exec(t, "GRANT CREATE, USAGE ON SCHEMA public TO impact_user")
	r := *g.Gateway.Revision()
	r.Credentials = proxytest.Credential{Username: "impact_user", Password: proxy.NewSecret("x")}
	require.NoError(t, g.Gateway.Use(&r))
	c := g.connect(t, "sslmode=disable").PgConn()
	w := &conversation{t, c.Frontend()}
	require.Equal(t, "T Dimpact_user C(SELECT 1) Z(I)", w.query("SELECT current_user"))
	require.Equal(t, "C(UPDATE 1) Z(I)", w.query("UPDATE secured SET who = who"))
	require.EqualValues(t, 1, last.Rows)
	require.Equal(t, proxy.HoldsNothing, last.Holds)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "row security")
	require.Equal(t, "C(DELETE 2) Z(I)", w.query("DELETE FROM unlockable"))
	require.EqualValues(t, 2, last.Rows)
	require.Equal(t, proxy.HoldsCount, last.Holds)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "may not lock rows")
	require.Equal(t, "C(DELETE 2) Z(I)", w.query("DELETE FROM blind"))
	require.EqualValues(t, -1, last.Rows)
	require.Equal(t, proxy.HoldsNothing, last.Holds)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "may not read")
}

// A table that somebody has locked, and a query that takes too long, cost neither the statement nor the transaction, and
// no more than their time. Ctrl-C gives the statement up.
func TestImpactInTime(t *testing.T) {
	var last *proxy.Impact
	a := &approver{limit: 18 * time.Second, looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }} // it is waited for to its end
	g := impactGate(t, ordersSchema+"CREATE TABLE slow (id int); INSERT INTO slow SELECT generate_series(1, 5000);"+
		"CREATE FUNCTION ages() RETURNS bool STABLE LANGUAGE sql AS 'SELECT count(*) > 0 FROM generate_series(1, 2000000000)'", a)
	other, err := pgx.Connect(t.Context(), testserver.URL("postgres", g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer other.Close(context.Background())
	exec := func(text string) {
		t.Helper()
		_, err := other.Exec(t.Context(), text)
		require.NoError(t, err)
	}
	c := g.connect(t, "sslmode=disable").PgConn()
	w := &conversation{t, c.Frontend()}
	require.Equal(t, "T D0 C(SELECT 1) Z(I)", w.query("SELECT count(*) FROM slow WHERE id = 0"))

	exec("BEGIN; LOCK TABLE orders")
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) { last = i; exec("COMMIT") }
	begun := time.Now()
	require.Equal(t, "C(UPDATE 3) Z(I)", w.query("UPDATE orders SET qty = 2 WHERE status = 'open'"))
	require.Less(t, time.Since(begun), a.limit*8/9)
	require.EqualValues(t, -1, last.Rows)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "somebody has locked")

	for _, batch := range []bool{false, true} {
		exec("BEGIN; LOCK TABLE orders")
		require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
		require.Equal(t, "C(CREATE TABLE) Z(T)", w.query("CREATE TABLE mine (id int)"))
		want := "C(UPDATE 3) Z(T)"
		if batch {
			w.run("UPDATE orders SET qty = 2 WHERE status = 'open'")
			require.Equal(t, "1 2 "+want, w.sync())
		} else {
			require.Equal(t, want, w.query("UPDATE orders SET qty = 2 WHERE status = 'open'"))
		}
		require.EqualValues(t, -1, last.Rows)
		require.Equal(t, "T D0 C(SELECT 1) Z(T)", w.query("SELECT count(*) FROM mine"), "the transaction goes on")
		require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))
	}
	exec("BEGIN; LOCK TABLE orders")
	w.run("SELECT 7")
	w.run("UPDATE orders SET qty = 2 WHERE status = 'open'")
	w.run("SELECT 8")
	require.Equal(t, "1 2 D7 C(SELECT 1) 1 2 C(UPDATE 3) 1 2 D8 C(SELECT 1) Z(I)", w.sync())
	require.EqualValues(t, -1, last.Rows)

	// It takes too long to find the rows, and is given up.
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) { last = i }
	require.Equal(t, "C(SET) Z(I)", w.query("SET statement_timeout = '60s'"))
	x := &conversation{t, c.Frontend()}
	x.Send(&pgproto3.Query{String: "DELETE FROM slow WHERE ages()"})
	require.NoError(t, x.Flush())
	running := func() bool {
		return g.exec(t, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^(SELECT|DELETE).*ages' AND datname = current_database() AND pid <> pg_backend_pid()") == "1"
	}
	require.Eventually(t, running, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, c.CancelRequest(t.Context()))
	last = nil
	require.Equal(t, "E(42501) Z(I)", x.read(), "it was measured, and given up")
	require.Nil(t, last, "nobody is asked")
	require.ErrorIs(t, a.fails, proxy.ErrCanceled)
	require.Equal(t, "T D1 C(SELECT 1) Z(I)", x.query("SELECT 1"))
	require.Equal(t, "T D1min C(SHOW) Z(I)", x.query("SHOW statement_timeout"))

	require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
	x.Send(&pgproto3.Query{String: "DELETE FROM slow WHERE ages()"})
	require.NoError(t, x.Flush())
	require.Eventually(t, running, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, c.CancelRequest(t.Context()))
	require.Equal(t, "E(42501) Z(E)", x.read())
	require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))
}

// What runs after the approval can be cancelled, and waits for locks, as it would without.
func TestGuardedStatementIsCancelled(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a)
	other, err := pgx.Connect(t.Context(), testserver.URL("postgres", g.pg.Password, g.pg.Address(), g.db, "sslmode=disable"))
	require.NoError(t, err)
	defer other.Close(context.Background())
	c := g.connect(t, "sslmode=disable").PgConn()
	w := &conversation{t, c.Frontend()}
	waits := func() bool {
		return g.exec(t, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == "1"
	}
	a.looks = func(*proxy.Statement, *proxy.Impact) {
		_, err := other.Exec(context.Background(), "BEGIN; UPDATE orders SET qty = 5 WHERE id = 2")
		require.NoError(t, err)
	}
	for _, end := range []string{"cancel", "ROLLBACK", "COMMIT"} {
		for _, extended := range []bool{false, true} {
			if extended {
				w.run("UPDATE orders SET qty = 9 WHERE status = 'open'")
				w.Send(&pgproto3.Sync{})
			} else {
				w.Send(&pgproto3.Query{String: "UPDATE orders SET qty = 9 WHERE status = 'open'"})
			}
			require.NoError(t, w.Flush())
			require.Eventually(t, waits, 20*time.Second, 10*time.Millisecond)
			want := "E(42501) Z(I)"
			if end == "cancel" {
				require.NoError(t, c.CancelRequest(t.Context()))
				got := w.read()
				_, err := other.Exec(t.Context(), "ROLLBACK")
				require.NoError(t, err)
				require.Contains(t, got, "E(")
				require.Contains(t, got, "Z(I)")
				continue
			}
			_, err := other.Exec(t.Context(), end)
			require.NoError(t, err)
			if end == "ROLLBACK" {
				want = "C(UPDATE 3) Z(I)"
			}
			if extended {
				want = "1 2 " + want
			}
			require.Equal(t, want, w.read(), "%s %t", end, extended)
			g.exec(t, "UPDATE orders SET qty = 1")
		}
	}
	require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))
}

// A batch in which something was held ends as it would without, whatever else is in it.
func TestImpactInBatches(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema+"CREATE TABLE late (id int PRIMARY KEY, of int, UNIQUE (of) DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1, 1), (2, 2)", a)
	var last *proxy.Impact
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) { last = i }
	c := g.connect(t, "sslmode=disable").PgConn()
	w := &conversation{t, c.Frontend()}
	left := func() string {
		require.Equal(t, proxy.HoldsRows, last.Holds, "%+v", last)
		last = nil
		require.Equal(t, "T D1 C(SELECT 1) Z(I)", w.query("SELECT 1"))
		return g.exec(t, "SELECT (SELECT string_agg(qty::text, '' ORDER BY id) FROM orders) || ' ' || (SELECT string_agg(of::text, '' ORDER BY id) FROM late)")
	}
	const one = "UPDATE orders SET qty = qty + 1 WHERE id = 1"

	w.run(one)
	w.run("SELECT 1/count(*) FROM late WHERE id = 9")
	w.run("SELECT 1")
	require.Equal(t, "1 2 C(UPDATE 1) 1 2 E(22012) Z(I)", w.sync())
	require.Equal(t, "1111111111 12", left(), "all of it is taken back")

	w.run(one)
	w.run("UPDATE late SET of = 2 /* unheld */")
	require.Equal(t, "1 2 C(UPDATE 1) 1 2 C(UPDATE 2) E(23505) Z(I)", w.sync(), "a constraint fails at the end")
	require.Equal(t, "1111111111 12", left())
	require.Equal(t, "E(23505) Z(I)", w.query("UPDATE late SET of = 2"), "and nothing is said to have been changed")
	require.Equal(t, "1111111111 12", left())
	require.Equal(t, "T D1 D2 E(23505) Z(I)", w.query("UPDATE late SET of = 2 RETURNING id"))
	require.Equal(t, "1111111111 12", left())

	for _, text := range []string{"BEGIN", "COMMIT", "SAVEPOINT s", "ROLLBACK AND CHAIN"} {
		w.run(one)
		w.run(text)
		require.Equal(t, "1 2 C(UPDATE 1) 1 2 E(42501) Z(I)", w.sync(), text)
		require.Equal(t, "1111111111 12", left())
	}
	w.run("BEGIN")
	w.run(one)
	w.run("COMMIT")
	require.Equal(t, "1 2 C(BEGIN) 1 2 C(UPDATE 1) 1 2 C(COMMIT) Z(I)", w.sync(), "a block of the client's is hers")
	require.Equal(t, "2111111111 12", left())
	w.run("BEGIN")
	w.run(one)
	require.Equal(t, "1 2 C(BEGIN) 1 2 C(UPDATE 1) Z(T)", w.sync())
	w.run("ROLLBACK")
	require.Equal(t, "1 2 C(ROLLBACK) Z(I)", w.sync())
	require.Equal(t, "2111111111 12", left())

	// COPY, as the protocol has it, and with a Sync that comes before the data, as libpq sends it.
	for _, early := range []bool{false, true} {
		w.run(one)
		w.run("COPY late FROM STDIN /* unheld */")
		if early {
			w.Send(&pgproto3.Sync{})
		} else {
			w.Send(&pgproto3.Flush{})
		}
		require.NoError(t, w.Flush())
		for {
			m, err := w.Receive()
			require.NoError(t, err)
			if _, ok := m.(*pgproto3.CopyInResponse); ok {
				break
			}
			_, failed := m.(*pgproto3.ErrorResponse)
			require.False(t, failed, "%+v", m)
		}
		w.Send(&pgproto3.CopyData{Data: []byte("5\t5\n")})
		w.Send(&pgproto3.CopyDone{})
		require.Equal(t, "C(COPY 1) Z(I)", w.sync())
		require.Contains(t, left(), "125")
		g.exec(t, "DELETE FROM late WHERE id = 5")
	}
	require.Equal(t, "4111111111 12", g.exec(t, "SELECT (SELECT string_agg(qty::text, '' ORDER BY id) FROM orders) || ' ' || (SELECT string_agg(of::text, '' ORDER BY id) FROM late)"))

	// Names and portals that were given before stay what they are.
	w.Send(&pgproto3.Parse{Name: "named", Query: "UPDATE orders SET qty = $1 WHERE id = $2", ParameterOIDs: []uint32{23, 0}})
	w.Send(&pgproto3.Parse{Query: "SELECT 'unnamed'"})
	w.Send(&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "named", Parameters: [][]byte{[]byte("7"), {0, 0, 0, 2}}, ParameterFormatCodes: []int16{0, 1}})
	w.Send(&pgproto3.Bind{})
	w.Send(&pgproto3.Execute{Portal: "p"})
	w.Send(&pgproto3.Execute{})
	require.Equal(t, "1 1 2 2 C(UPDATE 1) Dunnamed C(SELECT 1) Z(I)", w.sync())
	require.EqualValues(t, 1, last.Rows)
	require.Equal(t, proxy.Sample{Before: []string{`"2"`, `"1"`, `"open"`}, After: []string{"", `"7"`, ""}}, last.Samples[0])
	w.Send(&pgproto3.Bind{})
	w.Send(&pgproto3.Execute{})
	require.Equal(t, "2 Dunnamed C(SELECT 1) Z(I)", w.sync(), "the unnamed statement outlives the Sync")
	w.Send(&pgproto3.Bind{PreparedStatement: "named", Parameters: [][]byte{nil, []byte("2")}})
	w.Send(&pgproto3.Execute{MaxRows: 1})
	require.Equal(t, "2 E(23502) Z(I)", w.sync(), "the server's own error")
	w.query("PREPARE insql AS DELETE FROM orders WHERE id = $1")
	require.Equal(t, "C(DELETE 1) Z(I)", w.query("EXECUTE insql(3)"))
	require.Equal(t, proxy.HoldsNothing, last.Holds)
	require.Contains(t, strings.Join(last.Unsaid, "; "), "not measured")

	w.Send(&pgproto3.Parse{Query: "DELETE FROM orders WHERE id > 7 RETURNING id"})
	w.Send(&pgproto3.Bind{})
	w.Send(&pgproto3.Execute{MaxRows: 1})
	require.Equal(t, "1 2 E(42501) Z(I)", w.sync(), "rows that are fetched in parts")
	require.Equal(t, "T D8 D9 D10 C(DELETE 3) Z(I)", w.query("DELETE FROM orders WHERE id > 7 RETURNING id"))
}

// Tables that are emptied or dropped hold as many rows as they did.
func TestImpactOfWholeTables(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema+"CREATE TABLE told (id int); CREATE TABLE untold (id int); CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE TRUNCATE ON told EXECUTE FUNCTION noop()", a)
	var last *proxy.Impact
	between := ""
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		if last = i; between != "" {
			g.exec(t, between)
		}
	}
	for _, text := range []string{"TRUNCATE orders, untold", "DROP TABLE orders"} {
		for _, claimed := range []bool{false, true} {
			for _, how := range []string{"simple", "block", "batch"} {
				for _, more := range []bool{true, false} {
					w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
					run := func() (got string) {
						switch how {
						case "simple":
							return w.query(text)
						case "block":
							w.query("BEGIN")
							got = strings.NewReplacer("Z(T)", "Z(I)", "Z(E)", "Z(I)").Replace(w.query(text))
							w.query("COMMIT")
							return got
						}
						w.run(text)
						return strings.TrimPrefix(w.sync(), "1 2 ")
					}
					between, a.claim = "", nil
					if claimed {
						w.query("BEGIN")
						w.query(text)
						w.query("ROLLBACK")
						a.claim = last
						require.EqualValues(t, 10, last.Rows)
						require.Equal(t, proxy.HoldsCount, last.Holds)
					}
					want := "C(" + strings.Join(strings.Fields(text)[:1], "") + " TABLE) Z(I)"
					if more {
						between, want = "INSERT INTO orders VALUES (11, 'new')", "E(42501) Z(I)"
					}
					require.Equal(t, want, run(), "%s %s %t %t", text, how, claimed, more)
					g.exec(t, "DROP TABLE IF EXISTS orders; "+ordersSchema)
				}
			}
		}
	}
	between, a.claim = "", nil
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	require.Equal(t, "C(TRUNCATE TABLE) Z(I)", w.query("TRUNCATE told"))
	require.Contains(t, strings.Join(last.Unsaid, "; "), "has triggers")
}

// What a query inserts is what was approved.
func TestImpactOfInserts(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema+"CREATE TABLE archive (was int, note text, extra text)", a)
	var last *proxy.Impact
	between := ""
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		if last = i; between != "" {
			g.exec(t, between)
		}
	}
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	const text = "INSERT INTO archive SELECT id, status || '!' FROM orders WHERE status = 'open'"
	for _, between = range []string{"", "UPDATE orders SET status = 'open' WHERE id = 4", "UPDATE orders SET id = 33 WHERE id = 3"} {
		for _, batch := range []bool{false, true} {
			want := "C(INSERT 0 3) Z(I)"
			if between != "" {
				want = "E(42501) Z(I)"
			}
			if batch {
				w.run(text)
				require.Equal(t, "1 2 "+want, w.sync(), between)
			} else {
				require.Equal(t, want, w.query(text), between)
			}
			require.EqualValues(t, 3, last.Rows)
			require.Equal(t, proxy.HoldsRows, last.Holds)
			require.Equal(t, []string{"was", "note"}, last.Columns)
			require.Len(t, last.Samples, 3)
			require.Nil(t, last.Samples[0].Before)
			require.Equal(t, `"open!"`, last.Samples[0].After[1])
			g.exec(t, "TRUNCATE orders; DROP TABLE orders; "+ordersSchema)
		}
	}
	require.Equal(t, "6", g.exec(t, "SELECT count(*) FROM archive"))
}

// A table that has taken another's name is another table, also where only the number of rows is compared.
func TestImpactOfAnotherTable(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema+"CREATE TABLE other (LIKE orders INCLUDING ALL); INSERT INTO other SELECT * FROM orders", a)
	const swap = "ALTER TABLE orders RENAME TO third; ALTER TABLE other RENAME TO orders; ALTER TABLE third RENAME TO other"
	swaps := false
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
		require.NotEqual(t, proxy.HoldsNothing, i.Holds)
		if swaps {
			g.exec(t, swap)
		}
	}
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	for i, text := range []string{"INSERT INTO orders VALUES (%d, 'new', 1)", "UPDATE orders SET status = 'done' WHERE id = %d", "TRUNCATE orders"} {
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, 20+i)
		}
		swaps = true // in a batch nobody can: the server has locked the table since Parse
		require.Equal(t, "E(42501) Z(I)", w.query(text), text)
	}
	require.Equal(t, "10", g.exec(t, "SELECT count(*) FROM orders"))
	require.Equal(t, "10", g.exec(t, "SELECT count(*) FROM other"))
	swaps = false
	require.Equal(t, "C(INSERT 0 1) Z(I)", w.query("INSERT INTO orders VALUES (20, 'new', 1)"))
	require.Equal(t, "C(TRUNCATE TABLE) Z(I)", w.query("TRUNCATE orders"))
}

// An approval of an earlier session is compared in this one, wherever it comes.
func TestImpactIsClaimed(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a)
	var last *proxy.Impact
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) { last = i }
	const update = "UPDATE orders SET status = 'done' WHERE status = 'open'"
	first := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	require.Equal(t, "C(BEGIN) Z(T)", first.query("BEGIN"))
	require.Equal(t, "C(UPDATE 3) Z(T)", first.query(update))
	require.Equal(t, "C(ROLLBACK) Z(I)", first.query("ROLLBACK"))
	approved := last
	claims := func(c *proxy.Impact, set string, want string) {
		t.Helper()
		for _, how := range []string{"simple", "block", "batch"} {
			// In a session in which it is not measured.
			w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
			a.claim = c
			if set != "" {
				w.query(set)
			}
			got := ""
			switch how {
			case "simple":
				got = w.query(update)
			case "block":
				w.query("BEGIN")
				got = strings.NewReplacer("Z(T)", "Z(I)", "Z(E)", "Z(I)").Replace(w.query(update))
				w.query("COMMIT")
			default:
				w.run(update)
				got = strings.TrimPrefix(w.sync(), "1 2 ")
			}
			require.Equal(t, want+" Z(I)", got, "%s %s", how, set)
			g.exec(t, "UPDATE orders SET status = CASE WHEN id <= 3 THEN 'open' ELSE 'closed' END")
		}
		a.claim = nil
	}
	claims(approved, "", "C(UPDATE 3)")
	other := *approved
	other.Digest = strings.Repeat("0", 64)
	claims(&other, "", "E(42501)")
	other = *approved
	other.Rows = 4
	claims(&other, "", "E(42501)")
	claims(&proxy.Impact{Rows: 3, Holds: proxy.HoldsCount}, "", "C(UPDATE 3)")
	claims(&proxy.Impact{Rows: 2, Holds: proxy.HoldsCount}, "", "E(42501)")
	claims(&proxy.Impact{Rows: 2, Holds: proxy.HoldsNothing}, "", "C(UPDATE 3)")
	claims(approved, "SET extra_float_digits = -5", "E(42501)")
	g.exec(t, "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION noop()")
	claims(approved, "", "E(42501)")
	g.exec(t, "DROP TRIGGER t ON orders; ALTER TABLE orders RENAME TO old; CREATE TABLE orders (LIKE old); INSERT INTO orders SELECT * FROM old")
	claims(approved, "", "E(42501)")
}

// relay passes connections on to a server, and changes what it says.
type relay struct {
	mu     sync.Mutex
	change func(typ byte, body []byte) [][]byte // nil: as it is
}

func (r *relay) lies(change func(typ byte, body []byte) [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = change
}

func (r *relay) serve(server string) func(c net.Conn) {
	return func(c net.Conn) {
		s, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer s.Close()
		go func() {
			defer s.Close()
			io.Copy(s, c)
		}()
		said := wire.NewReader(s)
		for {
			typ, body, err := said.ReadMessage(64 << 20)
			if err != nil {
				return
			}
			r.mu.Lock()
			var out [][]byte
			if r.change != nil {
				out = r.change(typ, body)
			}
			r.mu.Unlock()
			if out == nil {
				out = [][]byte{msg(typ, body...)}
			}
			if _, err := c.Write(bytes.Join(out, nil)); err != nil {
				return
			}
		}
	}
}

// A server that lies while it is measured, or while what was approved runs, is not believed, hangs
// nothing and costs little; what it says of other rows than those that were approved does not count as these.
func TestImpactOfAServerThatLies(t *testing.T) {
	r := &relay{}
	var last *proxy.Impact
	a := &approver{}
	g := impactGate(t, ordersSchema, a)
	resource := g.Gateway.Revision().Directory.(proxy.Resources)[0]
	resource.Address = backdoor(t, r.serve(g.pg.Address()))
	isTable := func(typ byte, body []byte) bool {
		return typ == wire.DataRow && bytes.Contains(body, []byte(`"triggers"`))
	}
	isDigest := func(typ byte, body []byte) bool {
		return typ == wire.DataRow && len(body) == 2+4+1+4+64 && body[1] == 2
	}
	row := func(values ...string) []byte {
		list := make([][]byte, len(values))
		for i, v := range values {
			list[i] = []byte(v)
		}
		return wire.AppendRow(nil, list)
	}
	sum := strings.Repeat("ab", 32)
	const update = "UPDATE orders SET qty = 7 WHERE status = 'open'"
	g.exec(t, "ALTER TABLE orders ADD COLUMN gone int; ALTER TABLE orders DROP COLUMN gone")
	a.looks = func(_ *proxy.Statement, i *proxy.Impact) { last = i }
	require.Equal(t, "C(UPDATE 3) Z(I)", (&conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}).query(update))
	approved := last
	require.Equal(t, proxy.HoldsRows, approved.Holds, "%+v", approved)
	g.exec(t, "UPDATE orders SET qty = 1")
	for name, lie := range map[string]struct {
		which func(typ byte, body []byte) bool
		say   [][]byte
	}{
		"no table":              {isTable, [][]byte{{}}},
		"a table of nothing":    {isTable, [][]byte{row("{}")}},
		"no JSON":               {isTable, [][]byte{row("x")}},
		"two tables":            {isTable, [][]byte{row(`{"oid":"1","name":"a"}`), row(`{"oid":"1","name":"a"}`)}},
		"another kind":          {isTable, [][]byte{row(`{"oid":"1","name":"a","kind":"f"}`)}},
		"a huge table":          {isTable, [][]byte{row(strings.Repeat("x", 10<<20))}},
		"more columns":          {isTable, [][]byte{row("a", "b", "c")}},
		"no rows":               {isDigest, [][]byte{{}}},
		"less than none":        {isDigest, [][]byte{row("-1", sum)}},
		"more than there are":   {isDigest, [][]byte{row("99999999999999999999", sum)}},
		"many":                  {isDigest, [][]byte{row("10002", sum)}},
		"a short digest":        {isDigest, [][]byte{row("3", "ab")}},
		"no digest":             {isDigest, [][]byte{row("3", strings.Repeat("x", 64))}},
		"a row without columns": {isDigest, [][]byte{row()}},
		"another digest":        {isDigest, [][]byte{row("3", sum)}},
	} {
		t.Run(name, func(t *testing.T) {
			lying := func(typ byte, body []byte) [][]byte {
				if lie.which(typ, body) {
					return lie.say
				}
				return nil
			}
			for _, when := range []string{"measured", "run"} {
				w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
				w.query("SELECT count(*) FROM orders")
				last, a.claim = nil, nil
				a.looks = func(_ *proxy.Statement, i *proxy.Impact) {
					last = i
					if when == "run" {
						r.lies(lying)
					} else {
						r.lies(nil)
					}
				}
				if when == "measured" {
					r.lies(lying)
				} else { // what was approved is compared, however long measuring would take now
					a.claim = approved
				}
				w.Send(&pgproto3.Query{String: update})
				require.NoError(t, w.Flush())
				got := ""
				for {
					m, err := w.Receive()
					if err != nil {
						break // the session has ended
					}
					if e, ok := m.(*pgproto3.ErrorResponse); ok {
						got += e.Code
					}
					if c, ok := m.(*pgproto3.CommandComplete); ok {
						got += string(c.CommandTag)
					}
					if _, ok := m.(*pgproto3.ReadyForQuery); ok {
						break
					}
				}
				r.lies(nil)
				done := g.exec(t, "SELECT count(*) FROM orders WHERE qty = 7")
				if when == "run" {
					require.Equal(t, "0", done, got)
					require.NotContains(t, got, "UPDATE")
				} else if last != nil && last.Holds == proxy.HoldsRows {
					require.Equal(t, "another digest", name, "%+v", last)
					require.Equal(t, "0", done, got)
				}
				g.exec(t, "UPDATE orders SET qty = 1")
			}
		})
	}
	a.claim = nil
	t.Run("another number of rows", func(t *testing.T) {
		w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
		a.looks = nil
		r.lies(func(typ byte, body []byte) [][]byte {
			if typ == wire.CommandComplete && bytes.HasPrefix(body, []byte("UPDATE")) {
				return [][]byte{msg(wire.CommandComplete, []byte("UPDATE 4\x00")...)}
			}
			return nil
		})
		require.Equal(t, "E(42501) Z(I)", w.query(update))
		w.run(update)
		require.Equal(t, "1 2 E(42501) Z(I)", w.sync())
		w.query("BEGIN")
		require.Equal(t, "E(42501) Z(E)", w.query(update))
		r.lies(nil)
		require.Equal(t, "C(ROLLBACK) Z(I)", w.query("COMMIT"))
		require.Equal(t, "0", g.exec(t, "SELECT count(*) FROM orders WHERE qty = 7"))
	})
	t.Run("a transaction that goes on", func(t *testing.T) {
		w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
		w.query("SELECT 1")
		r.lies(func(typ byte, body []byte) [][]byte {
			if typ == wire.ReadyForQuery && body[0] == 'I' {
				return [][]byte{msg(wire.ReadyForQuery, 'T')}
			}
			return nil
		})
		defer r.lies(nil)
		w.Send(&pgproto3.Query{String: update})
		require.NoError(t, w.Flush())
		code := ""
		for {
			m, err := w.Receive()
			if err != nil {
				break
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok {
				code = e.Code
			}
		}
		require.Equal(t, "57P01", code, "the session ends")
		require.Equal(t, "0", g.exec(t, "SELECT count(*) FROM orders WHERE qty = 7"))
	})
}

// Drivers with their ways to send a statement have it measured, and see what they would without.
func TestImpactOfDrivers(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := impactGate(t, ordersSchema, a)
	ctx := t.Context()
	measured := func(rows int64) {
		t.Helper()
		require.NotNil(t, last)
		require.Equal(t, rows, last.Rows, "%+v", last)
		require.Equal(t, proxy.HoldsRows, last.Holds, "%+v", last)
		last = nil
	}
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			c := g.connect(t, "sslmode=disable&default_query_exec_mode="+strings.ReplaceAll(mode.String(), " ", "_"))
			for range 2 {
				tag, err := c.Exec(ctx, "UPDATE orders SET qty = $1 WHERE status = $2 AND id <= $3", int32(5), "open", int64(2))
				require.NoError(t, err)
				require.EqualValues(t, 2, tag.RowsAffected())
				measured(2)
				tx, err := c.Begin(ctx)
				require.NoError(t, err)
				_, err = tx.Exec(ctx, "UPDATE orders SET qty = $1 WHERE id = $2", 6, 3)
				require.NoError(t, err)
				measured(1)
				var id int
				require.NoError(t, tx.QueryRow(ctx, "DELETE FROM orders WHERE id = $1 RETURNING id", 10).Scan(&id))
				measured(1)
				require.NoError(t, tx.Rollback(ctx))
				b := &pgx.Batch{}
				b.Queue("SELECT 1")
				b.Queue("UPDATE orders SET qty = $1 WHERE id = $2", 6, 3)
				b.Queue("INSERT INTO orders VALUES (1)")
				r := c.SendBatch(ctx, b)
				_, err = r.Exec()
				require.NoError(t, err)
				_, err = r.Exec()
				require.NoError(t, err)
				_, err = r.Exec()
				require.ErrorContains(t, err, "23502")
				require.Error(t, r.Close())
				require.Equal(t, "1", g.exec(t, "SELECT qty FROM orders WHERE id = 3"), "the batch is one transaction")
				last = nil
			}
		})
	}
	db, err := sql.Open("postgres", "postgres://alice%2Borders:wonder@"+g.addr+"/"+g.db+"?sslmode=disable")
	require.NoError(t, err)
	defer db.Close()
	for range 2 {
		_, err = db.Exec("UPDATE orders SET qty = $1 WHERE id = ANY($2::int[])", 5, "{1,2}")
		require.NoError(t, err)
		measured(2)
		tx, err := db.Begin()
		require.NoError(t, err)
		st, err := tx.Prepare("UPDATE orders SET qty = qty + 1 WHERE id = $1")
		require.NoError(t, err)
		for id := range 3 {
			_, err = st.Exec(id + 1)
			require.NoError(t, err)
			measured(1)
		}
		require.NoError(t, tx.Commit())
	}
	out := g.psql(t, "UPDATE orders SET qty = 9 WHERE id < 3;\n\\set AUTOCOMMIT off\nDELETE FROM orders WHERE id = 9;\nROLLBACK;\n\\set ON_ERROR_ROLLBACK on\nBEGIN;\nDELETE FROM orders WHERE id = 9;\nCOMMIT;\nSELECT count(*) || ' left' FROM orders;")
	require.Contains(t, out, "UPDATE 2")
	require.Contains(t, out, "DELETE 1")
	require.Contains(t, out, "9 left")
	require.NotContains(t, out, "ERROR")
	require.NotContains(t, out, "WARNING")
	measured(1)
}

// Tables of the session's own, and those that its transaction has made, are measured where only the session sees
// them, or it is said why they are not. A name that means another table is measured as that.
func TestImpactOfOwnTables(t *testing.T) {
	var last *proxy.Impact
	a := &approver{looks: func(_ *proxy.Statement, i *proxy.Impact) { last = i }}
	g := impactGate(t, ordersSchema+"CREATE SCHEMA other; CREATE TABLE other.orders AS SELECT 1 AS id, 'open' AS status, 1 AS qty", a)
	w := &conversation{t, g.connect(t, "sslmode=disable").PgConn().Frontend()}
	const update = "UPDATE orders SET qty = 2 WHERE status = 'open'"
	require.Equal(t, "C(UPDATE 3) Z(I)", w.query(update))
	require.Equal(t, "public.orders", last.Table)
	require.Equal(t, "C(SET) Z(I)", w.query("SET search_path = other, public"))
	require.Equal(t, "C(UPDATE 1) Z(I)", w.query(update))
	require.Equal(t, "other.orders", last.Table)
	require.EqualValues(t, 1, last.Rows)
	require.Equal(t, proxy.HoldsRows, last.Holds)
	approved := last

	require.Equal(t, "C(CREATE TABLE) Z(I)", w.query("CREATE TEMP TABLE orders (id int, status text, qty int)"))
	require.Equal(t, "C(INSERT 0 1) Z(I)", w.query("INSERT INTO orders VALUES (1, 'open', 2) /* unheld */"))
	a.claim = approved
	require.Equal(t, "E(42501) Z(I)", w.query(update), "it is another table, although its rows are the same")
	a.claim = nil
	require.Equal(t, "C(UPDATE 1) Z(I)", w.query(update))
	require.NotEqual(t, "other.orders", last.Table)
	if last.Rows >= 0 {
		require.Contains(t, last.Table, "pg_temp")
	} else {
		require.NotEmpty(t, last.Unsaid)
	}
	require.Equal(t, "C(BEGIN) Z(T)", w.query("BEGIN"))
	w.query("CREATE TABLE fresh AS SELECT 1 AS id /* unheld */")
	got := w.query("UPDATE fresh SET id = 2")
	require.Equal(t, "C(UPDATE 1) Z(T)", got, "%+v", last)
	require.Equal(t, "C(ROLLBACK) Z(I)", w.query("ROLLBACK"))
}
