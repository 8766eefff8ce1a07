package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
	"github.com/sallyport/sallyport/proxy"
)

// What a definition names and the catalog does not know may be anything: so may what
// derives from it.
func TestDefinitionsOfWhatIsNotKnown(t *testing.T) {
	column := func(attr uint16, name string) sql.Column { return sql.Column{Attr: attr, Name: name} }
	computed := func(attr uint16, name, expression string) sql.Column {
		return sql.Column{Attr: attr, Name: name, Generated: expression}
	}
	s := sql.NewSnapshot(sql.Contents{Path: []string{"pg_catalog", "public"}, Relations: []*sql.Relation{
		{
			OID: 1, Schema: "public", Name: "p", Kind: sql.RelationTable,
			Columns: []sql.Column{
				column(1, "id"), column(2, "ssn"), computed(3, "loud", "upper(ssn)"), computed(4, "lost", "upper(renamed)"),
				computed(5, "compared", "(renamed = 'x'::text)"), computed(6, "half", "(ssn || renamed)"),
			},
		},
		{
			OID: 2, Schema: "public", Name: "v", Kind: sql.RelationView, Columns: []sql.Column{column(1, "id"), column(2, "s")},
			Definition: "SELECT p.id, moved.ssn AS s FROM public.p, public.moved",
		},
		{
			OID: 3, Schema: "public", Name: "vv", Kind: sql.RelationMaterialized, Columns: []sql.Column{column(1, "id"), column(2, "u"), column(3, "same"), column(4, "one")},
			Definition: "SELECT v.id, upper(v.s), v.s = 'x'::text, 1 FROM public.v",
		},
		{
			OID: 4, Schema: "public", Name: "w", Kind: sql.RelationView, Columns: []sql.Column{column(1, "s"), column(2, "l")},
			Definition: "SELECT p.renamed AS s, p.lost AS l FROM public.p",
		},
	}})
	Resolve(s)
	for _, c := range []struct{ relation, column, want string }{
		{"p", "ssn", "p.ssn"},
		{"p", "loud", "p.loud,p.ssn~"},
		{"p", "lost", "p.lost,..*,??"},
		{"p", "compared", "p.compared,..*?"},
		{"p", "half", "p.half,p.ssn~,..*,??"},
		{"v", "id", "p.id"},
		{"v", "s", "..*,??"},
		{"vv", "id", "p.id"},
		{"vv", "u", "..*~,..*,??"},
		{"vv", "same", "..*?,..*?"},
		{"vv", "one", ""},
		{"w", "l", "p.lost,..*,??"},
	} {
		source := s.Relation("public", c.relation).Column(c.column).Source
		require.Equal(t, c.want, originsOf(source), "%s.%s", c.relation, c.column)
		require.Equal(t, c.column, source.Name)
	}
	require.NotEqual(t, "", originsOf(s.Relation("public", "w").Column("s").Source))
}

// The parameters of a function in SQL are what its caller gives it: other names than those
// of columns, also with the function's. A column of such a name comes first.
func TestParametersOfFunctions(t *testing.T) {
	function := func(oid uint32, name, body string, v sql.Volatility) *sql.Function {
		return &sql.Function{OID: oid, Schema: "public", Name: name, Language: "sql", Volatility: v, Body: body}
	}
	s := sql.NewSnapshot(sql.Contents{
		Path: []string{"pg_catalog", "public"},
		Functions: []*sql.Function{
			function(10, "note_of", "SELECT note FROM p WHERE id = i", sql.Stable),
			function(11, "note_by", "SELECT p.note FROM p WHERE p.id = note_by.i AND p.ssn = key", sql.Volatile),
			function(12, "mixed", "SELECT note || suffix FROM p", sql.Stable),
			function(13, "column_first", "SELECT ssn FROM p WHERE id = 1", sql.Stable),
			function(14, "adds", "SELECT a + b", sql.Volatile),
			function(15, "other", "SELECT note FROM p WHERE id = elsewhere.i", sql.Stable),
			function(16, "nested", "SELECT x FROM (SELECT note AS x FROM p WHERE id = i) q", sql.Stable),
		},
		Relations: []*sql.Relation{{OID: 1, Schema: "public", Name: "p", Kind: sql.RelationTable, Columns: []sql.Column{{Attr: 1, Name: "id"}, {Attr: 2, Name: "note"}, {Attr: 3, Name: "ssn"}}}},
	})
	s.ID = 1
	Resolve(s)
	a := New(Config{Catalog: &fixedCatalog{snapshot: s}})
	for text, want := range map[string]string{
		"SELECT note_of(1)":              "p.note~,p.id?",
		"SELECT note_by(1, 'a')":         "p.note~,p.id?,p.ssn?",
		"SELECT mixed('a')":              "p.note~",
		"SELECT column_first('a')":       "p.ssn~,p.id?",
		"SELECT adds(1, 2)":              "",
		"SELECT other(1)":                "p.*~",
		"SELECT nested(1)":               "p.note~,p.id?",
		"SELECT adds(id, 2) FROM p":      "p.id~",
		"SELECT adds((p).ssn, 2) FROM p": "p.ssn~",
	} {
		f := a.Analyze(t.Context(), []byte(text), &proxy.Reading{Dialect: Dialect})
		require.Len(t, f.Columns, 1, text)
		require.Equal(t, want, originsOf(f.Columns[0]), text)
	}
}
