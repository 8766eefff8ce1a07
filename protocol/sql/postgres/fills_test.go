package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// fillSnapshot has a table, a view of it with other names, and a part of it.
func fillSnapshot() *sql.Snapshot {
	table := func(oid uint32, name string) *sql.Relation {
		return &sql.Relation{OID: oid, Schema: "public", Name: name, Kind: sql.RelationTable, Columns: []sql.Column{
			{Attr: 1, Name: "id", Type: 23}, {Attr: 2, Name: "email", Type: 25}, {Attr: 3, Name: "note", Type: 25},
		}}
	}
	s := sql.NewSnapshot(sql.Contents{Path: []string{"public"}, Relations: []*sql.Relation{
		table(1, "p"), table(2, "q"),
		{OID: 3, Schema: "public", Name: "v", Kind: sql.RelationView, Definition: "SELECT id AS number, email AS address FROM public.p", Columns: []sql.Column{
			{Attr: 1, Name: "number", Type: 23}, {Attr: 2, Name: "address", Type: 25},
		}},
	}})
	Resolve(s)
	s.ID = 7
	return s
}

// show writes what a text fills, literals by their values.
func show(t *testing.T, a *Analyzer, text string) string {
	t.Helper()
	r := &proxy.Reading{}
	f := a.Fills(context.Background(), []byte(text), r)
	literals := a.Literals(nil, []byte(text), r)
	var all []string
	for _, c := range f.Columns {
		var from []string
		for _, v := range c.Values {
			from = append(from, source(v, literals))
		}
		if len(from) == 0 && !c.Opaque {
			continue
		}
		how := " <- "
		if c.Over {
			how = " <= "
		}
		if c.Opaque {
			how += "any "
		}
		line := c.Relation + "." + c.Column + how + strings.Join(from, ", ")
		for _, b := range c.Bases {
			line += " (" + b.Relation + "." + b.Column + ")"
		}
		all = append(all, line)
	}
	for _, s := range f.Called {
		all = append(all, "called with "+source(s, literals))
	}
	if f.Unknown != "" {
		all = append(all, "? "+f.Unknown)
	}
	return strings.Join(all, "; ")
}

func source(v proxy.Source, literals [][]byte) (s string) {
	switch v.Kind {
	case proxy.SourceLiteral:
		s = string(literals[v.N])
	case proxy.SourceParam:
		s = fmt.Sprintf("$%d", v.N+1)
	case proxy.SourceNull:
		s = "NULL"
	case proxy.SourceField:
		s = fmt.Sprintf("field %d", v.N)
	}
	if v.Skipped {
		s += " unless NULL"
	}
	if v.Part {
		s = "part of " + s
	}
	return s
}

func TestFills(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: fillSnapshot()}})
	for text, want := range map[string]string{
		"UPDATE p SET email = 'a' WHERE note = 'b'":                                                            "p.email <= a",
		"UPDATE p SET email = $2, note = NULL WHERE id = $1":                                                   "p.email <= $2; p.note <= NULL",
		"UPDATE p SET email = E'it''s\\x21', note = $q$it's$q$":                                                "p.email <= it's!; p.note <= it's",
		"UPDATE p SET email = U&'\\0041' 'B', note = $1::text":                                                 "? its literals cannot be told apart",
		"UPDATE p SET email = 'a'\n 'b'":                                                                       "p.email <= ab",
		"UPDATE p SET (email, note) = ($1, 'x')":                                                               "p.email <= $1; p.note <= x",
		"UPDATE p SET (email, note) = (SELECT $1, 'x')":                                                        "p.email <= $1; p.note <= x",
		"UPDATE p SET email = coalesce($1, email), note = nullif($2, '')":                                      "p.email <= $1 unless NULL; p.note <= $2",
		"UPDATE p SET email = CASE WHEN note = '*' THEN $1 ELSE email END":                                     "p.email <= $1",
		"UPDATE p SET email = 'a' || '@b', id = id + 5":                                                        "p.id <= part of 5; p.email <= part of a, part of @b",
		"UPDATE p SET email = lower(trim($1))":                                                                 "p.email <= part of $1",
		"UPDATE p x SET email = d.e FROM (VALUES ('a', 1), ('b', 2)) d(e, i)":                                  "p.email <= a, b",
		"UPDATE p SET email = d.e FROM unnest($1::text[], $2::int[]) AS d(e, i)":                               "p.email <= $1, $2",
		"WITH d AS (SELECT 'a'::text AS e) UPDATE p SET email = e FROM d":                                      "p.email <= a",
		"WITH d AS (UPDATE q SET note = 'n' RETURNING id) SELECT * FROM d":                                     "q.note <= n",
		"INSERT INTO p VALUES (1, 'a', 'b'), (2, 'c', DEFAULT)":                                                "p.id <- 1, 2; p.email <- a, c; p.note <- b",
		"INSERT INTO p (note, id) VALUES ($1, 2)":                                                              "p.id <- 2; p.note <- $1",
		"INSERT INTO p (id, email) SELECT 1, $1 FROM q WHERE note = 'x'":                                       "p.id <- 1; p.email <- $1",
		"INSERT INTO p (id, email) SELECT 1, 'a' UNION ALL SELECT 2, 'b'":                                      "p.id <- 1, 2; p.email <- a, b",
		"INSERT INTO p (id, email) VALUES (1, 'a') ON CONFLICT DO NOTHING":                                     "p.id <- 1; p.email <- a",
		"INSERT INTO p VALUES (1, 'a', 'b') ON CONFLICT (id) DO UPDATE SET email = excluded.email, note = 'c'": "p.id <- 1; p.email <- a; p.email <= a; p.note <- b; p.note <= c",
		"MERGE INTO p USING (VALUES (1, 'a')) s(i, e) ON p.id = s.i WHEN MATCHED THEN UPDATE SET email = s.e WHEN NOT MATCHED THEN INSERT (id, note) VALUES (s.i, 'n')": "p.id <- 1; p.email <= a; p.note <- n",
		"UPDATE v SET address = 'a' WHERE number = 1":            "v.address <= a (p.email)",
		"COPY p FROM STDIN":                                      "p.id <- field 0; p.email <- field 1; p.note <- field 2",
		"COPY p (note, email) FROM STDIN (FORMAT csv, NULL 'x')": "p.note <- field 0; p.email <- field 1",
		"PREPARE s AS UPDATE p SET email = $1, note = 'x'":       "p.email <= $1; p.note <= x",
		"EXPLAIN ANALYZE UPDATE p SET email = 'a'":               "p.email <= a",
		"UPDATE p SET note = 'a'; UPDATE q SET note = 'b'":       "p.note <= a; q.note <= b",
		"SELECT lo_put(5, 0, 'a')":                               "pg_largeobject.data <= 5, 0, a",
		"SELECT set_email(1, $1) FROM p WHERE note = 'x'":        "called with 1; called with $1",
		"CALL set_email(1, 'a')":                                 "called with 1; called with a",
		"SELECT * FROM p WHERE email = '****'":                   "",
		"DELETE FROM p WHERE email = '****'":                     "",
		"UPDATE gone SET email = 'a'":                            "gone.email <= a",
		"UPDATE p SET email = DEFAULT":                           "",
		"UPDATE p SET email = 'a' WHERE 1union = 2":              "? it does not parse",
		"DO $$ BEGIN UPDATE p SET email = 'a'; END $$":           "? the gateway does not know what a DO block does: a BEGIN is missing",
	} {
		require.Equal(t, want, show(t, a, text), text)
		require.Equal(t, want, show(t, a, text), "from the cache: "+text)
	}
	// Texts that differ in their literals only share what they fill.
	r := &proxy.Reading{}
	require.Same(t, a.Fills(context.Background(), []byte("UPDATE p SET email = 'a'"), r), a.Fills(context.Background(), []byte("UPDATE p SET email = 'bb'"), r))
	f := a.Fills(context.Background(), []byte("EXECUTE s('a', NULL)"), r)
	require.Equal(t, []proxy.Source{{Kind: proxy.SourceLiteral}, {Kind: proxy.SourceNull}}, f.Arguments)
}

// An INSERT of many rows costs time that grows with them, not with their square.
func TestFillsOfManyRows(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: fillSnapshot()}})
	const rows = 15000
	text := []byte("INSERT INTO p VALUES " + strings.TrimSuffix(strings.Repeat("(1, 'a', 'b'),", rows), ","))
	f := a.Fills(context.Background(), text, &proxy.Reading{})
	require.Empty(t, f.Unknown)
	require.Len(t, f.Columns, 3)
	require.False(t, f.Columns[1].Opaque)
	require.Len(t, f.Columns[1].Values, rows)
	require.Len(t, a.Literals(nil, text, &proxy.Reading{}), 3*rows)
}
