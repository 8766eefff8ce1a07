package mysql

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// held is a catalog that never changes.
type held struct{ is *sql.Snapshot }

func (h held) Snapshot(context.Context, *proxy.Reading) *sql.Snapshot { return h.is }
func (h held) Latest(context.Context, *proxy.Reading) (*sql.Snapshot, []proxy.NameChange) {
	return h.is, nil
}
func (h held) Changed(*proxy.Reading, []proxy.NameChange) {}
func (h held) Doubt(*proxy.Reading)                       {}

func table(oid uint32, name, view string, columns ...string) *sql.Relation {
	r := &sql.Relation{OID: oid, Schema: "shop", Name: name, Kind: sql.RelationTable}
	if view != "" {
		r.Kind, r.Definition = sql.RelationView, view
	}
	for i, c := range columns {
		r.Columns = append(r.Columns, sql.Column{Attr: uint16(i + 1), Name: c})
	}
	return r
}

func shop() held {
	s := sql.NewSnapshot(sql.Contents{Relations: []*sql.Relation{
		table(1, "people", "", "id", "name", "ssn"), table(2, "orders", "", "id", "person", "total"),
		table(3, "v", "select `shop`.`people`.`ssn` AS `a`,`shop`.`people`.`name` AS `b` from `shop`.`people`", "a", "b"),
		table(4, "vv", "select `v`.`a` AS `c` from `shop`.`v` where `v`.`b` = 'x'", "c"),
		table(5, "loop1", "select `loop2`.`x` AS `x` from `shop`.`loop2`", "x"), table(6, "loop2", "select `loop1`.`x` AS `x` from `shop`.`loop1`", "x"),
		table(7, "blind", "", "x"),
	}})
	s.ByOID(7).Kind = sql.RelationView // whose query could not be read
	s = sql.NewSnapshot(s.Contents)
	Resolve(s)
	return held{s}
}

var ways = map[proxy.Derivation]string{proxy.DerivedPlain: "", proxy.DerivedTransformed: "~", proxy.DerivedAggregated: "+", proxy.DerivedPredicate: "?", proxy.DerivedMember: "."}

func columnsText(f *proxy.Facts) string {
	if !f.ColumnsKnown {
		return "not known"
	}
	var all []string
	for _, c := range f.Columns {
		var from []string
		for _, o := range c.Origins {
			from = append(from, ways[o.How]+o.Relation+"."+o.Column)
		}
		text := strings.Join(from, "+")
		switch {
		case c.Unsure:
			text += "!"
		case c.Opaque:
			text += "*"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestLineage(t *testing.T) {
	a := New(Config{Catalog: shop()})
	for _, c := range []struct{ text, want string }{
		{"SELECT ssn FROM people", "people.ssn"},
		{"SELECT * FROM people", "people.id people.name people.ssn"},
		{"SELECT p.*, 1 FROM people p", "people.id people.name people.ssn "},
		{"SELECT x.SSN FROM shop.People x", "people.ssn"},
		{"SELECT CONCAT(ssn, name) FROM people", "~people.ssn+~people.name"},
		{"SELECT UPPER(name) FROM people UNION SELECT 'x'", "~people.name"},
		{"SELECT name FROM people UNION ALL SELECT ssn FROM people", "people.name+people.ssn"},
		{"SELECT COUNT(ssn), MAX(ssn), COUNT(*) FROM people", "?people.ssn +people.ssn "},
		{"SELECT ssn = '1', ssn IS NULL, ssn LIKE 'x', NOT ssn FROM people", "?people.ssn ?people.ssn ?people.ssn ?people.ssn"},
		{"SELECT (SELECT ssn FROM people LIMIT 1), EXISTS (SELECT 1 FROM people WHERE ssn = 'x')", "people.ssn ?people.ssn"},
		{"SELECT name FROM (SELECT ssn AS name FROM people) people", "people.ssn"},
		{"WITH people AS (SELECT ssn AS name FROM people) SELECT name FROM people", "people.ssn"},
		{"WITH c (n) AS (SELECT ssn FROM people) SELECT n, c.n FROM c", "people.ssn people.ssn"},
		{"WITH RECURSIVE c (n, x) AS (SELECT 1, '' UNION ALL SELECT n + 1, ssn FROM c JOIN people ON id = n) SELECT x FROM c", "people.ssn"},
		{"SELECT a, b FROM v", "people.ssn people.name"},
		{"SELECT * FROM vv", "people.ssn"},
		{"SELECT x FROM loop1", "!"},
		{"SELECT x FROM blind", "!"},
		{"SELECT o.total, p.name FROM orders o JOIN people p ON p.id = o.person WHERE p.ssn = 'x'", "orders.total people.name"},
		{"SELECT * FROM orders JOIN people USING (id)", "orders.id+people.id orders.person orders.total people.name people.ssn"},
		{"SELECT * FROM orders RIGHT JOIN people USING (id)", "not known"},
		{"SELECT id FROM orders JOIN people USING (id)", "orders.id+people.id"},
		{"SELECT (SELECT total FROM orders WHERE person = p.id) FROM people p", "orders.total"},
		{"SELECT f(1), shop.g(ssn) FROM people", "* ~people.ssn*"},
		{"SELECT @x, @@version, @y := ssn FROM people", "  ~people.ssn"},
		{"TABLE people", "people.id people.name people.ssn"},
		{"VALUES ROW(1, 2)", " "},
		{"SELECT ssn INTO @x FROM people", ""},
		{"INSERT INTO people (id, name) VALUES (1, ' returning ') RETURNING ssn, CONCAT(name), 1", "people.ssn ~people.name "},
		{"DELETE FROM shop.people WHERE id = 1 RETURNING *", "people.id people.name people.ssn"},
		{"REPLACE INTO people (id) VALUES (1) RETURNING id AS returning_id", "people.id"},
	} {
		f := a.Analyze(context.Background(), []byte(c.text), &proxy.Reading{Dialect: Dialect, MariaDB: true, Version: 101106, Certain: true, BackslashLiterals: true, Names: proxy.Names{Path: "shop"}})
		require.Equal(t, c.want, columnsText(f), "%s (%s)", c.text, f.Unknown)
		require.False(t, f.Unsure, c.text)
	}
	for _, text := range []string{"SELECT x FROM nowhere", "SELECT nothing FROM people", "SELECT name FROM elsewhere.people"} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: Dialect, Names: proxy.Names{Path: "shop"}})
		require.True(t, f.Unsure, text)
	}
	f := a.Analyze(context.Background(), []byte("SELECT name FROM people"), &proxy.Reading{Dialect: Dialect, Names: proxy.Names{Path: "shop", Unsure: proxy.UnsurePath}})
	require.True(t, f.Unsure, "the current database is not known")
	f = New(Config{Catalog: held{}}).Analyze(context.Background(), []byte("SELECT name FROM people"), &proxy.Reading{Dialect: Dialect})
	require.True(t, f.Unsure, "the catalog could not be read")
	f = New(Config{Catalog: held{}}).Analyze(context.Background(), []byte("SELECT 1"), &proxy.Reading{Dialect: Dialect})
	require.False(t, f.Unsure)
	f = a.Analyze(context.Background(), []byte("SELECT @x"), &proxy.Reading{Dialect: Dialect, Names: proxy.Names{Path: "shop", Unsure: proxy.UnsureTemporary}})
	require.Equal(t, "!", columnsText(f))
}
