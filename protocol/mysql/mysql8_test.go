package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/devtool"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// mysql8 is a server of tools/mysqldev, which proves people as MySQL 8 does.
type mysql8 struct {
	addr string
	ca   *testserver.Authority
}

func startMySQL8(t *testing.T) *mysql8 {
	t.Helper()
	s := &mysql8{ca: testserver.NewAuthority()}
	cert, key := s.ca.ServerPEM("localhost")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600))
	s.addr, _ = devtool.Start(t, devtool.Build(t, "mysqldev"), "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"))
	return s
}

// gate is a gateway in front of s, which logs in there as a user.
func (s *mysql8) gate(t *testing.T, user, password string, sealed bool, chain ...proxy.Interceptor) *gate {
	t.Helper()
	g := startGate(t, gateConfig{user: user, password: password, chain: chain, resource: func(r *proxy.Resource) {
		r.Address, r.TLS = s.addr, proxy.TLS{Mode: proxy.TLSDisable}
		if sealed {
			r.TLS = proxy.TLS{Mode: proxy.TLSVerifyFull, RootCAs: s.ca.Pool, ServerName: "localhost"}
		}
	}})
	g.db = "shop"
	return g
}

// direct is a connection past the gateway.
func (s *mysql8) direct(t *testing.T) *sql.Conn {
	t.Helper()
	g := &gate{addr: s.addr, ca: s.ca, db: "shop"}
	return g.open(t, func(c *driver.Config) { c.User, c.Passwd = "sha2", "secret" })
}

// TestMySQL8Logins: the gateway proves itself to a server whose accounts are MySQL 8's. It sends the
// password of caching_sha2_password as it is over TLS alone.
func TestMySQL8Logins(t *testing.T) {
	s := startMySQL8(t)
	for _, c := range []struct {
		user, password string
		sealed, in     bool
	}{
		{"sha2", "secret", true, true},
		{"sha2", "wrong", true, false},
		{"sha2", "secret", false, false}, // the server has no key to give for it
		{"native", "secret", true, true},
		{"native", "secret", false, true},
		{"native", "wrong", true, false},
		{"open", "", true, true},
		{"open", "x", true, false},
		{"nobody", "secret", true, false},
	} {
		g := s.gate(t, c.user, c.password, c.sealed)
		err := g.connects(t, "alice", "wonder")
		if c.in {
			require.NoError(t, err, c)
			continue
		}
		require.Error(t, err, c)
		require.NotContains(t, err.Error(), "secret", c)
		require.NotContains(t, err.Error(), c.user+"'@", "the account is not the user's to know")
	}
}

// transcript is what a client sees of statements, as texts and prepared.
func transcript(t *testing.T, c *sql.Conn, statements []string) (lines []string) {
	t.Helper()
	ctx := context.Background()
	show := func(rows *sql.Rows, err error) {
		if err != nil {
			lines = append(lines, err.Error())
			return
		}
		defer rows.Close()
		columns, err := rows.ColumnTypes()
		require.NoError(t, err)
		for _, c := range columns {
			lines = append(lines, c.Name()+" "+c.DatabaseTypeName())
		}
		for rows.Next() {
			lines = append(lines, fmt.Sprint(values(t, rows, len(columns))))
		}
		if err := rows.Err(); err != nil {
			lines = append(lines, err.Error())
		}
	}
	for _, text := range statements {
		lines = append(lines, "> "+text)
		show(c.QueryContext(ctx, text))
		st, err := c.PrepareContext(ctx, text)
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		show(st.QueryContext(ctx))
		require.NoError(t, st.Close())
	}
	return lines
}

// TestMySQL8Sessions: what a client of such a server sees is the same through the gateway.
func TestMySQL8Sessions(t *testing.T) {
	s := startMySQL8(t)
	statements := []string{
		"SELECT 1, 'x', NULL, 1.5, CURDATE() > '2020-01-01'", "SELECT * FROM people ORDER BY id", "SELECT * FROM people WHERE id = 99", "SELECT * FROM nowhere", "SELEC 1",
		"INSERT INTO people VALUES (1, 'twice', NULL)", "BEGIN", "UPDATE people SET name = 'X' WHERE id = 2", "SELECT name FROM people WHERE id = 2", "ROLLBACK",
		"SELECT REPEAT('0123456789', 100000)", "USE shop", "SET @a = 7", "SELECT @a", "SELECT VERSION()", "SHOW TABLES", "SHOW COLUMNS FROM people",
	}
	for user, sealed := range map[string]bool{"sha2": true, "native": false} {
		want := transcript(t, s.direct(t), statements)
		require.Equal(t, want, transcript(t, s.gate(t, user, "secret", sealed).open(t), statements))
	}
}

// TestMySQL8Filters: statements are refused and values are edited at such a server as at others.
func TestMySQL8Filters(t *testing.T) {
	s := startMySQL8(t)
	c := s.gate(t, "sha2", "secret", true, denying("delete"), starring("email")).open(t)
	lines := transcript(t, c, []string{"SELECT id, email FROM people ORDER BY id", "DELETE FROM people"})
	require.Len(t, lines, 12)
	require.Equal(t, []string{
		"> SELECT id, email FROM people ORDER BY id",
		"id INT", "email VARCHAR", "[{1 true} {*** true}]", "[{2 true} { false}]",
		"id INT", "email VARCHAR", "[{1 true} {*** true}]", "[{2 true} { false}]",
		"> DELETE FROM people",
	}, lines[:10])
	require.Contains(t, lines[10], "Error 1142 (42000): ")
	require.Contains(t, lines[11], "Error 1142 (42000): ")
	var n int
	require.NoError(t, s.direct(t).QueryRowContext(context.Background(), "SELECT COUNT(*) FROM people").Scan(&n))
	require.Equal(t, 2, n)
}
