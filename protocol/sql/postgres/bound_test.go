package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// With the values of its parameters a statement does what it does with literals in their
// place. Where they are not certain, it may do anything.
func TestBound(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: namesSnapshot()}})
	text := func(values ...string) (args []proxy.Arg) {
		for _, v := range values {
			args = append(args, proxy.Arg{Value: []byte(v)})
		}
		return args
	}
	one := func(value string, typ uint32, binary bool) []proxy.Arg {
		return []proxy.Arg{{Value: []byte(value), Type: typ, Binary: binary}}
	}
	for _, c := range []struct {
		text string
		args []proxy.Arg
		same string // the literal form
	}{
		{"SELECT set_config('search_path', $1, true)", text("other"), "SELECT set_config('search_path', 'other', true)"},
		{"SELECT set_config('search_path', $1::text, true)", one("other", typeUnknown, true), "SELECT set_config('search_path', 'other', true)"},
		{"SELECT set_config('search_path', $1, true)", one("other", typeText, true), "SELECT set_config('search_path', 'other', true)"},
		{"SELECT set_config('search_path', ($1)::pg_catalog.varchar, false)", one("other, public", typeVarchar, false), "SELECT set_config('search_path', 'other, public', false)"},
		{"SELECT pg_catalog.set_config('search_path', $1, true)", text(""), "SELECT pg_catalog.set_config('search_path', '', true)"},
		{"SELECT set_config('search_path', $1, true)", text(`"Odd", pg_temp`), `SELECT set_config('search_path', '"Odd", pg_temp', true)`},
		{"SELECT set_config($1, $2, $3)", text("search_path", "other", "true"), "SELECT set_config('search_path', 'other', true)"},
		{"SELECT set_config($1, $2, $3)", append(text("search_path", "other"), proxy.Arg{Value: []byte{1}, Type: typeBool, Binary: true}), "SELECT set_config('search_path', 'other', true)"},
		{"SELECT set_config($1, $2, $3::bool)", append(text("search_path", "other"), proxy.Arg{Value: []byte("f"), Type: typeBool}), "SELECT set_config('search_path', 'other', false)"},
		{"SELECT set_config('role', $1, true)", text("none"), "SELECT set_config('role', 'none', true)"},
		{"SELECT set_config('role', $1, true)", text("web_anon"), "SELECT set_config('role', 'web_anon', true)"},
		{"SELECT set_config('transaction_read_only', $1, true)", text("on"), "SELECT set_config('transaction_read_only', 'on', true)"},
		{"SELECT set_config($1, 'x', true)", text("Session_Authorization"), "SELECT set_config('session_authorization', 'x', true)"},
		{
			"select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true), set_config($4, $5, true)",
			text("other, public", "web_anon", `{"role": "web_anon", "who": "é"}`, "request.method", "GET"),
			`select set_config('search_path', 'other, public', true), set_config('role', 'web_anon', true), set_config('request.jwt.claims', '{"role": "web_anon", "who": "é"}', true), set_config('request.method', 'GET', true)`,
		},
	} {
		r := &proxy.Reading{Dialect: Dialect}
		bound, literal := *a.Bound(context.Background(), []byte(c.text), r, c.args), *a.Analyze(context.Background(), []byte(c.same), r)
		bound.Normalised, bound.Fingerprint = literal.Normalised, literal.Fingerprint
		require.Equal(t, literal, bound, c.text)
		before := a.Analyze(context.Background(), []byte(c.text), r)
		require.NotNil(t, before.Unbound, c.text)
		require.Empty(t, before.Unbound.Unknown, c.text)
		require.Zero(t, before.Unbound.Effects&proxy.EffectRole, c.text)
		require.Equal(t, before.Fingerprint, before.Unbound.Fingerprint)
	}
	for _, c := range []struct {
		text string
		args []proxy.Arg
	}{
		{"SELECT set_config('search_path', $1, true)", nil},
		{"SELECT set_config('search_path', $2, true)", text("other")},
		{"SELECT set_config('search_path', $1, true)", []proxy.Arg{{}}},                           // NULL
		{"SELECT set_config('search_path', $1, true)", one("other", 19, false)},                   // a name is cut off
		{"SELECT set_config('search_path', $1, true)", one("other", 1042, false)},                 // spaces go
		{"SELECT set_config('search_path', $1, true)", one("\xff", 0, false)},                     // not UTF-8
		{"SELECT set_config('search_path', $1, true)", one("other\x00", 0, true)},                 // not a text
		{"SELECT set_config('search_path', $1, true)", one("\x00\x00\x00\x05", 23, true)},         // another type
		{"SELECT set_config('search_path', $1, true), $1::char(3)", text("other")},                // of a type that another place decides
		{"SELECT $01::name, set_config('search_path', $1, true)", text("other")},                  // the same
		{"SELECT set_config('search_path', $1::varchar(3), true)", text("other")},                 // cut off
		{"SELECT set_config('search_path', $1::name, true)", text("other")},                       //
		{"SELECT set_config('search_path', $1::bool::text, true)", text("yes")},                   // written anew
		{"SELECT set_config('search_path', lower($1), true)", text("other")},                      // computed
		{"SELECT set_config('search_path', $1 || $2, true)", text("ot", "her")},                   //
		{"SELECT set_config('search_path', 'other'::varchar(3), true)", nil},                      // literals too
		{"SELECT set_config('search_path', 'other'::name, true)", nil},                            //
		{"SELECT set_config('search_path', CAST('other' AS char(3)), true)", nil},                 //
		{"SELECT set_config('search_path', 'yes'::bool::text, true)", nil},                        //
		{"SELECT set_config('search_path', (SELECT set_config('x', $1, true)), true)", text("x")}, // inside of another
		{"PREPARE p AS SELECT set_config('search_path', $1, true)", text("other")},                // whose parameters are not these
		{`SELECT set_config('search_path', $1, true), '\'' AS ambiguous`, text("other")},          //
		{"SELECT set_config('search_path', $1, true) FROM t", text("other")},                      // for no row, or several
		{"SELECT set_config('search_path', $1, true), generate_series(1, 0)", text("other")},      //
		{"SELECT set_config('search_path', $1, $2)", text("other", "yes")},                        // local or not
		{"SELECT CASE WHEN true THEN set_config('search_path', $1, true) END", text("other")},     //
		{"SELECT set_config($1, 'other', true)", one("search_path", 19, false)},                   //
	} {
		f := a.Bound(context.Background(), []byte(c.text), &proxy.Reading{Dialect: Dialect}, c.args)
		changes := f.Renames
		require.True(t, len(changes) == 1 && changes[0].Kind == proxy.NameAnything || f.Unknown != "" || f.Prepares != nil && f.Prepares.Facts.Unknown != "", "%s: %+v", c.text, changes)
	}
	plain := a.Analyze(context.Background(), []byte("SELECT x FROM t WHERE id = $1"), &proxy.Reading{})
	require.Nil(t, plain.Unbound)
	require.Same(t, plain, a.Bound(context.Background(), []byte("SELECT x FROM t WHERE id = $1"), &proxy.Reading{}, text("7")))
}
