package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	protosql "github.com/sallyport/sallyport/protocol/sql"
	sqlmysql "github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
)

// approver measures what is held, has somebody look at it, and approves it.
type approver struct {
	hold  proxy.Hold
	looks func(i *proxy.Impact)
	last  *proxy.Impact
	image *proxy.Image
	claim *proxy.Impact // of an earlier session, so that nothing is measured; nil: what is measured
	fails error         // of keeping what undoes it
	open  bool          // a transaction was open
}

func (a *approver) Request(ctx context.Context, _ *proxy.Session, op proxy.Op, _ *proxy.Hold) (*proxy.Pending, error) {
	a.open = op.(*proxy.Statement).Open(ctx)
	i := a.claim
	if i == nil {
		var err error
		if i, err = op.(*proxy.Statement).Measure(ctx); err != nil {
			return nil, err
		}
	}
	a.last = i
	return &proxy.Pending{ID: "1", Message: "held", Wait: func(context.Context) proxy.Verdict {
		if a.looks != nil {
			a.looks(i)
		}
		v := proxy.Allow("approved")
		v.Impact = i
		return v
	}}, nil
}

func (a *approver) KeepImage(_ context.Context, _ *proxy.Session, _ uint64, _ []string, i *proxy.Image) error {
	if a.fails == nil {
		a.image = i
	}
	return a.fails
}

// TestHeldWithATransactionOpen: who asks for an approval is told whether a transaction is open, which keeps locks.
func TestHeldWithATransactionOpen(t *testing.T) {
	a := &approver{open: true}
	g := impactGate(t, "CREATE TABLE t (id INT PRIMARY KEY, n INT) ENGINE = InnoDB; INSERT INTO t VALUES (1, 1), (2, 2)", a, gateConfig{})
	c := g.open(t)
	run := func(text string) {
		t.Helper()
		_, err := c.ExecContext(t.Context(), text)
		require.NoError(t, err)
	}
	check := func(want bool, before ...string) {
		t.Helper()
		for _, text := range before {
			run(text)
		}
		a.open = !want
		run("UPDATE t SET n = n + 1 WHERE id = 1")
		require.Equal(t, want, a.open, before)
	}
	check(false)
	check(true, "BEGIN")
	check(true, "SELECT n FROM t")
	check(false, "COMMIT")
	check(false, "SET autocommit = 0")
	check(true, "SELECT n FROM t")
	check(false, "ROLLBACK", "SET autocommit = 1")
	check(true, "LOCK TABLES t WRITE")
	check(false, "UNLOCK TABLES")
}

// enough is a time in which a busy machine measures, too. One question may take a third of it, and wait for a lock for a ninth.
const enough = 45 * time.Second

// impactGate is a gate at which what changes rows of a table is held, unless its text says "unheld".
func impactGate(t *testing.T, schema string, a *approver, c gateConfig) *gate {
	t.Helper()
	cache := &protosql.CatalogCache{Resolve: sqlmysql.Resolve}
	holds := &hooks{Hooks: proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		const changes = proxy.EffectsWrite | proxy.EffectDrop | proxy.EffectUnknown
		if !ok || st.Kind != proxy.KindStatement || !st.Facts.Effects.Has(changes) || strings.Contains(string(st.Text), "unheld") {
			return proxy.Pass()
		}
		h := a.hold
		h.Rules, h.Approvers, h.For = []string{"big"}, [][]string{{"ops"}}, time.Minute
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &h}
	}}}
	c.sql = schema
	c.chain = append([]proxy.Interceptor{holds}, c.chain...)
	c.gateway = func(g *proxy.Gateway) { g.Reviewer, g.AskTimeout = a, 3*enough }
	c.handler = func(h *Handler) {
		h.Catalog, h.Analyzer = cache, sqlmysql.New(sqlmysql.Config{Catalog: cache})
		h.measures = enough
	}
	g := startGate(t, c)
	cache.Load = (&CatalogReader{Gateway: g.Gateway}).Load
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	return g
}

const ordersSchema = `CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20) NOT NULL, qty INT NOT NULL DEFAULT 1, KEY by_status (status));
CREATE TABLE notes (t VARCHAR(9));
INSERT INTO orders SELECT seq, IF(seq <= 3, 'open', 'closed'), 1 FROM seq_1_to_10;`

// server runs something at the server that nobody looks at.
func (g *gate) server(t testing.TB, text string) string {
	t.Helper()
	out, err := g.maria.Run(g.db, text)
	require.NoError(t, err, text)
	return strings.TrimSpace(out)
}

// does runs a statement in a session, and says what came of it.
func does(c *sql.Conn, text string, args ...any) string {
	r, err := c.ExecContext(context.Background(), text, args...)
	if err != nil {
		var e *driver.MySQLError
		if errors.As(err, &e) {
			return fmt.Sprint("error ", e.Number)
		}
		return err.Error()
	}
	n, err := r.RowsAffected()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(n)
}

const resetOrders = "DELETE FROM orders; INSERT INTO orders SELECT seq, IF(seq <= 3, 'open', 'closed'), 1 FROM seq_1_to_10"

// What is held is measured, as text and prepared, in transactions and outside, and runs as what was approved alone.
func TestImpact(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	between := ""
	a.looks = func(*proxy.Impact) {
		if between != "" {
			g.server(t, between)
		}
	}
	const update = "UPDATE orders SET status = 'done', qty = qty + 1 WHERE status = 'open'"
	count := func() string { return g.server(t, "SELECT COUNT(*) FROM orders WHERE status = 'done'") }
	for name, change := range map[string]func(*driver.Config){
		"rows that change are counted": func(*driver.Config) {}, "rows that are found are": func(c *driver.Config) { c.ClientFoundRows = true },
	} {
		t.Run(name, func(t *testing.T) {
			c := g.open(t, change)
			g.server(t, resetOrders)
			require.Equal(t, "3", does(c, update))
			i := a.last
			require.EqualValues(t, 3, i.Rows)
			require.Equal(t, g.db+".orders", i.Table)
			require.Equal(t, "update", i.Effect)
			require.Equal(t, proxy.HoldsRows, i.Holds)
			require.Len(t, i.Digest, 64)
			require.Contains(t, i.Plan, "by_status on orders")
			require.NotZero(t, i.Cost)
			require.Equal(t, []string{"id", "status", "qty"}, i.Columns)
			require.Len(t, i.Samples, 3)
			require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"open"`, `"1"`}, After: []string{"", `"done"`, `"2"`}}, i.Samples[0])
			require.Empty(t, i.Unsaid)
			require.Equal(t, "3", count())
			require.Equal(t, [][]string{{"1", "0"}}, texts(t, c, "SELECT @@autocommit, @@in_transaction"))

			// What holds the value already is found, and does not change.
			require.Equal(t, map[bool]string{false: "0", true: "3"}[name == "rows that are found are"], does(c, "UPDATE orders SET status = 'done' WHERE status = 'done'"))
			require.EqualValues(t, 3, a.last.Rows)

			for _, between = range []string{"UPDATE orders SET status = 'open' WHERE id = 4", "UPDATE orders SET qty = 7 WHERE id = 3", "DELETE FROM orders WHERE id = 2"} {
				g.server(t, resetOrders)
				require.Equal(t, "error 1142", does(c, update), between)
				require.Equal(t, "0", count())
				require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"))

				g.server(t, resetOrders)
				require.Equal(t, "error 1142", does(c, "UPDATE orders SET status = ?, qty = qty + ? WHERE status = ?", "done", 1, "open"), between)
				require.Equal(t, "0", count())

				// A transaction goes on, with what it has changed elsewhere.
				g.server(t, resetOrders+"; DELETE FROM notes")
				require.Equal(t, "0", does(c, "BEGIN"))
				require.Equal(t, "1", does(c, "INSERT INTO notes VALUES ('unheld')"))
				require.Equal(t, "error 1142", does(c, update), between)
				require.Equal(t, [][]string{{"1"}}, texts(t, c, "SELECT @@in_transaction"))
				require.Equal(t, "0", does(c, "COMMIT"))
				require.Equal(t, "0", count())
				require.Equal(t, "1", g.server(t, "SELECT COUNT(*) FROM notes"))
			}
			between = ""

			g.server(t, resetOrders)
			require.Equal(t, "3", does(c, "UPDATE orders SET status = ?, qty = qty + ? WHERE status = ? AND qty < ?", "done", 1, "open", 2.5))
			require.Equal(t, proxy.HoldsRows, a.last.Holds)
			require.Equal(t, []string{"", `"done"`, `"2"`}, a.last.Samples[0].After)
			require.Equal(t, "3", count())

			// Within a transaction, which goes on.
			g.server(t, resetOrders)
			require.Equal(t, "0", does(c, "BEGIN"))
			require.Equal(t, "3", does(c, update))
			require.Equal(t, "0", count())
			require.Equal(t, [][]string{{"3"}}, texts(t, c, "SELECT COUNT(*) FROM orders WHERE status = 'done'"))
			require.Equal(t, "3", does(c, "UPDATE orders SET status = 'open' WHERE status = 'done'"), "what it has changed itself is not seen from outside")
			require.Equal(t, proxy.HoldsNothing, a.last.Holds)
			require.Contains(t, strings.Join(a.last.Unsaid, "; "), "which only it sees")
			require.Equal(t, "0", does(c, "ROLLBACK"))
			require.Equal(t, [][]string{{"3"}}, texts(t, c, "SELECT COUNT(*) FROM orders WHERE status = 'open'"))

			require.Equal(t, "0", does(c, "SET autocommit = 0"))
			require.Equal(t, "3", does(c, update))
			require.Equal(t, "0", count(), "nobody has committed it")
			require.Equal(t, "0", does(c, "ROLLBACK"))
			require.Equal(t, "0", does(c, "SET autocommit = 1"))

			require.Equal(t, "2", does(c, "DELETE FROM orders WHERE id > 8"))
			require.Nil(t, a.last.Samples[0].After)
			require.Equal(t, "error 1062", does(c, "INSERT INTO orders VALUES (1, 'x', 1)"), "the server's own error")
			require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"))
			require.Equal(t, "2", does(c, "INSERT INTO orders VALUES (21, 'x', 1), (22, 'y', 2)"))
			require.Equal(t, proxy.HoldsCount, a.last.Holds)
			require.Equal(t, "2", g.server(t, "SELECT COUNT(*) FROM orders WHERE id > 20"))
		})
	}
}

const saysSchema = `CREATE TABLE plain (id INT PRIMARY KEY, a VARCHAR(50), n DOUBLE); INSERT INTO plain VALUES (1, 'x', 0.1), (2, 'y', 0.2), (3, NULL, 0.3);
CREATE TABLE nokey (a VARCHAR(50)); INSERT INTO nokey VALUES ('same'), ('same'), ('other');
CREATE TABLE ` + "`Odd ``t`` select` (`from` INT PRIMARY KEY, `a ``b``` VARCHAR(9)); INSERT INTO `Odd ``t`` select` VALUES (1, 'p')" + `;
CREATE TABLE triggered (id INT); INSERT INTO triggered VALUES (1); CREATE TRIGGER acts BEFORE UPDATE ON triggered FOR EACH ROW INSERT INTO nokey VALUES ('acted');
CREATE TABLE old (id INT) ENGINE=MyISAM; INSERT INTO old VALUES (1), (2);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE TABLE referred (id INT PRIMARY KEY); CREATE TABLE refers (id INT, FOREIGN KEY (id) REFERENCES referred (id) ON DELETE CASCADE); INSERT INTO referred VALUES (1); INSERT INTO refers VALUES (1);
CREATE FUNCTION loud(x INT) RETURNS INT DETERMINISTIC BEGIN INSERT INTO nokey VALUES ('loud'); RETURN x; END;
CREATE TABLE typed (id INT PRIMARY KEY, e ENUM('a', 'b'), s SET('x', 'y'), d DECIMAL(10,2), f FLOAT, ts TIMESTAMP NULL, dt DATETIME(3), b BLOB, bi BIT(4), j JSON, y YEAR, g INT AS (id * 2), p POINT);
INSERT INTO typed (id, e, s, d, f, ts, dt, b, bi, j, y, p) VALUES (1, 'a', 'x,y', 1.5, 0.1, '2026-01-02 03:04:05', '2026-01-02 03:04:05.678', X'00FF', 5, '{"a": 1}', 2026, POINT(1, 2));
CREATE TABLE many (id INT); INSERT INTO many SELECT seq FROM seq_1_to_10050;
CREATE TABLE counting (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(9));`

// What can be said of a statement, and what cannot, and why. Nothing of it acts.
func TestImpactSays(t *testing.T) {
	a := &approver{}
	g := impactGate(t, "", a, gateConfig{})
	_, err := g.maria.Run(g.db, "DELIMITER //\n"+strings.ReplaceAll(strings.ReplaceAll(saysSchema, ";\n", "//\n"), "); INSERT", ")//INSERT")+"//", "--comments")
	if err != nil {
		for _, text := range strings.Split(strings.ReplaceAll(saysSchema, "BEGIN INSERT INTO nokey VALUES ('loud'); RETURN x; END", "RETURN (SELECT COUNT(*) + x FROM nokey)"), ";\n") {
			g.server(t, text)
		}
	}
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET @v = 1"))
	const none, count, rows = proxy.HoldsNothing, proxy.HoldsCount, proxy.HoldsRows
	for _, s := range []struct {
		text   string
		n      int64
		holds  proxy.Held
		unsaid string // of one sentence; empty: there is none
		answer string // empty is that n rows were changed
	}{
		{"UPDATE plain SET a = 'z'", 3, rows, "", ""},
		{"UPDATE plain SET a = 'z' WHERE 1 = 0", 0, rows, "", ""},
		{"DELETE FROM plain WHERE id = 3 AND n = 0.3", 1, rows, "", ""},
		{"UPDATE plain p SET a = RAND() WHERE p.id < 3", 2, rows, "", ""},
		{"UPDATE plain SET a = 'r' WHERE RAND() < 2", -1, none, "each time", "2"},
		{"UPDATE plain SET a = @v WHERE id = 1", 1, rows, "", ""},
		{"UPDATE plain SET a = 'v' WHERE id = @v", -1, none, "variables", "1"},
		{"UPDATE plain SET a = 'w' WHERE id IN (SELECT id FROM typed)", 1, rows, "other tables have a say", ""},
		{"UPDATE plain SET a = 'limited' ORDER BY id LIMIT 1", 1, count, "LIMIT", ""},
		{"DELETE FROM nokey WHERE a = 'same'", 2, rows, "", ""},
		{"UPDATE `Odd ``t`` select` AS `o``1` SET `a ``b``` = CONCAT(`o``1`.`a ``b```, 'it''s') WHERE `o``1`.`from` = 1", 1, rows, "", ""},
		{"UPDATE triggered SET id = 2", 1, none, "has triggers", ""},
		{"DELETE FROM triggered", 1, rows, "", ""},
		{"DELETE FROM old WHERE id = 1", 1, none, "no transactions", ""},
		{"UPDATE seen SET a = 'v2' WHERE id = 1", 1, none, "not a plain table", ""},
		{"DELETE FROM referred", 1, rows, "refers", ""},
		{"UPDATE plain SET a = 'l' WHERE loud(id) = 1", -1, none, "may do more than read", "*"},
		{"UPDATE typed SET e = 'b', d = 2.25, ts = ts + INTERVAL 1 DAY, bi = 6, j = '[]', p = POINT(3, 4) WHERE g = 2", 1, rows, "", ""},
		{"DELETE FROM many", 10050, count, "more than 10000", ""},
		{"INSERT INTO nokey VALUES ('a'), (DEFAULT)", 2, count, "", ""},
		{"INSERT INTO nokey SELECT a FROM plain WHERE id < 3", 2, count, "may change until it runs", ""},
		{"INSERT INTO nokey SELECT RAND() FROM plain", -1, none, "each time", "2"},
		{"INSERT IGNORE INTO plain VALUES (1, 'again', 1)", 1, none, "IGNORE", "0"},
		{"REPLACE INTO plain VALUES (1, 'again', 1)", 1, none, "REPLACE", "2"},
		{"INSERT INTO plain VALUES (1, 'b', 1) ON DUPLICATE KEY UPDATE a = 'c'", 1, none, "ON DUPLICATE KEY", "2"},
		{"UPDATE plain JOIN typed USING (id) SET a = 'joined'", -1, none, "join of tables", "1"},
		{"DELETE FROM nokey RETURNING a", -1, none, "RETURNING", "*"},
		{"TRUNCATE plain", 2, none, "commits it at once", "0"},
		{"DROP TABLE typed, nokey", -2, none, "commits it at once", "0"},
		{"UPDATE nosuch SET a = 1", -1, none, "", "error 1146"},
		{"UPDATE counting SET a = 1; UPDATE counting SET a = 2", -1, none, "several statements", "0"},
		{"UPDATE counting /*!50000 SET a = 1 */", -1, none, "taken apart", "0"},
	} {
		a.last = nil
		got := does(c, s.text)
		require.NotNil(t, a.last, s.text+" "+got)
		if s.n != -2 {
			require.Equal(t, s.n, a.last.Rows, "%s %+v", s.text, a.last)
		}
		require.Equal(t, s.holds, a.last.Holds, "%s %+v", s.text, a.last)
		require.Equal(t, s.holds == rows, a.last.Digest != "", s.text)
		switch {
		case s.unsaid != "":
			require.Contains(t, strings.Join(a.last.Unsaid, "; "), s.unsaid, s.text)
		case s.answer == "":
			require.Empty(t, a.last.Unsaid, s.text)
		}
		switch s.answer {
		case "*":
		case "":
			require.Equal(t, fmt.Sprint(s.n), got, s.text)
		default:
			require.Equal(t, s.answer, got, s.text)
		}
	}
}

// A geometry is another one where only its reference system is.
func TestImpactOfGeometries(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, "CREATE TABLE places (id INT PRIMARY KEY, n INT, p GEOMETRY); INSERT INTO places VALUES (1, 1, ST_GeomFromText('POINT(1 2)', 4326)), (2, 1, NULL);", a, gateConfig{})
	c := g.open(t)
	moved := func() { g.server(t, "UPDATE places SET p = ST_GeomFromText('POINT(1 2)', 0) WHERE id = 1") }
	a.looks = func(*proxy.Impact) { moved() }
	require.Equal(t, "error 1142", does(c, "UPDATE places SET n = 2"))
	a.looks = nil
	g.server(t, "UPDATE places SET p = ST_GeomFromText('POINT(1 2)', 4326) WHERE id = 1")
	require.Equal(t, "2", does(c, "UPDATE places SET n = 2"))
	require.Equal(t, &proxy.Undoable{For: time.Hour}, a.last.Undo)
	moved()
	answer, differ := g.undo(t, a)
	require.NotEqual(t, "2", answer)
	require.Equal(t, [][]string{{`"1"`}}, differ)
	for _, text := range []string{"UPDATE places SET p = ST_GeomFromText('POINT(3 4)', 0) WHERE id = 1", "DELETE FROM places"} {
		does(c, text)
		require.Contains(t, a.last.Undo.Why, "values of column p", "what does not say all of it is not kept")
	}
}

// What is measured and tried has the session's own time.
func TestImpactAtATimeOfItsOwn(t *testing.T) {
	a := &approver{hold: proxy.Hold{Try: true}}
	g := impactGate(t, "CREATE TABLE times (id INT PRIMARY KEY, at DATETIME); INSERT INTO times VALUES (1, '2001-01-01'), (2, '2020-01-01');", a, gateConfig{})
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET time_zone = '+00:00', timestamp = 1000000000"))
	require.Equal(t, "1", does(c, "UPDATE times SET at = NOW() WHERE at < NOW()"))
	require.Equal(t, &proxy.Trial{Rows: 1}, a.last.Trial)
	require.Equal(t, []string{"", `"2001-09-09 01:46:40"`}, a.last.Samples[0].After)
	require.Equal(t, "0", does(c, "SET timestamp = DEFAULT"))
	require.Equal(t, "2", does(c, "DELETE FROM times WHERE at < NOW()"))
	require.EqualValues(t, 2, a.last.Rows)
}

// Rows are shown as to anybody, and not at all where a filter does not say what it hides of them. What a column becomes is hidden as the
// column is.
func TestImpactIsMasked(t *testing.T) {
	for name, shows := range map[string]bool{"a filter that says": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			stars := starring("status")
			if shows {
				stars.Show = stars.Flow
			}
			a := &approver{hold: proxy.Hold{Try: true}}
			g := impactGate(t, ordersSchema, a, gateConfig{chain: chain(stars)})
			require.Equal(t, "3", does(g.open(t), "UPDATE orders SET status = CONCAT(status, 'ed'), qty = 2 WHERE id < 4"))
			if !shows {
				require.Empty(t, a.last.Samples)
				require.Contains(t, strings.Join(a.last.Unsaid, "; "), "no rows are shown")
				return
			}
			require.Len(t, a.last.Samples, 3)
			require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"***"`, `"1"`}, After: []string{"", `"***"`, `"2"`}}, a.last.Samples[0])
			require.NotContains(t, fmt.Sprint(a.last), "open")
		})
	}
}

// A trigger or another table that comes between the approval and the statement has nothing changed.
func TestImpactOfAnotherTable(t *testing.T) {
	a := &approver{}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	c := g.open(t)
	for between, text := range map[string]string{
		"CREATE TRIGGER acts BEFORE INSERT ON orders FOR EACH ROW SET NEW.qty = 100":                                                            "INSERT INTO orders VALUES (50, 'x', 1)",
		"CREATE TRIGGER acts BEFORE UPDATE ON orders FOR EACH ROW SET NEW.qty = 100":                                                            "UPDATE orders SET qty = 2 WHERE id = 1",
		"RENAME TABLE orders TO others; CREATE TABLE orders LIKE others; INSERT INTO orders SELECT * FROM others; ALTER TABLE orders ADD z INT": "DELETE FROM orders WHERE id = 1",
	} {
		a.looks = func(*proxy.Impact) { g.server(t, between) }
		require.Equal(t, "error 1142", does(c, text), between)
		require.Equal(t, "10", g.server(t, "SELECT COUNT(*) FROM orders"))
		require.Equal(t, "10", g.server(t, "SELECT COUNT(*) FROM orders WHERE qty = 1"))
		g.server(t, "DROP TRIGGER IF EXISTS acts")
	}
}
