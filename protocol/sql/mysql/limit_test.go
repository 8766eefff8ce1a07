package mysql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SELECT * FROM t", "SELECT * FROM t LIMIT 10"},
		{"SELECT * FROM t ; ", "SELECT * FROM t LIMIT 10 ; "},
		{"SELECT * FROM t -- all", "SELECT * FROM t LIMIT 10 -- all"},
		{"SELECT * FROM t # all", "SELECT * FROM t LIMIT 10 # all"},
		{"/* a */ SELECT * FROM t /* b */ -- c\n;;", "/* a */ SELECT * FROM t LIMIT 10 /* b */ -- c\n;;"},
		{"SELECT '#--', \"x\" FROM `limit` WHERE a = ?", "SELECT '#--', \"x\" FROM `limit` WHERE a = ? LIMIT 10"},
		{"SELECT a FROM t ORDER BY a DESC", "SELECT a FROM t ORDER BY a DESC LIMIT 10"},
		{"SELECT a FROM t UNION ALL SELECT b FROM u", "SELECT a FROM t UNION ALL SELECT b FROM u LIMIT 10"},
		{"SELECT * FROM (SELECT * FROM t LIMIT 5) x, u", "SELECT * FROM (SELECT * FROM t LIMIT 5) x, u LIMIT 10"},
		{"WITH x AS (SELECT 1) SELECT * FROM x, t", "WITH x AS (SELECT 1) SELECT * FROM x, t LIMIT 10"},
		{"SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1", "SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1 LIMIT 10"},
		{"SELECT a FROM t WHERE b = 'it\\'s'", "SELECT a FROM t WHERE b = 'it\\'s' LIMIT 10"},
	} {
		got, err := Limiter{}.Limit([]byte(c.text), 10)
		if c.text == "SELECT a FROM t WHERE b = 'it\\'s'" { // which a server may read in another way
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, string(got))
	}
	for _, text := range []string{
		"SELECT * INTO OUTFILE 'x' FROM t", "SELECT a INTO @x FROM t", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t LOCK IN SHARE MODE", "SELECT 1; SELECT 2", "nonsense", "", ";",
		"SELECT * FROM t LIMIT 5", "SELECT * FROM t LIMIT ?", "SELECT 'a", "CREATE TABLE x AS SELECT 1", "EXPLAIN SELECT 1", "SHOW TABLES", "SELECT * FROM t /*! WHERE a = 1 */",
		"SELECT a FROM t UNION SELECT b FROM u LIMIT 3",
	} {
		got, err := Limiter{}.Limit([]byte(text), 10)
		require.Error(t, err, "%s: %s", text, got)
	}
	for _, text := range []string{"INSERT INTO t VALUES (1) RETURNING a", "DELETE FROM t WHERE a = 1", "UPDATE t SET a = 1 WHERE b = 2"} {
		got, err := Limiter{}.Limit([]byte(text), 10)
		require.NoError(t, err, text)
		require.Nil(t, got, text)
	}
}
