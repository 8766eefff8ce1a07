package gateway

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestPersonalAccount: each person is herself at the resource, whose own rules about her count, and the catalog is read
// by the gateway's account.
func TestPersonalAccount(t *testing.T) {
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("DB_PASSWORD", server.Password)
	admin := connect(t, fmt.Sprintf("postgres://postgres:%s@%s/%s", server.Password, server.Address(), database))
	for _, name := range []string{"personal_ann", "personal_ben"} {
		admin.query("CREATE ROLE " + name + " LOGIN PASSWORD '" + server.Password + "'")
		t.Cleanup(func() {
			c, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://postgres:%s@%s/%s", server.Password, server.Address(), database))
			if err == nil {
				c.Exec(t.Context(), "DROP OWNED BY "+name+"; DROP ROLE "+name)
			}
		})
	}
	admin.query("GRANT SELECT ON notes TO personal_ann")
	h := open(t, t.TempDir(), fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: personal_ann, groups: [dev], password: %[1]s}, {name: personal_ben, groups: [dev], password: %[1]s}, {name: postgres, groups: [dev], password: %[1]s}]}
resources:
  - name: shop
    type: postgres
    address: %[2]q
    database: %[3]s
    username: "{user}"
    password: env:DB_PASSWORD
    own_account: {username: postgres, password: env:DB_PASSWORD}
    tls: {mode: disable}
access: [{groups: [dev], allow: [connect, read]}]
`, verifier(t), server.Address(), database))
	ann, ben := connect(t, h.database("personal_ann", "shop")), connect(t, h.database("personal_ben", "shop"))
	require.Equal(t, [][]string{{"personal_ann"}}, ann.query("SELECT current_user"))
	require.Equal(t, [][]string{{"hello"}}, ann.query("SELECT text FROM notes"))
	require.Equal(t, [][]string{{"personal_ben"}}, ben.query("SELECT current_user"))
	require.Contains(t, fmt.Sprint(ben.query("SELECT text FROM notes")), "permission denied", "the database says so")
	_, err := pgconn.Connect(t.Context(), h.database("postgres", "shop"))
	require.ErrorContains(t, err, `"postgres" cannot be the name of one`)
	require.NoError(t, h.Reload())
	require.Equal(t, [][]string{{"personal_ann"}}, ann.query("SELECT current_user"), "a session goes on as who it is")
}
