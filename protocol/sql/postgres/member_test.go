package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What builds JSON of values keeps them as members, by their keys; what takes a
// value apart does not.
func TestMembersOfJSON(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: namesSnapshot()}})
	for text, want := range map[string]string{
		"SELECT json_build_object('id', id, 'mail', x) FROM t":                                              "id@id x@mail",
		"SELECT pg_catalog.jsonb_build_object('a', upper(x), 'b', count(*)) FROM t GROUP BY x":              "x@a",
		"SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'mail', x)), '[]') FROM t":                  "id@id x@mail",
		"SELECT coalesce(json_agg(json_build_object('m', x) ORDER BY n), '[]'::json) FROM t":                "n? x@m",
		"SELECT json_agg(row_to_json((SELECT e FROM (SELECT r.id, r.x) e))) FROM (SELECT * FROM t) r":       "id@id x@x",
		"SELECT json_agg(r) FROM (SELECT id AS i, x AS mail FROM t) r":                                      "id@i x@mail",
		"SELECT to_jsonb(r) FROM (SELECT id AS i, x AS mail FROM t) r":                                      "id@i x@mail",
		"SELECT row_to_json(ROW(id, x)) FROM t":                                                             "id@f1 x@f2",
		"SELECT to_json(x) FROM t":                                                                          "x@",
		"SELECT json_agg(x) FROM t":                                                                         "x@",
		"SELECT jsonb_build_array(id, x) FROM t":                                                            "id@ x@",
		"SELECT jsonb_build_object('a', to_jsonb(x)) FROM t":                                                "x@a",
		"SELECT jsonb_build_object('a', jsonb_build_object('b', x))::jsonb FROM t":                          "x@b",
		"SELECT json_strip_nulls(json_build_object('a', x)) FROM t":                                         "x@a",
		"SELECT (SELECT json_agg(json_build_object('a', u.x)) FROM u WHERE u.id = t.id) FROM t":             "u.x@a",
		"SELECT row_to_json(t) FROM t":                                                                      "id@id x@x n@n",
		"SELECT json_build_object('a', x)::text FROM t":                                                     "x~",
		"SELECT json_build_object('a', x)->>'a' FROM t":                                                     "x~",
		"SELECT upper(json_build_object('a', x)::text) FROM t":                                              "x~",
		"SELECT md5(json_agg(x)::text) FROM t":                                                              "x~",
		"SELECT json_build_object(n, x) FROM t":                                                             "n~ x~",
		`SELECT json_build_object('a"b', x) FROM t`:                                                         "x~",
		"SELECT json_object_agg(n, x) FROM t":                                                               "n# x#",
		"SELECT json_build_object(VARIADIC ARRAY['a', x]) FROM t":                                           "x~",
		"SELECT public.json_build_object('a', x) FROM t":                                                    "x~ *",
		"SELECT json_build_object('a', x IS NULL) FROM t":                                                   "x@a",
		"CREATE FUNCTION json_agg(text) RETURNS text LANGUAGE sql AS 'SELECT 1'; SELECT json_agg(x) FROM t": "x# ??",
	} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		if len(f.Parts) > 0 {
			f = f.Parts[len(f.Parts)-1]
		}
		require.True(t, f.ColumnsKnown, text)
		require.Len(t, f.Columns, 1, text)
		got := ""
		for _, o := range f.Columns[0].Origins {
			name := o.Column
			if o.Relation != "t" {
				name = o.Relation + "." + name
			}
			if o.Column == "*" {
				name = "*"
			}
			mark := map[proxy.Derivation]string{proxy.DerivedTransformed: "~", proxy.DerivedAggregated: "#", proxy.DerivedPredicate: "?", proxy.DerivedMember: "@" + o.Key}[o.How]
			if name == "*" {
				mark = "*"
			}
			got += " " + name + mark
		}
		switch c := f.Columns[0]; {
		case c.Unsure:
			got += " ??"
		case c.Opaque:
			got += " *"
		}
		require.Equal(t, " "+want, got, text)
	}
}
