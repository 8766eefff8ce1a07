package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What is held is run once and taken back: the approver sees exact counts and rows. Nothing of it stays, and no locks.
func TestTry(t *testing.T) {
	a := &approver{hold: proxy.Hold{Try: true}}
	g := impactGate(t, ordersSchema+"CREATE TABLE cut (id INT PRIMARY KEY, v TINYINT, s VARCHAR(3), at TIMESTAMP NOT NULL DEFAULT '2026-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP); INSERT INTO cut (id, v, s) VALUES (1, 1, 'a');", a, gateConfig{})
	c := g.open(t)
	const update = "UPDATE orders SET status = 'done', qty = qty + 1 WHERE status = 'open'"
	a.looks = func(*proxy.Impact) {
		require.Equal(t, "3", g.server(t, "SELECT COUNT(*) FROM orders WHERE status = 'open'"), "all of it was taken back")
		require.Equal(t, "10", g.server(t, "SET SESSION innodb_lock_wait_timeout = 1; SELECT COUNT(*) FROM (SELECT id FROM orders FOR UPDATE) AS q"), "nobody is locked out")
	}
	require.Equal(t, "3", does(c, update))
	require.Equal(t, &proxy.Trial{Rows: 3}, a.last.Trial)
	require.Equal(t, proxy.Sample{Before: []string{`"1"`, `"open"`, `"1"`}, After: []string{"", `"done"`, `"2"`}}, a.last.Samples[0])
	a.looks = nil
	g.server(t, resetOrders)
	require.Equal(t, "0", does(c, "BEGIN"))
	require.Equal(t, "3", does(c, "UPDATE orders SET status = ? WHERE status = ?", "done", "open"))
	require.Equal(t, &proxy.Trial{Rows: 3}, a.last.Trial)
	require.Equal(t, "0", does(c, "COMMIT"))

	// What the server makes of values is seen only when it is tried.
	require.Equal(t, "0", does(c, "SET sql_mode = ''"))
	require.Equal(t, "1", does(c, "UPDATE cut SET v = 2.6, s = 'long', v = v + 1 WHERE id = 1"))
	require.Equal(t, []string{"", `"4"`, `"lon"`}, a.last.Samples[0].After[:3])
	require.NotContains(t, []string{"", "?"}, a.last.Samples[0].After[3])

	require.Equal(t, "2", does(c, "INSERT INTO orders VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE qty = 9"))
	require.Equal(t, &proxy.Trial{Rows: 2}, a.last.Trial)
	require.EqualValues(t, 2, a.last.Rows, "what nobody could count before")

	require.Equal(t, "error 1062", does(c, "INSERT INTO orders VALUES (1, 'x', 1)"))
	require.Contains(t, a.last.Trial.Why, "1062")

	// Somebody else has locked a row.
	other := g.open(t)
	require.Equal(t, "0", does(other, "BEGIN"))
	require.Equal(t, "1", does(other, "UPDATE orders SET qty = 99 /* unheld */ WHERE id = 5"))
	a.looks = func(*proxy.Impact) { require.Equal(t, "0", does(other, "ROLLBACK")) }
	require.Equal(t, "1", does(c, "UPDATE orders SET qty = 5 WHERE id = 5"))
	require.Contains(t, a.last.Trial.Why, "locked")
}

// What a column becomes is hidden like what it is made of.
func TestTryIsMasked(t *testing.T) {
	a := &approver{hold: proxy.Hold{Try: true}}
	g := impactGate(t, "CREATE TABLE people (id INT PRIMARY KEY, Note VARCHAR(20), n INT, secret VARCHAR(20)); INSERT INTO people VALUES (1, 'plain', 1, 'hidden');", a, gateConfig{chain: chain(tracing("secret"))})
	c := g.open(t)
	for text, note := range map[string]string{
		"UPDATE people SET note = 'seen', n = 2":                                  `"seen"`,
		"UPDATE people SET note = secret, n = 2":                                  `"***"`,
		"UPDATE people AS p SET p.Note = CONCAT('x', p.secret), n = 2":            `"***"`,
		"UPDATE people SET n = 2, note = IF(n = 2, secret, 'x')":                  `"***"`,
		"UPDATE people SET note = (SELECT MAX(p.secret) FROM people AS p), n = 2": "",
	} {
		a.last = nil
		does(c, text)
		require.NotNil(t, a.last, text)
		require.NotContains(t, fmt.Sprintf("%+v", a.last.Samples), "hidden", text)
		if note != "" {
			require.Equal(t, &proxy.Trial{Rows: 1}, a.last.Trial, text)
			require.Equal(t, []string{"", note, `"2"`, ""}, a.last.Samples[0].After, text)
			require.Equal(t, `"***"`, a.last.Samples[0].Before[3], text)
		}
		g.server(t, "UPDATE people SET note = 'plain', n = 1")
	}
}

// What could leave something, or act elsewhere, is not tried, and the approver is told why.
func TestTrySays(t *testing.T) {
	a := &approver{hold: proxy.Hold{Try: true}}
	g := impactGate(t, `CREATE TABLE acted (t VARCHAR(20));
CREATE TABLE triggered (id INT PRIMARY KEY); INSERT INTO triggered VALUES (1); CREATE TRIGGER acts BEFORE UPDATE ON triggered FOR EACH ROW INSERT INTO acted VALUES ('acted');
CREATE TABLE old (id INT) ENGINE=MyISAM; INSERT INTO old VALUES (1);
CREATE TABLE counting (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(9));
CREATE TABLE referred (id INT PRIMARY KEY, k INT UNIQUE); CREATE TABLE refers (id INT, FOREIGN KEY (id) REFERENCES referred (id) ON DELETE CASCADE); INSERT INTO referred VALUES (1, 1); INSERT INTO refers VALUES (1);
CREATE TABLE plain (id INT PRIMARY KEY, a VARCHAR(50)); INSERT INTO plain VALUES (1, 'a');
CREATE VIEW seen AS SELECT * FROM plain;
CREATE FUNCTION calls(x INT) RETURNS INT DETERMINISTIC RETURN x;
`, a, gateConfig{})
	c := g.open(t)
	require.Equal(t, "0", does(c, "SET @v = 'from the session'"))
	for text, why := range map[string]string{
		"UPDATE plain SET a = @v":                                          "mean something else in every session",
		"UPDATE plain SET a = CONCAT('x', LAST_INSERT_ID())":               "mean something else in every session",
		"UPDATE plain SET a = RAND()":                                      "mean something else in every session",
		"UPDATE plain SET a = (SELECT @@rand_seed1)":                       "mean something else in every session",
		"INSERT INTO plain VALUES (8, @v)":                                 "mean something else in every session",
		"INSERT INTO plain SET id = 9, a = @v":                             "mean something else in every session",
		"REPLACE INTO plain VALUES (1, UUID())":                            "mean something else in every session",
		"INSERT INTO plain VALUES (1, 'b') ON DUPLICATE KEY UPDATE a = @v": "mean something else in every session",
		"UPDATE triggered SET id = 2":                                      "has triggers",
		"DELETE FROM triggered WHERE id = 7":                               "has triggers",
		"UPDATE old SET id = 2":                                            "no transactions",
		"INSERT INTO counting (a) VALUES ('x')":                            "AUTO_INCREMENT",
		"INSERT INTO counting VALUES (77, 'x')":                            "AUTO_INCREMENT",
		"DELETE FROM referred WHERE id = 7":                                "refers",
		"REPLACE INTO referred VALUES (7, 7)":                              "refers",
		"UPDATE seen SET a = 'b'":                                          "not a plain table",
		"UPDATE plain SET a = calls(1)":                                    "more than change rows",
		"UPDATE plain SET a = 'x' WHERE calls(id) = 1":                     "not measured",
		"UPDATE plain SET a = NEXTVAL(s)":                                  "",
		"UPDATE plain SET a = SLEEP(0)":                                    "more than change rows",
		"UPDATE plain SET a = GET_LOCK('sallyport test', 0)":               "more than change rows",
		"TRUNCATE acted":                                                   "only INSERT, UPDATE and DELETE",
		"UPDATE plain JOIN acted SET plain.a = 'x'":                        "not measured",
		"UPDATE plain SET a = 'x'; UPDATE plain SET a = 'y'":               "not measured",
		"CREATE TABLE IF NOT EXISTS made AS SELECT 'x' FROM plain":         "not measured",
	} {
		a.last = nil
		does(c, text)
		if why == "" {
			continue
		}
		require.NotNil(t, a.last, text)
		require.NotNil(t, a.last.Trial, text)
		require.Contains(t, a.last.Trial.Why, why, text)
	}
	require.False(t, strings.Contains(g.server(t, "SELECT GROUP_CONCAT(t) FROM acted"), "acted,acted"))
}
