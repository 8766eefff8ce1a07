package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "SELECT * FROM t", "SELECT * FROM t LIMIT 10"},
		{"semicolon", "SELECT * FROM t ; ", "SELECT * FROM t LIMIT 10 ; "},
		{"line comment", "SELECT * FROM t -- all", "SELECT * FROM t LIMIT 10 -- all"},
		{"comments", "/* a */ SELECT * FROM t /* b */ -- c\n;;", "/* a */ SELECT * FROM t LIMIT 10 /* b */ -- c\n;;"},
		{"comment in a literal", "SELECT '--' AS a, $$/*$$", "SELECT '--' AS a, $$/*$$ LIMIT 10"},
		{"order", "SELECT a FROM t ORDER BY a DESC NULLS LAST", "SELECT a FROM t ORDER BY a DESC NULLS LAST LIMIT 10"},
		{"offset", "SELECT a FROM t OFFSET 5", "SELECT a FROM t OFFSET 5 LIMIT 10"},
		{"union", "SELECT a FROM t UNION ALL SELECT b FROM u", "SELECT a FROM t UNION ALL SELECT b FROM u LIMIT 10"},
		{"limit below", "SELECT * FROM (SELECT * FROM t LIMIT 5) x, u", "SELECT * FROM (SELECT * FROM t LIMIT 5) x, u LIMIT 10"},
		{"with", "WITH x AS (SELECT 1) SELECT * FROM x, t", "WITH x AS (SELECT 1) SELECT * FROM x, t LIMIT 10"},
		{"values", "VALUES (1), (2)", "VALUES (1), (2) LIMIT 10"},
		{"table", "TABLE t", "TABLE t LIMIT 10"},
		{"parameter", "SELECT * FROM t WHERE a = $1", "SELECT * FROM t WHERE a = $1 LIMIT 10"},
		{"quoted name", `SELECT * FROM "limit"`, `SELECT * FROM "limit" LIMIT 10`},
		{"group", "SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1", "SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1 LIMIT 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Limiter{}.Limit([]byte(c.text), 10)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
		})
	}
	for _, text := range []string{
		"SELECT * INTO x FROM t", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t FOR SHARE OF t -- x", "SELECT 1; SELECT 2", "nonsense", "", ";", "FETCH ALL FROM c",
		"SELECT * FROM t LIMIT ALL", "SELECT * FROM t LIMIT NULL", "SELECT * FROM t LIMIT 5", "SELECT 'a\\'", "SELECT 'a", "CREATE TABLE x AS SELECT 1", "EXPLAIN SELECT 1",
		"COPY t TO STDOUT",
	} {
		got, err := Limiter{}.Limit([]byte(text), 10)
		require.Error(t, err, "%s: %s", text, got)
	}
	for _, text := range []string{"INSERT INTO t VALUES (1) RETURNING *", "DELETE FROM t WHERE a = 1 RETURNING a", "UPDATE t SET a = 1 WHERE b = 2 RETURNING *"} {
		got, err := Limiter{}.Limit([]byte(text), 10)
		require.NoError(t, err, text)
		require.Nil(t, got, text)
	}
}
