package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// A statement that changes rows is cut where the server would end its clauses.
func TestRowChange(t *testing.T) {
	a := New(Config{})
	for text, want := range map[string]string{
		"UPDATE t SET a = 1": ` SELECT * FROM t WHERE (true) | a=1`,
		"update only public.t as x set a = x.a + 1 where x.id = $1 returning *":                                     ` SELECT * FROM only public.t as x WHERE (x.id = $1) | a=x.a + 1`,
		`UPDATE "Odd ""set""" "where" SET "from" = "where"."from" || 'x;' WHERE "where".id IN (1, 2);`:              ` SELECT * FROM "Odd ""set""" "where" WHERE ("where".id IN (1, 2)) | from="where"."from" || 'x;'`,
		"UPDATE t SET a = b IS NOT DISTINCT FROM c, d = DEFAULT, e = (SELECT max(x) FROM u WHERE u.k = t.k)":        ` SELECT * FROM t WHERE (true) | a=b IS NOT DISTINCT FROM c, d=, e=(SELECT max(x) FROM u WHERE u.k = t.k) | elsewhere`,
		"UPDATE t SET (a, b) = (1, 2) WHERE a = 2":                                                                  ` SELECT * FROM t WHERE (a = 2) | a=, b=`,
		"UPDATE t SET a[1] = 2, b.c = 3 WHERE t.where = 1":                                                          ` SELECT * FROM t WHERE (t.where = 1) | a=, b=`,
		"UPDATE t AS set SET a = 1 WHERE set.a = 2":                                                                 ` SELECT * FROM t AS set WHERE (set.a = 2) | a=1`,
		"UPDATE t SET a = random() WHERE b < now()":                                                                 ` SELECT * FROM t WHERE (b < now()) | a=random()!`,
		"UPDATE t SET a = 1 WHERE random() < 0.5":                                                                   ` SELECT * FROM t WHERE (random() < 0.5) | a=1 | moving`,
		"UPDATE t SET a = u.a FROM u WHERE u.id = t.id -- why":                                                      ` SELECT * FROM t WHERE (EXISTS (SELECT FROM u WHERE (u.id = t.id))) | a=u.a | elsewhere`,
		"WITH w AS (SELECT 1 AS id) UPDATE t SET a = 1 WHERE id IN (SELECT id FROM w)":                              `WITH w AS (SELECT 1 AS id) SELECT * FROM t WHERE (id IN (SELECT id FROM w)) | a=1 | elsewhere`,
		"WITH update AS (SELECT 1 AS id) UPDATE t SET a = 1 WHERE id IN (SELECT id FROM update)":                    `WITH update AS (SELECT 1 AS id) SELECT * FROM t WHERE (id IN (SELECT id FROM update)) | a=1 | elsewhere`,
		`DELETE FROM "größe" WHERE länge = 1`:                                                                       ` SELECT * FROM "größe" WHERE (länge = 1)`,
		"DELETE FROM t":                                                                                             ` SELECT * FROM t WHERE (true)`,
		"DELETE FROM ONLY (t) WHERE a = 1 OR b":                                                                     ` SELECT * FROM ONLY (t) WHERE (a = 1 OR b)`,
		"DELETE FROM t * USING u, v WHERE u.a=t.a":                                                                  ` SELECT * FROM t * WHERE (EXISTS (SELECT FROM u, v WHERE (u.a=t.a))) | elsewhere`,
		"DELETE /* from */ FROM t -- where\nWHERE a = 'it''s' /* and */ AND b = $$returning$$ RETURNING a AS where": ` SELECT * FROM t WHERE (a = 'it''s' /* and */ AND b = $$returning$$)`,
		"INSERT INTO t VALUES (1), (DEFAULT)":                                                                       "2 values",
		"INSERT INTO t DEFAULT VALUES":                                                                              "1 values",
		"INSERT INTO t (a) SELECT a FROM u WHERE b RETURNING a":                                                     "SELECT a FROM u WHERE b",
		"INSERT INTO t (SELECT a FROM u)":                                                                           "(SELECT a FROM u)",
		"INSERT INTO t (a) (SELECT a FROM u) ON CONFLICT DO NOTHING":                                                "(SELECT a FROM u) upsert",
		"WITH w AS (SELECT 1) INSERT INTO t AS x (a) TABLE w ON CONFLICT DO NOTHING":                                "TABLE w upsert",
		"TRUNCATE a, ONLY b.c CASCADE":                                                                              `"a", "b"."c" only cascades`,
		"DROP TABLE IF EXISTS a, b.c":                                                                               `"a", "b"."c"`,
	} {
		c, err := a.RowChange([]byte(text), &proxy.Reading{})
		require.NoError(t, err, text)
		require.Equal(t, want, shown(c), text)
	}
	for text, want := range map[string]error{
		"SELECT 1": sql.ErrNotRows, "DROP VIEW v": sql.ErrNotRows, "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE": sql.ErrNotRows,
		"UPDATE t SET a = 1; UPDATE t SET a = 2":  sql.ErrSeveral,
		"DELETE FROM t WHERE CURRENT OF c":        sql.ErrNotRows,
		"DELETE FROM größe":                       sql.ErrNotApart,
		"UPDATE t SET a = '":                      sql.ErrNotApart,
		"UPDATE t SET set = 1":                    sql.ErrNotApart,
		"":                                        sql.ErrSeveral,
		`DELETE FROM t WHERE a = 'x\' OR b = 'y'`: sql.ErrNotApart, // two readings
	} {
		_, err := a.RowChange([]byte(text), &proxy.Reading{})
		require.ErrorIs(t, err, want, text)
	}
}

// shown is a change in short.
func shown(c *sql.RowChange) string {
	var parts []string
	switch {
	case c.Query != "":
		parts = append(parts, c.Query)
	case c.Values > 0:
		parts = append(parts, string(rune('0'+c.Values))+" values")
	case c.Target != "":
		parts = append(parts, c.Select("*"))
	default:
		for _, table := range c.Tables {
			if table.Only {
				table.Path += " only"
			}
			parts = append(parts, table.Path)
		}
		if c.Cascades {
			return strings.Join(parts, ", ") + " cascades"
		}
		return strings.Join(parts, ", ")
	}
	if c.Upsert {
		parts[0] += " upsert"
	}
	var sets []string
	for _, s := range c.Sets {
		if s.Moving {
			s.Value += "!"
		}
		sets = append(sets, s.Column+"="+s.Value)
	}
	if sets != nil {
		parts = append(parts, strings.Join(sets, ", "))
	}
	if c.Moving {
		parts = append(parts, "moving")
	}
	if c.Elsewhere && c.Query == "" {
		parts = append(parts, "elsewhere")
	}
	return strings.Join(parts, " | ")
}
