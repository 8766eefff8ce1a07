package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/sql"
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
