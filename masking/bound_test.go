package masking_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// Settings that a client sends as parameters, as PostgREST does for each request, mean what
// they mean as literals: what is masked stays so, and everything else is shown.
func TestSettingsAsParameters(t *testing.T) {
	rule := masking.Config{Rules: []masking.Rule{{Name: "vault", Columns: []string{"public.p.vault", "second.customers.label"}, Mode: masking.Strict}}}
	g := startRig(t, certainSchema+"CREATE TABLE second.p (id int, vault text); INSERT INTO second.p VALUES (1, 'plain');", rule)
	const settings = `select set_config('search_path', $1, true), set_config($2, $3, true), set_config('request.jwt.claims', $4, true), set_config('request.method', 'GET', true)`
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeDescribeExec} {
		c := g.connect(t, "alice")
		for range 2 {
			for _, x := range []struct {
				path           string
				query          string
				want           string
				masked, refuse bool
			}{
				{path: "public", query: "SELECT label FROM customers WHERE id = 1", want: "first"},
				{path: "public", query: "SELECT upper(label) FROM customers WHERE id = 1", want: "FIRST"},
				{path: "second, public", query: "SELECT label FROM customers WHERE id = 1", masked: true},
				{path: "second, public", query: "SELECT upper(label) FROM customers WHERE id = 1", refuse: true},
				{path: "second", query: "SELECT upper(vault) FROM p WHERE vault = 'plain'", want: "PLAIN"},
				{path: "public, second", query: "SELECT vault FROM p WHERE id = 1", masked: true},
				{path: "public, second", query: "SELECT id::text FROM p WHERE vault LIKE 'secret%'", refuse: true},
			} {
				tx, err := c.Begin(t.Context())
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), settings, mode, x.path, "request.path", "/customers", `{"role": "web_anon"}`)
				require.NoError(t, err)
				var got *string
				err = tx.QueryRow(t.Context(), x.query, mode).Scan(&got)
				switch {
				case x.refuse:
					require.ErrorContains(t, err, "is masked and may not be", "%s in %s", x.query, x.path)
				case x.masked:
					require.NoError(t, err, x.query)
					require.True(t, got == nil || *got != "secret-one" && *got != "secret-three", x.query)
				default:
					require.NoError(t, err, x.query)
					require.Equal(t, x.want, *got, "%s in %s", x.query, x.path)
				}
				require.NoError(t, tx.Rollback(t.Context()))
				require.NoError(t, c.QueryRow(t.Context(), "SELECT label FROM customers WHERE id = 1").Scan(&got), "the path is local")
				require.Equal(t, "first", *got)
			}
		}
	}

	// What is cut off on its way is not what is believed.
	for _, text := range []string{
		"SET search_path = second; SELECT set_config('search_path', 'public_'::varchar(6), false); SELECT upper(vault) FROM p;\n",
		"SET search_path = second; SELECT set_config('search_path', 'publicx'::char(6), false); SELECT upper(vault) FROM p;\n",
	} {
		require.NotContains(t, g.psql(t, "alice", text, "-At"), "SECRET", text)
	}
}
