package mysql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// cutShown is what was cut, in one line.
func cutShown(c *sql.RowChange) string {
	var tables, sets []string
	for _, t := range c.Tables {
		tables = append(tables, t.Path)
	}
	for _, s := range c.Sets {
		sets = append(sets, s.Column+"="+s.Value)
	}
	out := c.Effect.String() + " " + strings.Join(tables, ",")
	for _, part := range []struct{ name, text string }{
		{"target", c.Target},
		{"where", c.Where},
		{"order", c.Order},
		{"sets", strings.Join(sets, "; ")},
		{"query", c.Query},
		{"source", c.Source},
		{"columns", strings.Join(c.Columns, " ")},
	} {
		if part.text != "" {
			out += " | " + part.name + " " + part.text
		}
	}
	for _, flag := range []struct {
		name string
		is   bool
	}{{" upsert", c.Upsert}, {" moving", c.Moving}, {" elsewhere", c.Elsewhere}, {" bounded", c.Bounded}} {
		if flag.is {
			out += flag.name
		}
	}
	return out
}

// A statement that changes rows is cut where the server would end its clauses, however it reads quotes and backslashes.
func TestRowChange(t *testing.T) {
	a := New(Config{})
	plain, ansi, bare := proxy.Reading{BackslashLiterals: true}, proxy.Reading{BackslashLiterals: true, ANSIQuotes: true}, proxy.Reading{}
	for _, c := range []struct {
		reading proxy.Reading
		text    string
		want    string
	}{
		{plain, "UPDATE t SET a = 1", "update `t` | target t | sets a=1"},
		{plain, "update low_priority shop.t as x set x.a = x.a + 1, b = 'it''s, where' where x.id = 5 order by id limit 3;", "update `shop`.`t` | target shop.t as x | where x.id = 5 | order order by id limit 3 | sets a=x.a + 1; b='it''s, where' bounded"},
		{plain, "UPDATE `odd ``set``` SET `where` = \"x;\" WHERE `where` IN (1, 2) OR `limit` = 3", "update `odd ``set``` | target `odd ``set``` | where `where` IN (1, 2) OR `limit` = 3 | sets where=\"x;\""},
		{ansi, `UPDATE "t" SET "a" = 'x"y' WHERE "a" = 1`, "update `t` | target \"t\" | where \"a\" = 1 | sets a='x\"y'"},
		{plain, `DELETE FROM t WHERE a = 'x\' OR b = ' -- '`, `delete ` + "`t`" + ` | target t | where a = 'x\' OR b = '`},
		{bare, `DELETE FROM t WHERE a = 'x\' OR b = 'y'`, `delete ` + "`t`" + ` | target t | where a = 'x\' OR b = 'y'`},
		{plain, "UPDATE t SET a = a + 1, b = a, c = DEFAULT", "update `t` | target t | sets a=a + 1; b=; c="},
		{plain, "UPDATE t SET a = (SELECT MAX(x) FROM u) WHERE RAND() < 0.5", "update `t` | target t | where RAND() < 0.5 | sets a=(SELECT MAX(x) FROM u) moving elsewhere"},
		{plain, "DELETE QUICK FROM t WHERE id IN (SELECT id FROM u ORDER BY 1) /* why */", "delete `t` | target t | where id IN (SELECT id FROM u ORDER BY 1) elsewhere"},
		{plain, "DELETE FROM t WHERE a = @x", "delete `t` | target t | where a = @x moving"},
		{plain, "INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)", "insert `t` | source SELECT 1, 'x' UNION ALL SELECT 2, NULL | columns a b"},
		{plain, "INSERT INTO t VALUES (1, DEFAULT)", "insert `t`"},
		{plain, "INSERT INTO t VALUES (UUID())", "insert `t`"},
		{plain, "INSERT INTO t SET a = 1", "insert `t` | columns a"},
		{plain, "REPLACE INTO t VALUES (1)", "insert `t` upsert"},
		{plain, "INSERT INTO t (a) SELECT a FROM u WHERE b ON DUPLICATE KEY UPDATE a = 1", "insert `t` | query SELECT a FROM u WHERE b | columns a upsert elsewhere"},
		{plain, "TRUNCATE TABLE a.b", "truncate `a`.`b`"},
		{plain, "DROP TABLE IF EXISTS a, b.c", "drop `a`,`b`.`c`"},
	} {
		got, err := a.RowChange([]byte(c.text), &c.reading)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, cutShown(got), c.text)
	}
	for text, want := range map[string]error{
		"SELECT 1": sql.ErrNotRows, "DROP VIEW v": sql.ErrNotRows, "": sql.ErrSeveral,
		"UPDATE t SET a = 1; UPDATE t SET a = 2":          sql.ErrSeveral,
		"UPDATE a JOIN b USING (id) SET a.x = 1":          sql.ErrJoined,
		"DELETE a FROM a JOIN b USING (id)":               sql.ErrJoined,
		"UPDATE IGNORE t SET a = 1":                       sql.ErrIgnores,
		"DELETE FROM t RETURNING a":                       sql.ErrReturns,
		"INSERT INTO t (SELECT a FROM u LIMIT 2)":         sql.ErrNotApart,
		"UPDATE t SET a = '":                              sql.ErrNotApart,
		"DELETE FROM t /*!50000 WHERE a = 1 */":           sql.ErrNotApart,
		"UPDATE t SET a = 1 /*M! WHERE b = 2 */":          sql.ErrNotApart,
		"WITH w AS (SELECT 1) DELETE FROM t WHERE a = 1":  sql.ErrNotApart,
		"INSERT INTO t (a) SELECT 1 UNION SELECT 2 LIMIT": sql.ErrNotApart,
		// A hint sets a variable for the statement alone, and not for a question about its rows.
		"UPDATE /*+ SET_VAR(time_zone = '+05:00') */ t SET a = 1 WHERE at < '2026-01-01'": sql.ErrNotApart,
		"DELETE /*+ SET_VAR(sql_mode = '') */ FROM t WHERE a = ''":                        sql.ErrNotApart,
		"INSERT /*+ SET_VAR(sql_mode = '') */ INTO t VALUES (1)":                          sql.ErrNotApart,
		"INSERT INTO t SELECT /*+ SET_VAR(sql_auto_is_null = 1) */ a FROM u":              sql.ErrNotApart,
	} {
		_, err := a.RowChange([]byte(text), &plain)
		require.ErrorIs(t, err, want, text)
	}
}
