package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/duplex"
	"github.com/sallyport/sallyport/proxy"
)

// undo undoes what was kept last, in a session of its own, or runs another text there.
func (g *gate) undo(t *testing.T, a *approver, other ...string) (answer string, differ [][]string) {
	t.Helper()
	return g.undoAs(t, a, "", other...)
}

// undoAs is undo of a client that asks for a collation, and so for a character set; empty: the driver's own.
func (g *gate) undoAs(t *testing.T, a *approver, collation string, other ...string) (answer string, differ [][]string) {
	t.Helper()
	image := a.image
	require.NotNil(t, image)
	client := &proxy.Client{Identity: &proxy.Identity{Subject: "alice"}, Undo: &proxy.Undo{
		Image: image, Hold: &proxy.Hold{Rules: []string{"undo"}, Approvers: [][]string{{"ops"}}, For: time.Minute, Undo: time.Hour},
		Begin:  func(context.Context, *proxy.Session, proxy.Op) error { return nil },
		Differ: func(_ int, _ []string, keys [][]string) { differ = keys },
	}}
	network := fmt.Sprintf("undo%p", client)
	driver.RegisterDialContext(network, func(context.Context, string) (net.Conn, error) {
		near, far := duplex.Pair(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		go func() { _ = g.ServeClient(context.Background(), far, g.handler, client) }()
		return near, nil
	})
	db, err := sql.Open("mysql", g.dsn("alice", "", func(c *driver.Config) {
		c.Net, c.TLS, c.MultiStatements, c.Collation = network, nil, false, collation
	}))
	require.NoError(t, err)
	defer db.Close()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	text := UndoText(image)
	for _, o := range other {
		text = o
	}
	return does(c, text), differ
}

const allTypes = `CREATE TABLE all_types (a INT, ` + "`b ``x```" + ` VARCHAR(20), t TEXT, l VARCHAR(20) CHARACTER SET latin1, n DECIMAL(40,9), f DOUBLE, bi BIT(9), b BLOB, vb VARBINARY(9), j JSON, e ENUM('sad', 'o''k'), s SET('x', 'y'),
  ts TIMESTAMP(6) NULL, auto TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, dt DATETIME(3), d DATE, ti TIME(2), y YEAR, ch CHAR(5), u BIGINT UNSIGNED, g INT AS (a * 2), st INT AS (a * 3) STORED, PRIMARY KEY (a, ` + "`b ``x```" + `));
SET time_zone = '+00:00';
INSERT INTO all_types (a, ` + "`b ``x```" + `, t, l, n, f, bi, b, vb, j, e, s, ts, auto, dt, d, ti, y, ch, u) VALUES
 (1, 'k''1', 'it''s \\ "x"\n;-- ?', 'größe', 123456789012345678901234567890.123456789, 0.1, 257, X'00FF27', X'0041', '{"a":  "\\"''"}', 'o''k', 'x,y', '2026-01-02 03:04:05.678901', '2026-01-01 00:00:00',
  '2026-03-29 02:30:00.123', '2026-12-31', '-838:59:58.99', 2026, 'ab', 18446744073709551615),
 (2, 'back\\slash', NULL, NULL, 0, 1.7976931348623157e308, NULL, NULL, NULL, NULL, NULL, '', NULL, '2026-10-25 00:30:00', NULL, NULL, NULL, NULL, NULL, NULL),
 (3, '', '', '', -0.000000001, 5e-324, 0, '', '', '[]', 'sad', NULL, '2026-10-25 01:30:00', '2026-01-01 00:00:00', '9999-12-31 23:59:59.999', '1000-01-01', '00:00:00', 1901, '', 0);
`

// Each kind of statement is undone, whatever the values, the settings of the sessions and the way in which it was sent.
func TestUndo(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, ordersSchema+allTypes, a, gateConfig{})
	all := "SET time_zone = '+00:00'; SELECT CONCAT_WS('|', a, `b ``x```, IFNULL(t, 'N'), IFNULL(HEX(l), 'N'), n, f, bi + 0, HEX(b), HEX(vb), j, e, s, ts, auto, dt, d, ti, y, HEX(ch), u, g, st) FROM all_types ORDER BY a, 1"
	before := g.server(t, all)
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET time_zone = 'SYSTEM', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"))
	require.Equal(t, "0", does(c, "SET time_zone = '+05:45'"))
	for _, text := range []string{
		"DELETE FROM all_types",
		"DELETE FROM all_types WHERE a = 2",
		`UPDATE all_types SET t = 'x', l = 'y', n = 1, f = 2, bi = 3, b = 'x', vb = 'y', j = '[1]', e = 'sad', s = 'x', ts = '2000-01-01', dt = '2000-01-01', d = '2000-01-01', ti = '1:00', y = 2000, ch = 'zzzzz', u = 9`,
		"UPDATE all_types SET t = CONCAT('row', a) WHERE a < 3",
		"INSERT INTO all_types (t, a, `b ``x```) VALUES ('new', '07', 'q'''), (NULL, 8, '\\')",
	} {
		for name, run := range map[string]func() string{
			"text": func() string { return does(c, text) },
			"prepared": func() string {
				s, err := c.PrepareContext(t.Context(), text)
				require.NoError(t, err)
				defer s.Close()
				r, err := s.Exec()
				if err != nil {
					return err.Error()
				}
				n, err := r.RowsAffected()
				require.NoError(t, err)
				return fmt.Sprint(n)
			},
			"in a transaction": func() string {
				require.Equal(t, "0", does(c, "BEGIN"))
				n := does(c, text)
				require.Equal(t, "0", does(c, "COMMIT"))
				return n
			},
		} {
			a.image = nil
			n := run()
			require.Equal(t, &proxy.Undoable{For: time.Hour}, a.last.Undo, text)
			require.Equal(t, fmt.Sprint(a.last.Rows), n, name+": "+text)
			require.NotNil(t, a.image, name+": "+text)
			require.NotEqual(t, before, g.server(t, all), name+": "+text)
			first := a.image
			answer, differ := g.undo(t, a)
			require.Equal(t, n, answer, "%s: %s: %s", name, text, UndoText(first))
			require.Empty(t, differ)
			require.Equal(t, before, g.server(t, all), "%s: %s: %s", name, text, UndoText(first))
			if name == "text" { // an undoing can be undone itself, and that, too
				require.NotSame(t, first, a.image)
				answer, _ = g.undo(t, a)
				require.Equal(t, n, answer)
				require.NotEqual(t, before, g.server(t, all))
				answer, _ = g.undo(t, a)
				require.Equal(t, n, answer)
				require.Equal(t, before, g.server(t, all))
			}
		}
	}
}

// Texts are compared by the collations of their columns, whichever the server has for others.
func TestUndoByCollations(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, `CREATE TABLE folds (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci PRIMARY KEY, v VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_general_cs);
INSERT INTO folds VALUES ('one', 'a'), ('two', 'A');
CREATE TABLE exact (k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY, v INT); INSERT INTO exact VALUES ('a', 1), ('A', 1), ('b', 1);
`, a, gateConfig{})
	c := g.open(t)
	const all = "SELECT k, v FROM folds ORDER BY k; SELECT k, v FROM exact ORDER BY k"
	before := g.server(t, all)
	for _, s := range []struct {
		text string
		args []any
		rows string
	}{
		{"UPDATE folds SET v = ? WHERE k = ?", []any{"x", "ONE"}, "1"},
		{"DELETE FROM folds WHERE v = ?", []any{"A"}, "1"},
		{"UPDATE folds SET v = CONCAT(v, ?) WHERE k IN (?, ?)", []any{"x", "one", "two"}, "2"},
		{"INSERT INTO folds VALUES (?, ?)", []any{"three", "x"}, "1"},
		{"DELETE FROM exact WHERE k = ?", []any{"a"}, "1"},
		{"UPDATE exact SET v = ? WHERE k IN (?, ?)", []any{2, "a", "A"}, "2"},
	} {
		a.image = nil
		require.Equal(t, s.rows, does(c, s.text, s.args...), s.text)
		require.Equal(t, fmt.Sprint(a.last.Rows), s.rows, s.text)
		require.Equal(t, &proxy.Undoable{For: time.Hour}, a.last.Undo, s.text)
		require.NotEqual(t, before, g.server(t, all), s.text)
		answer, _ := g.undo(t, a)
		require.Equal(t, s.rows, answer, s.text)
		require.Equal(t, before, g.server(t, all), s.text)
	}
}

// Every character comes back, whatever character set the client has asked for that undoes. Where one cannot be written, nothing is kept.
func TestUndoOfCharacters(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, `CREATE TABLE texts (k VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY, v VARCHAR(20) CHARACTER SET utf8mb4, l VARCHAR(20) CHARACTER SET latin2, e ENUM('é', 'ж') CHARACTER SET utf8mb4);
INSERT INTO texts VALUES (_utf8mb4 X'F09F9880', _utf8mb4 X'D0B6F09F98803F', _utf8mb4 X'C5993F', 2), ('plain', '?', '?', 1);
CREATE TABLE odd (id INT PRIMARY KEY, s VARCHAR(20) CHARACTER SET sjis, n INT); INSERT INTO odd VALUES (1, _sjis X'8540', 1), (2, _sjis X'93FA3F', 1);
CREATE TABLE odder (s VARCHAR(20) CHARACTER SET sjis PRIMARY KEY, n INT); INSERT INTO odder VALUES (_sjis X'8540', 1);
`, a, gateConfig{})
	const all = "SELECT HEX(k), HEX(v), HEX(l), e + 0 FROM texts ORDER BY 1; SELECT id, HEX(s), n FROM odd ORDER BY 1; SELECT HEX(s), n FROM odder"
	before := g.server(t, all)
	c := g.open(t)
	for _, collation := range []string{"", "utf8mb4_bin", "utf8mb3_general_ci", "latin1_swedish_ci", "latin2_general_ci"} {
		for text, rows := range map[string]string{
			"UPDATE texts SET v = 'x', l = 'y', e = NULL": "2", "DELETE FROM texts": "2", "INSERT INTO texts (k, v) VALUES ('жé', '😀')": "1", "DELETE FROM odd WHERE id = 2": "1",
		} {
			a.last, a.image = nil, nil
			require.Equal(t, rows, does(c, text), text)
			require.Equal(t, &proxy.Undoable{For: time.Hour}, a.last.Undo, text)
			answer, _ := g.undoAs(t, a, collation)
			require.Equal(t, rows, answer, "%s: %s", collation, text)
			require.Equal(t, before, g.server(t, all), "%s: %s", collation, text)
		}
	}
	for text, rows := range map[string]string{"UPDATE odd SET s = 'x' WHERE id = 1": "1", "DELETE FROM odd": "2", "UPDATE odder SET n = 2": "1"} {
		a.last, a.image = nil, nil
		g.server(t, "REPLACE INTO odd VALUES (1, _sjis X'8540', 1), (2, _sjis X'93FA3F', 1)")
		require.Equal(t, rows, does(c, text), text)
		require.Contains(t, a.last.Undo.Why, "characters that Unicode does not have", text)
		require.Nil(t, a.image, text)
	}
}

// Nothing is undone when a row is not what the statement has left, nor by a session that is for something else.
func TestUndoConflicts(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	c := g.open(t)
	for text, between := range map[string]string{
		"UPDATE orders SET qty = 5 WHERE id < 3":                  "UPDATE orders SET status = 'moved' WHERE id = 2",
		"UPDATE orders SET qty = 6 WHERE id < 3":                  "DELETE FROM orders WHERE id = 2",
		"DELETE FROM orders WHERE id IN (1, 2)":                   "INSERT INTO orders VALUES (2, 'back', 1)",
		"INSERT INTO orders VALUES (21, 'new', 1), (2000, '', 1)": "UPDATE orders SET qty = 2 WHERE id = 2000",
	} {
		g.server(t, resetOrders)
		require.Equal(t, "2", does(c, text))
		g.server(t, between)
		now := g.server(t, "SELECT * FROM orders ORDER BY id")
		answer, differ := g.undo(t, a)
		require.NotEqual(t, "2", answer, text)
		require.Len(t, differ, 1, text)
		require.Contains(t, []string{`"2"`, `"2000"`}, differ[0][0])
		require.Equal(t, now, g.server(t, "SELECT * FROM orders ORDER BY id"), text)
	}
	// Between the approval and the undoing, too.
	g.server(t, resetOrders)
	require.Equal(t, "2", does(c, "UPDATE orders SET qty = 5 WHERE id < 3"))
	a.looks = func(*proxy.Impact) { g.server(t, "UPDATE orders SET qty = 7 WHERE id = 1") }
	answer, _ := g.undo(t, a)
	require.Equal(t, "error 1142", answer)
	require.Equal(t, "7\n5", g.server(t, "SELECT qty FROM orders WHERE id < 3 ORDER BY id"))
	a.looks = nil
	// One that was taken back with its transaction has changed nothing.
	g.server(t, resetOrders)
	require.Equal(t, "0", does(c, "BEGIN"))
	require.Equal(t, "2", does(c, "UPDATE orders SET qty = 5 WHERE id < 3"))
	require.Equal(t, "0", does(c, "ROLLBACK"))
	answer, _ = g.undo(t, a)
	require.NotEqual(t, "2", answer)

	require.Equal(t, "2", does(c, "UPDATE orders SET qty = 5 WHERE id < 3"))
	for _, other := range []string{"SELECT 1", "UPDATE orders SET qty = 1", UndoText(a.image) + " "} {
		answer, _ = g.undo(t, a, other)
		require.Equal(t, "error 1142", answer, other)
	}
	require.Equal(t, "5\n5", g.server(t, "SELECT qty FROM orders WHERE id < 3"))
}

// Who is told that a row differs sees its key as it is shown to anybody, however the table's name is written.
func TestUndoConflictIsMasked(t *testing.T) {
	hides := func(_ context.Context, _ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{Row: func(r *proxy.Row) error {
			for i, c := range shape.Columns {
				if c.Relation == "people" && c.Column == "ssn" && r.Value(i) != nil {
					r.Set(i, []byte("***"))
				}
			}
			return nil
		}}, nil
	}
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, "CREATE TABLE People (SSN VARCHAR(20) PRIMARY KEY, n INT); INSERT INTO People VALUES ('078-05-1120', 1), ('219-09-9999', 1);", a,
		gateConfig{chain: chain(&hooks{Hooks: proxy.Hooks{Flow: hides, Show: hides}})})
	c := g.open(t)
	require.Equal(t, "2", does(c, "UPDATE People SET n = 2"))
	require.Equal(t, `"***"`, a.last.Samples[0].Before[0])
	g.server(t, "UPDATE People SET n = 3 WHERE SSN = '078-05-1120'")
	_, differ := g.undo(t, a)
	require.Equal(t, [][]string{{`"***"`}}, differ)
}

// A limit of the session's leaves out nothing of what is compared and kept.
func TestUndoInASessionThatLimits(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET sql_select_limit = 1"))
	before := g.server(t, "SELECT * FROM orders ORDER BY id")
	for text, n := range map[string]string{
		"UPDATE orders SET qty = 5 WHERE status = 'open'": "3", "DELETE FROM orders": "10", "INSERT INTO orders VALUES (21, 'x', 1), (22, 'y', 1)": "2",
	} {
		require.Equal(t, n, does(c, text), text)
		require.Equal(t, n, fmt.Sprint(len(a.image.Rows)), text)
		answer, _ := g.undo(t, a)
		require.Equal(t, n, answer, text)
		require.Equal(t, before, g.server(t, "SELECT * FROM orders ORDER BY id"), text)
	}
}

// A row that was there is not taken for the one that comes, whatever the server makes of the key that is given.
func TestUndoOfKeysThatBecomeOthers(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, `CREATE TABLE raw (k VARBINARY(9) PRIMARY KEY, v INT); INSERT INTO raw VALUES (X'FF', 1);
CREATE TABLE chosen (k ENUM('2', '1') PRIMARY KEY, v INT); INSERT INTO chosen VALUES ('1', 1);
CREATE TABLE counting (id INT PRIMARY KEY AUTO_INCREMENT, v INT);
`, a, gateConfig{})
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET sql_mode = ''"))
	require.Equal(t, "1", does(c, "INSERT INTO raw VALUES (255, 1)"), "'255', and not X'FF'")
	require.Equal(t, &proxy.Undoable{For: time.Hour}, a.last.Undo)
	answer, _ := g.undo(t, a)
	require.Equal(t, "1", answer)
	require.Equal(t, "FF", g.server(t, "SELECT HEX(k) FROM raw"))

	a.image = nil
	require.Equal(t, "error 1142", does(c, "INSERT INTO chosen VALUES (1, 1)"), "the first value, which is '2'")
	require.Nil(t, a.image)
	require.Equal(t, "1", g.server(t, "SELECT COUNT(*) FROM chosen"))
	require.Equal(t, "error 1062", does(c, "INSERT INTO chosen VALUES ('1', 1)"), "the server's own error")

	for _, key := range []string{"0", "-0", "0.3", "'0'", "FALSE", "'x'", "0e0"} {
		a.last = nil
		require.Equal(t, "1", does(c, "INSERT INTO counting VALUES ("+key+", 1)"), key)
		require.NotEmpty(t, a.last.Undo.Why, key)
	}
	require.Equal(t, "1", does(c, "INSERT INTO counting VALUES (77, 1)"))
	require.Empty(t, a.last.Undo.Why)
}

// What was approved as what can be undone does not run unless what undoes it is kept.
func TestUndoUnkept(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}, fails: errors.New("the store is full")}
	g := impactGate(t, ordersSchema, a, gateConfig{})
	c := g.open(t)
	before := g.server(t, "SELECT * FROM orders ORDER BY id")
	for _, text := range []string{"UPDATE orders SET qty = 5", "DELETE FROM orders WHERE id = 1", "INSERT INTO orders VALUES (50, 'new', 1)"} {
		require.Equal(t, "error 1142", does(c, text))
		require.Equal(t, [][]string{{"0"}}, texts(t, c, "SELECT @@in_transaction"))
		require.Equal(t, "0", does(c, "BEGIN"))
		require.Equal(t, "error 1142", does(c, text))
		require.Equal(t, "0", does(c, "COMMIT"))
		require.Equal(t, before, g.server(t, "SELECT * FROM orders ORDER BY id"), text)
	}
}

// What cannot be undone, and why.
func TestUndoSays(t *testing.T) {
	a := &approver{hold: proxy.Hold{Undo: time.Hour}}
	g := impactGate(t, `CREATE TABLE plain (id INT PRIMARY KEY, a VARCHAR(50)); INSERT INTO plain VALUES (1, 'a'), (2, 'b');
CREATE TABLE nokey (a VARCHAR(50)); INSERT INTO nokey VALUES ('x');
CREATE TABLE floats (id INT PRIMARY KEY, f FLOAT); INSERT INTO floats VALUES (1, 0.1);
CREATE TABLE counting (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(9)); INSERT INTO counting VALUES (1, 'a');
CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO old VALUES (1);
CREATE TABLE triggered (id INT PRIMARY KEY, a INT); INSERT INTO triggered VALUES (1, 1); CREATE TRIGGER acts AFTER INSERT ON triggered FOR EACH ROW INSERT INTO nokey VALUES ('acted');
CREATE TABLE referred (id INT PRIMARY KEY); CREATE TABLE refers (id INT, FOREIGN KEY (id) REFERENCES referred (id) ON DELETE SET NULL); INSERT INTO referred VALUES (1);
CREATE TABLE many (id INT PRIMARY KEY); INSERT INTO many SELECT seq FROM seq_1_to_1001;
CREATE TABLE large (id INT PRIMARY KEY, a MEDIUMTEXT); INSERT INTO large VALUES (1, REPEAT('long ', 20000));
`, a, gateConfig{})
	c := g.open(t)
	for _, s := range []struct{ text, why string }{
		{"UPDATE nokey SET a = 'y'", "no primary key"},
		{"UPDATE plain SET id = 5 WHERE id = 1", "changes the primary key"},
		{"UPDATE plain SET a = 'x' WHERE id = 99", "changes no rows"},
		{"UPDATE plain SET a = 'x' LIMIT 1", "not compared"},
		{"DELETE FROM floats", "cannot be written back exactly"},
		{"INSERT INTO counting (a) VALUES ('x')", "gives column id of the primary key its value"},
		{"INSERT INTO counting VALUES (0, 'x')", "gives column id of the primary key its value"},
		{"INSERT INTO counting VALUES (NULL, 'x')", "gives column id of the primary key its value"},
		{"INSERT INTO plain VALUES (FLOOR(RAND() * 1000) + 100, 'x')", "others each time"},
		{"INSERT INTO plain SELECT 77, 'x'", "not compared"},
		{"REPLACE INTO plain VALUES (2, 'x')", "not compared"},
		{"DELETE FROM old", "not compared"},
		{"DELETE FROM triggered", "has triggers"},
		{"DELETE FROM referred", "refers"},
		{"DELETE FROM many", "at most 1000"},
		{"DELETE FROM large", "more than can be undone"},
		{"TRUNCATE nokey", "only INSERT, UPDATE and DELETE"},
		{"UPDATE plain JOIN large USING (id) SET plain.a = 'x'", "not measured"},
	} {
		a.last, a.image = nil, nil
		answer := does(c, s.text)
		require.NotNil(t, a.last, s.text)
		require.NotNil(t, a.last.Undo, s.text)
		require.Contains(t, a.last.Undo.Why, s.why, s.text)
		require.False(t, strings.HasPrefix(answer, "error"), "%s: %s %+v", s.text, answer, a.last)
		require.Nil(t, a.image, "what cannot be undone is not kept")
	}
}
