package masking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// JSON that is built of columns is masked member by member, as the columns are; JSON of
// masked values in another form is masked whole.
func TestMembersOfJSON(t *testing.T) {
	g := startRig(t, certainSchema, masking.Config{Rules: []masking.Rule{{Name: "vault", Columns: []string{"p.vault"}}}})
	for _, c := range []struct{ sql, want string }{
		{"SELECT json_build_object('id', id, 'email', email) FROM customers ORDER BY id LIMIT 1", `{"id" : 1, "email" : "a**@*******.com"}`},
		{"SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'to', email) ORDER BY id), '[]') FROM customers", `[{"id": 1, "to": "a**@*******.com"}, {"id": 2, "to": "b**@*******.org"}]`},
		{"SELECT json_agg(row_to_json((SELECT e FROM (SELECT r.id, r.email) e))) FROM (SELECT * FROM customers ORDER BY id LIMIT 1) r", `[{"id":1,"email":"a**@*******.com"}]`},
		{"SELECT json_build_object('n', label, 'hidden', vault) FROM p ORDER BY id LIMIT 1", `{"n" : "first", "hidden" : "******-***"}`},
		{"SELECT jsonb_build_object('a', jsonb_build_object('hidden', vault, 'n', id)) FROM p ORDER BY id LIMIT 1", `{"a": {"n": 1, "hidden": "******-***"}}`},
		{"SELECT to_jsonb(q) FROM (SELECT id, vault AS x FROM p ORDER BY id LIMIT 1) q", `{"x": "******-***", "id": 1}`},
		{"SELECT json_agg(vault ORDER BY id) FROM p", `["******-***", "******-***"]`},
		{"SELECT to_json(vault) FROM p WHERE id = 1", `"******-***"`},
		{"SELECT json_build_array(id, vault, label) FROM p WHERE id = 1", `[null, "******-***", "*****"]`},
		{"SELECT row_to_json(ROW(id, vault)) FROM p WHERE id = 1", `{"f1":1,"f2":"******-***"}`},
		{"SELECT json_build_object('id', id, 'has', vault IS NOT NULL) FROM p WHERE id = 1", `{"id" : 1, "has" : true}`},
		{"SELECT json_build_object('id', c.id, 'parts', (SELECT json_agg(json_build_object('x', p.vault) ORDER BY p.id) FROM p WHERE p.id = c.id)) FROM customers c WHERE c.id = 1", `{"id" : 1, "parts" : [{"x" : "******-***"}]}`},
		{"SELECT json_build_object('card', c7, 'label', label) FROM anon WHERE id = 1", `{"card" : "****************", "label" : "label 1"}`},
		{"SELECT json_build_object('card', substr(c7, 1, 6), 'label', label) FROM anon WHERE id = 1", `{"card" : "******", "label" : "label 1"}`},
		{"SELECT json_build_object('x', vault)->>'x' FROM p WHERE id = 1", "********"},
		{"SELECT left(json_build_object('x', vault)::text, 12) FROM p WHERE id = 1", "********"},
		{"SELECT json_object_agg(id, vault) FROM p", ""},
	} {
		out := g.psql(t, "alice", c.sql+";\n", "-A", "-t")
		require.NotRegexp(t, `secret|ann@|bob@|411111`, out, c.sql)
		require.Equal(t, c.want+"\n", out, c.sql)
	}
	conn := g.connect(t, "alice") // in binary
	for _, typ := range []string{"json", "jsonb"} {
		var m struct {
			ID    int
			Email string
		}
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT "+typ+"_build_object('id', id, 'email', email) FROM customers WHERE id = 1").Scan(&m))
		require.Equal(t, "a**@*******.com", m.Email)
		require.Equal(t, 1, m.ID)
	}
}
