package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// showCompared writes what a text compares its literals and parameters with: == of the
// column itself for equality, ~ in any other way.
func showCompared(a *Analyzer, text string) string {
	r := &proxy.Reading{}
	f := a.Fills(context.Background(), []byte(text), r)
	literals := a.Literals(nil, []byte(text), r)
	var all []string
	for _, c := range f.Compared {
		how := " ~ "
		if c.Equal {
			how = " == "
		}
		for _, v := range c.Values {
			s := source(v, literals)
			if v.Changed {
				s = "changed " + s
			}
			if v.Elements {
				s = "elements of " + s
			}
			all = append(all, c.Relation+"."+c.Column+how+s)
		}
	}
	return strings.Join(all, "; ")
}

func TestCompared(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: fillSnapshot()}})
	for text, want := range map[string]string{
		"SELECT id FROM p WHERE email = 'a'":                                 "p.email == a",
		"SELECT id FROM p WHERE $1 <> email":                                 "p.email == $1",
		"SELECT id FROM p WHERE email IN ('a', $1)":                          "p.email == a; p.email == $1",
		"SELECT id FROM p WHERE email = ANY($1)":                             "p.email == elements of $1",
		"SELECT id FROM p WHERE email = ANY(ARRAY['a'])":                     "p.email == a",
		"SELECT id FROM p WHERE email = ANY($1::text[])":                     "p.email == elements of $1",
		"SELECT id FROM p WHERE email = $1::text":                            "p.email == $1",
		"SELECT id FROM p WHERE email = $1::char(3)":                         "p.email == changed $1",
		"SELECT id FROM p WHERE email = lower($1)":                           "p.email == changed part of $1",
		"SELECT id FROM p WHERE lower(email) = 'a'":                          "p.email ~ a",
		"SELECT id FROM p WHERE email LIKE 'a%'":                             "p.email ~ a%",
		"SELECT id FROM p WHERE email BETWEEN 'a' AND 'b'":                   "p.email ~ a; p.email ~ b",
		"SELECT id FROM p WHERE email IS DISTINCT FROM 'a'":                  "p.email == a",
		"SELECT id FROM v JOIN q ON v.address = 'a' AND q.note > 'b'":        "p.email == a; q.note ~ b",
		"SELECT id FROM p WHERE email IN (SELECT unnest($1::text[]))":        "p.email == elements of $1",
		"SELECT id FROM p WHERE email IN (VALUES ('a'), ('b'))":              "p.email == a; p.email == b",
		"UPDATE p SET note = 'x' WHERE email = 'a'":                          "p.email == a",
		"DELETE FROM p USING (VALUES ('a')) d(e) WHERE p.email = d.e":        "p.email == a",
		"SELECT CASE WHEN email = 'a' THEN 1 END FROM p ORDER BY note = 'b'": "p.email == a; p.note == b",
		"SELECT id FROM p GROUP BY id HAVING max(email) = 'a'":               "p.email ~ a",
		"COPY (SELECT id FROM p WHERE email = 'a') TO STDOUT":                "p.email == a",
		"DECLARE c CURSOR FOR SELECT id FROM p WHERE email = 'a'":            "p.email == a",
		"CREATE TABLE x AS SELECT id FROM p WHERE email = 'a'":               "p.email == a",
		"MERGE INTO p USING q ON p.email = 'a' WHEN MATCHED THEN DELETE":     "p.email == a",
		"EXPLAIN SELECT id FROM p WHERE email = 'a'":                         "p.email == a",
		"SELECT email FROM p EXCEPT SELECT 'a'":                              "p.email == a",
		"SELECT email FROM p INTERSECT VALUES ('a')":                         "p.email == a",
		"SELECT email FROM p UNION SELECT 'a'":                               "",
		"SELECT 1 FROM p JOIN (VALUES ('a')) v(email) USING (email)":         "p.email == a",
		"SELECT 1 FROM p NATURAL JOIN (VALUES ('a')) v(email)":               "p.email == a",
		"SELECT CASE email WHEN 'a' THEN 1 END FROM p":                       "p.email == a",
		"SELECT id FROM p WHERE starts_with(email, 'a')":                     "p.email ~ a",
		"SELECT id FROM p GROUP BY id HAVING count(email) > 5":               "",
		"SELECT concat(email, 'a') FROM p WHERE length(note) > 3":            "",
		"SELECT 'a' = 'b', id FROM p WHERE note IS NULL":                     "",
	} {
		require.Equal(t, want, showCompared(a, text), text)
	}
}

// What a COPY of a change's rows fills is found, too.
func TestFillsInCopies(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: fillSnapshot()}})
	require.Equal(t, "p.email <= a", show(t, a, "COPY (UPDATE p SET email = 'a' RETURNING id) TO STDOUT"))
	require.Equal(t, "p.id <- 1; p.email <- a", show(t, a, "COPY (INSERT INTO p (id, email) VALUES (1, 'a') RETURNING id) TO STDOUT"))
}
