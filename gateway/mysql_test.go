package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
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
	_, err := maria.Run("", "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'app-secret'; GRANT ALL ON *.* TO app@'127.0.0.1'")
	require.NoError(t, err)
	t.Setenv("MYSQL_APP_PASSWORD", "app-secret")
	h = open(t, t.TempDir(), fmt.Sprintf(`
data_dir: data
listen: {mysql: "127.0.0.1:0"}
identity:
  users:
    - {name: alice, groups: [dev], password: %s}
resources:
  - {name: shop, type: mysql, address: "127.0.0.1:%d", username: app, password: "env:MYSQL_APP_PASSWORD", tls: {mode: disable}, schema: %s}
access:
  - {name: dev, groups: [dev], allow: [connect, read, write, create]}
%s`, verifier(t), maria.Port, database, more))
	return h, database
}

func (h *house) mysql(t *testing.T, user string) *sql.Conn {
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

// texts are the rows of a query; an error is its only one.
func texts(t *testing.T, c *sql.Conn, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), query, args...)
	if err != nil {
		return []string{err.Error()}
	}
	defer rows.Close()
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
	if err := rows.Err(); err != nil {
		all = append(all, err.Error())
	}
	return all
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
		rows := texts(t, c, query, args...)
		require.Len(t, rows, 2)
		for _, secret := range []string{"ann@example.com", "078-05-1120", "415 555 2671"} {
			require.NotContains(t, strings.Join(rows, "\n"), secret)
		}
		require.Contains(t, rows[1], "2|")
	}
	require.Equal(t, []string{database}, texts(t, c, "SELECT DATABASE()"))
	require.Equal(t, []string{"2"}, texts(t, c, "SELECT COUNT(*) FROM people"))
	require.Contains(t, texts(t, c, "DELETE FROM people")[0], "Error 1142 (42000)")
	require.Contains(t, texts(t, c, "DROP TABLE people")[0], "Error 1142 (42000)")
	require.Empty(t, texts(t, c, "UPDATE people SET name = 'Cy' WHERE id = ?", 2))
	s := h.session(t, "alice", "shop")
	require.NoError(t, c.Close())
	require.NoError(t, h.stop())
	var said []string
	for _, e := range h.records(t)[s.ID] {
		said = append(said, e.Type+" "+e.Kind+" "+e.Text)
	}
	require.Contains(t, strings.Join(said, "\n"), "UPDATE people SET name = 'Cy' WHERE id = ?")
}
