package masking_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// The results of several statements in one text, as simple clients and scripts send them,
// are each masked by what its own statement returns.
func TestEverydaySeveralStatements(t *testing.T) {
	g := startRig(t, schema, masking.Config{})
	for sql, want := range map[string]string{
		"SELECT n FROM generate_series(0, 2) n; SELECT 5":                                                     "0\n1\n2\n5",
		"SELECT 5; SELECT n FROM generate_series(0, 2) n":                                                     "5\n0\n1\n2",
		"BEGIN; SELECT x FROM (SELECT 7 AS x) x; COMMIT":                                                      "BEGIN\n7\nCOMMIT",
		"SELECT n FROM generate_series(0, 1) n WHERE n > 5; SELECT id FROM p WHERE id < 3 ORDER BY id":        "1\n2",
		"SET work_mem = '8MB'; ; SELECT id, name FROM p WHERE id = 1; SELECT name FROM p WHERE id = 2":        "SET\n1|Ann\nBob",
		"SELECT ssn FROM p WHERE id = 1; SELECT a FROM (SELECT id AS a FROM p) q WHERE a = 2":                 "***-**-****\n2",
		"SELECT upper(ssn) AS u FROM p WHERE id = 1; SELECT q.b + 1 FROM (SELECT id AS b FROM p) q LIMIT 1":   "********\n2",
		"DO $$BEGIN NULL; END$$; SELECT n FROM pg_catalog.generate_series(3, 4) n":                            "DO\n3\n4",
		"SELECT id AS ssn2, ssn_n AS z FROM p WHERE id = 1; SELECT ssn_n AS id FROM p WHERE id = 1; SELECT 1": "1|\n\n1",
	} {
		got, err := g.client(t, "psql", g.addr, "alice+orders", "", "-X", "-d", g.database, "-A", "-t", "-c", sql)
		require.NoError(t, err, got)
		require.Equal(t, want, strings.TrimRight(got, "\n"), sql)
	}
}

// Errors about values that are the statement's own, or no column's, are the server's.
func TestEverydayErrors(t *testing.T) {
	g := startRig(t, schema, masking.Config{})
	for sql, want := range map[string]string{
		"SELECT foo FROM regexp_split_to_table('some text', 'e', 'zippy') AS foo":   `invalid regular expression option: "z"`,
		"SELECT r FROM (SELECT 'x' || 'yz' AS v) r WHERE r.v::int = 1":              `invalid input syntax for type integer: "xyz"`,
		"SELECT n FROM generate_series(1, 2) n WHERE (n || 'q')::int = 0":           `invalid input syntax for type integer: "1q"`,
		"SELECT j FROM jsonb_array_elements('{\"a\": 1}'::jsonb) j":                 "cannot extract elements from an object",
		"SELECT q FROM p q WHERE substr(ssn, 1, 3)::date IS NULL":                   `"..."`,
		"SELECT q FROM p q WHERE (q::text)::int = 1":                                `"..."`,
		"SELECT r FROM (SELECT upper(ssn) || 'x' AS v FROM p) r WHERE r.v::int = 1": `"..."`,
	} {
		require.Contains(t, g.psql(t, "alice", sql), want, sql)
	}
}
