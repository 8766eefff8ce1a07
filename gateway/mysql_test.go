package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

const mysqlPeople = `CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50), email VARCHAR(80), ssn VARCHAR(20), notes TEXT);
INSERT INTO people VALUES (1, 'Ann Lee', 'ann@example.com', '078-05-1120', 'call +1 415 555 2671, or write to ann@example.com'), (2, 'Bo', 'bo@example.com', '219-09-9999', 'none')`

// mysqlHouse is a gateway in front of MariaDB, with access, guardrails and masking as a
// newcomer has them.
func mysqlHouse(t *testing.T, more string) (h *house, database string) {
	t.Helper()
	maria, database, _ := testserver.SharedMariaDB(t, mysqlPeople)
	return mysqlHouseOf(t, maria, database, more), database
}

func mysqlHouseOf(t testing.TB, maria *testserver.MariaDBServer, database, more string) *house {
	t.Helper()
	return mysqlHouseFor(t, maria, database, "  - {name: dev, groups: [dev], allow: [connect, read, write, ddl, call, do, execute, unknown]}", more)
}

func mysqlHouseFor(t testing.TB, maria *testserver.MariaDBServer, database, access, more string) *house {
	t.Helper()
	_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
	require.NoError(t, err)
	t.Setenv("MYSQL_APP_PASSWORD", "app-secret")
	return open(t, t.TempDir(), fmt.Sprintf(`
data_dir: data
listen: {mysql: "127.0.0.1:0"}
identity:
  users:
    - {name: alice, groups: [dev], password: %s}
resources:
  - {name: shop, type: mysql, address: "127.0.0.1:%d", username: app, password: "env:MYSQL_APP_PASSWORD", tls: {mode: disable}, schema: %s}
access:
%s
%s`, verifier(t), maria.Port, database, access, more))
}

func (h *house) mysql(t testing.TB, user string) *sql.Conn {
	t.Helper()
	pem, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.MultiStatements = user+"+shop", password, "tcp", h.Addr("mysql", "").String(), true
	c.TLSConfig = strings.ReplaceAll(t.Name(), "/", "-")
	require.NoError(t, driver.RegisterTLSConfig(c.TLSConfig, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}))
	db, err := sql.Open("mysql", c.FormatDSN())
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// mysqlTexts are the rows of a query; an error is its only one.
func mysqlTexts(t *testing.T, c *sql.Conn, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), query, args...)
	if err != nil {
		return []string{err.Error()}
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		names, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values, to := make([]sql.NullString, len(names)), make([]any, len(names))
			for i := range values {
				to[i] = &values[i]
			}
			require.NoError(t, rows.Scan(to...))
			var row []string
			for _, v := range values {
				row = append(row, v.String)
			}
			all = append(all, strings.Join(row, "|"))
		}
	}
	if err := rows.Err(); err != nil {
		all = append(all, err.Error())
	}
	return all
}

// A rule with relations allows what touches these alone, and one that denies some meets all that
// reaches them.
func TestMySQLRelations(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, mysqlPeople+`;
		CREATE TABLE pets (id INT PRIMARY KEY, owner INT, FOREIGN KEY (owner) REFERENCES people (id) ON DELETE CASCADE);
		CREATE TABLE visits (pet INT);
		CREATE VIEW owners AS SELECT name FROM people;
		CREATE TRIGGER tr AFTER INSERT ON visits FOR EACH ROW UPDATE people SET notes = 'seen' WHERE id = NEW.pet;`)
	h := mysqlHouseFor(t, maria, database, fmt.Sprintf(
		"  - {groups: [dev], allow: [connect]}\n  - {groups: [dev], allow: [read, write, ddl], relations: [%s.pets, %[1]s.visits, \"%[1]s.mine*\"]}", database), "guardrails: [{use: off}]\n")
	c := h.mysql(t, "alice")
	for _, x := range []struct {
		text    string
		allowed bool
	}{
		{"SELECT * FROM pets", true},
		{"SELECT 1", true},
		{"INSERT INTO pets VALUES (1, NULL)", true},
		{"UPDATE pets SET owner = NULL WHERE id = 1", true},
		{"CREATE TABLE mine1 AS SELECT id FROM pets", true},
		{"SELECT id FROM mine1", true},
		{"DELETE FROM pets WHERE id = 1", true},
		{"DROP TABLE mine1", true},
		{"SELECT * FROM people", false},
		{"SELECT name FROM owners", false},
		{"INSERT INTO visits VALUES (1)", false},
		{"SELECT 1 FROM pets WHERE EXISTS (SELECT 1 FROM people)", false},
		{"SELECT * FROM information_schema.tables", false},
		{"CREATE TABLE mine2 AS SELECT name FROM people", false},
		{"TRUNCATE people", false},
		{"CALL nothing()", false},
	} {
		rows := mysqlTexts(t, c, x.text)
		require.Equal(t, !x.allowed, strings.Contains(strings.Join(rows, ""), "1142 (42000)"), "%s: %s", x.text, rows)
	}
	h = mysqlHouseFor(t, maria, database, fmt.Sprintf(
		"  - {groups: [dev], allow: [connect, read, write, ddl]}\n  - {name: no-people, groups: [dev], deny: [read, write], relations: [%s.people]}", database), "guardrails: [{use: off}]\n")
	c = h.mysql(t, "alice")
	for _, x := range []struct {
		text    string
		allowed bool
	}{
		{"SELECT * FROM pets", true}, {"SELECT name FROM owners", false}, {"INSERT INTO visits VALUES (1)", false}, {"SELECT * FROM people", false}, {"SHOW CREATE TABLE people", false},
	} {
		rows := mysqlTexts(t, c, x.text)
		require.Equal(t, !x.allowed, strings.Contains(strings.Join(rows, ""), "1142 (42000)"), "%s: %s", x.text, rows)
	}
}

// What hides values, blocks accidents and keeps records on PostgreSQL does on MySQL.
func TestMySQL(t *testing.T) {
	h, database := mysqlHouse(t, "masking: [{use: default}]\nguardrails: [{use: default}]\n")
	c := h.mysql(t, "alice")
	for _, query := range []string{"SELECT * FROM people", "SELECT * FROM people WHERE id < ?"} {
		var args []any
		if strings.Contains(query, "?") {
			args = append(args, 3)
		}
		rows := mysqlTexts(t, c, query, args...)
		require.Len(t, rows, 2)
		for _, secret := range []string{"ann@example.com", "078-05-1120", "415 555 2671"} {
			require.NotContains(t, strings.Join(rows, "\n"), secret)
		}
		require.Contains(t, rows[1], "2|")
	}
	require.Equal(t, []string{database}, mysqlTexts(t, c, "SELECT DATABASE()"))
	require.Equal(t, []string{"2"}, mysqlTexts(t, c, "SELECT COUNT(*) FROM people"))
	require.Contains(t, mysqlTexts(t, c, "DELETE FROM people")[0], "Error 1142 (42000)")
	require.Contains(t, mysqlTexts(t, c, "DROP TABLE people")[0], "Error 1142 (42000)")
	require.Empty(t, mysqlTexts(t, c, "UPDATE people SET name = 'Cy' WHERE id = ?", 2))
	s := h.session(t, "alice", "shop")
	require.NoError(t, c.Close())
	require.NoError(t, h.stop())
	var said []string
	for _, e := range h.records(t)[s.ID] {
		said = append(said, e.Type+" "+e.Kind+" "+e.Text)
	}
	require.Contains(t, strings.Join(said, "\n"), "UPDATE people SET name = 'Cy' WHERE id = ?")
}

// A mask that a client writes back where it read it does not take the place of the value.
func TestMySQLWriteBack(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, mysqlPeople)
	h := mysqlHouseOf(t, maria, database, "masking: [{use: default}]\n")
	c := h.mysql(t, "alice")
	shown := strings.Split(mysqlTexts(t, c, "SELECT ssn, email FROM people WHERE id = 1")[0], "|")
	require.NotEqual(t, "078-05-1120", shown[0])
	for _, x := range []struct {
		text string
		args []any
	}{
		{"UPDATE people SET ssn = '" + shown[0] + "' WHERE id = 1", nil},
		{"UPDATE people SET name = 'Ann', ssn = ? WHERE id = ?", []any{shown[0], 1}},
		{"UPDATE people SET email = '" + shown[1] + "' WHERE id = 1", nil},
		{"REPLACE INTO people (id, name, ssn) VALUES (1, 'Ann', '" + shown[0] + "')", nil},
		{"INSERT INTO people (id, ssn) VALUES (1, ?) ON DUPLICATE KEY UPDATE ssn = VALUES(ssn)", []any{shown[0]}},
		{"UPDATE people SET id = 1 WHERE id = 1; UPDATE people SET ssn = '" + shown[0] + "' WHERE id = 1", nil},
	} {
		rows := mysqlTexts(t, c, x.text, x.args...)
		require.Contains(t, strings.Join(rows, ""), "1142 (42000)", x.text)
	}
	out, err := maria.Run(database, "SELECT ssn, email FROM people WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, "078-05-1120\tann@example.com", strings.TrimSpace(out))
	require.Empty(t, mysqlTexts(t, c, "UPDATE people SET name = 'Anna', ssn = '219-09-9998' WHERE id = 1"))
	require.Empty(t, mysqlTexts(t, c, "UPDATE people SET ssn = ? WHERE id = 1", "219-09-9997"))
}

// Guardrails ask the server what it expects of statements, and add LIMIT to queries.
func TestMySQLEstimates(t *testing.T) {
	maria, database, _ := testserver.SharedMariaDB(t, "CREATE TABLE many (id INT PRIMARY KEY, n VARCHAR(20)); INSERT INTO many SELECT seq, CONCAT('n', seq) FROM seq_1_to_5000; ANALYZE TABLE many; CREATE DATABASE IF NOT EXISTS beside; CREATE OR REPLACE TABLE beside.few (id INT);")
	h := mysqlHouseOf(t, maria, database, "guardrails:\n  - {name: many, deny: {effects: [update, delete], more_rows_than: 1000}}\n  - {name: rows, rewrite: {no_limit: true}, limit: 7}\n")
	c := h.mysql(t, "alice")
	for _, x := range []struct {
		text    string
		allowed bool
		args    []any
	}{
		{"UPDATE many SET n = 'x' WHERE id > 0", false, nil},
		{"UPDATE many SET n = 'x' WHERE id < 5", true, nil},
		{"DELETE FROM many WHERE id < ?", false, []any{4000}},
		{"DELETE FROM many WHERE id < ?", true, []any{3}},
		{"DELETE FROM many WHERE n = ? AND id = 9", true, []any{"it's '?'"}},
		{"UPDATE few SET id = 1 WHERE id = 2", false, nil},
		{"USE beside", true, nil},
		{"UPDATE few SET id = 1 WHERE id = 2", true, nil},
	} {
		rows := mysqlTexts(t, c, x.text, x.args...)
		require.Equal(t, !x.allowed, strings.Contains(strings.Join(rows, ""), "1142 (42000)"), "%s: %s", x.text, rows)
	}
	require.Len(t, mysqlTexts(t, c, "SELECT * FROM "+database+".many -- all"), 7)
	require.Len(t, mysqlTexts(t, c, "SELECT * FROM "+database+".many WHERE id > ? ORDER BY n", 100), 7)
	require.Len(t, mysqlTexts(t, c, "SELECT * FROM "+database+".many LIMIT 9"), 9)
}

// SQL in the browser is that of other clients: the same chain, masking and record.
func TestBrowserDatabaseOfMySQL(t *testing.T) {
	h, database := mysqlHouse(t, `api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
masking: [{use: default}]
guardrails: [{use: default}]
`)
	d := h.editor(t, h.signIn(t, "alice"))
	list := d.run("SELECT id, name, email FROM people ORDER BY id; SELECT X'00ff' AS b, NULL AS n, 18446744073709551615 AS big")
	require.Len(t, d.rows, 3)
	require.Equal(t, "1", d.rows[0][0])
	require.NotContains(t, fmt.Sprint(d.rows), "ann@example.com")
	require.Equal(t, []any{"0x00ff", nil, "18446744073709551615"}, d.rows[2])
	require.Equal(t, []any{frame{"name": "id", "type": "int"}, frame{"name": "name", "type": "varchar"}, frame{"name": "email", "type": "varchar"}}, of(list, "result")[0]["columns"])
	require.Equal(t, []any{frame{"name": "b", "type": "varbinary"}, frame{"name": "n", "type": "null"}, frame{"name": "big", "type": "bigint unsigned"}}, of(list, "result")[1]["columns"])
	list = d.run("START TRANSACTION; UPDATE people SET name = 'Cy' WHERE id = 2")
	require.Equal(t, "OK 1", of(list, "end")[1]["tag"])
	require.Equal(t, "open", last(list)["transaction"])
	list = d.run("ROLLBACK")
	require.Equal(t, "idle", last(list)["transaction"])
	list = d.run("DROP TABLE people")
	require.Equal(t, "1142 (42000)", of(list, "failed")[0]["code"])
	list = d.run("SELECT nothing FROM people")
	require.Equal(t, "1054 (42S22)", of(list, "failed")[0]["code"])
	// Large values come in part, with their size.
	d.run("SELECT REPEAT('ü', 4000000), 7")
	require.Len(t, d.rows, 1)
	cell := d.rows[0][0].([]any)
	require.Equal(t, 8000000.0, cell[1])
	require.Len(t, []byte(cell[0].(string)), 64<<10)
	require.Equal(t, "7", d.rows[0][1])

	d.send(frame{"type": "relations"})
	tree := fmt.Sprint(last(d.until("relations"))["relations"])
	require.Contains(t, tree, database)
	require.Contains(t, tree, "people")
	run := d.begin("SELECT SLEEP(1000)", 1)
	d.send(frame{"type": "cancel", "run": run})
	d.until("done")
	d.run("SELECT 5")
	require.Equal(t, [][]any{{"5"}}, d.rows)
}

// What is explained of a statement is what a session is answered.
func TestMySQLExplained(t *testing.T) {
	h, _ := mysqlHouse(t, "guardrails: [{use: default}]\n")
	x, err := NewExplainer(h.parts().config, Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, x.Close()) }()
	c := h.mysql(t, "alice")
	for text, want := range map[string]string{
		"SELECT name FROM people WHERE id = 1":               "allow",
		"UPDATE people SET name = 'Cy' WHERE id = 2":         "allow",
		"DELETE FROM people":                                 "deny",
		"DROP TABLE people":                                  "deny",
		"/*!50000 DROP */ TABLE people":                      "deny",
		"/*M!100000 DROP */ TABLE people":                    "deny",
		"UPDATE `people` SET name = \"x' WHERE id = 1 -- \"": "deny",
		"SELECT 1; TRUNCATE people":                          "deny",
	} {
		got, _ := explained(t, x, "alice", "shop", text)
		require.Equal(t, want, got.outcome, text)
		refused := strings.Contains(strings.Join(mysqlTexts(t, c, text), ""), "1142 (42000)")
		require.Equal(t, want == "deny", refused, text)
	}
}
