package masking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestExplain: a dry session says of each column that is masked what is done with it and
// why, also of every statement of a text and of a COPY, and of others nothing.
func TestExplain(t *testing.T) {
	m, err := masking.New(masking.Config{Rules: []masking.Rule{{Name: "notes", Columns: []string{"t.remark"}, With: masking.Redact}}})
	require.NoError(t, err)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{letIn{}, m}, Unrecorded: true}
	id, res := proxytest.Identity, proxytest.Resource

	column := func(name string, how proxy.Derivation, bases ...string) proxy.Column {
		c := proxy.Column{Name: name}
		for _, b := range bases {
			c.Origins = append(c.Origins, proxy.Origin{Schema: "public", Relation: "t", Column: b, How: how})
		}
		return c
	}
	returns := func(columns ...proxy.Column) *proxy.Facts {
		return &proxy.Facts{Effects: proxy.EffectRead, Statements: 1, Rows: true, ColumnsKnown: true, Columns: columns}
	}
	ssn, remark := column("ssn", proxy.DerivedPlain, "ssn"), column("r", proxy.DerivedPlain, "remark")
	upper, city := column("u", proxy.DerivedTransformed, "ssn"), column("city", proxy.DerivedPlain, "city")
	isSSN := `column "ssn" is masked (US_SSN, partial): its name says what it holds`
	isUpper := `column "u" is hidden: it is computed from a masked column, or hangs on one`
	for text, c := range map[string]struct {
		facts *proxy.Facts
		want  []string
	}{
		"SELECT ssn, remark AS r, upper(ssn) AS u, city FROM t": {returns(ssn, remark, upper, city), []string{isSSN, `column "r" is masked (COLUMN, redact): a rule is about it`, isUpper}},
		"SELECT city FROM t": {returns(city), nil},
		"SELECT city FROM t; SELECT upper(ssn) AS u FROM t": {&proxy.Facts{Effects: proxy.EffectRead, Statements: 2, Rows: true, Parts: []*proxy.Facts{returns(city), returns(upper)}}, []string{isUpper}},
		"COPY (SELECT ssn, city FROM t) TO STDOUT":          {&proxy.Facts{Effects: proxy.EffectRead, Statements: 1, Copy: &proxy.CopyFacts{Out: true, Columns: []proxy.Column{ssn, city}}}, []string{isSSN}},
		"SELECT a FROM x": {returns(proxy.Column{Name: "a", Opaque: true, Unsure: true}), []string{`column "a" is hidden: it is not certain what its names mean to the session`}},
		"TABLE x":         {&proxy.Facts{Effects: proxy.EffectRead, Statements: 1, Rows: true}, []string{"which columns it returns is not known before it runs"}},
		"DELETE FROM t":   {&proxy.Facts{Effects: proxy.EffectDelete, Statements: 1}, nil},
	} {
		s, _, err := g.Open(t.Context(), proxy.OpenRequest{Identity: &id, Target: proxy.Target{Resource: &res}, Protocol: "postgres", Dry: true})
		require.NoError(t, err)
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Facts: c.facts}
		require.False(t, s.Ask(t.Context(), op).Refuses(), text)
		var got []string
		for _, n := range s.Notes() {
			if n.Kind == proxy.NoteColumn {
				require.Equal(t, "masking", n.By)
				got = append(got, n.Text)
			}
		}
		require.Equal(t, c.want, got, text)
		s.Close(nil)
	}
}
