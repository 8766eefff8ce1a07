package masking_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// TestComputedFromWhatNoNameTells: columns whose names say nothing and whose
// values do, in pieces, reversed, through views and copies, and what may pass.
func TestComputedFromWhatNoNameTells(t *testing.T) {
	g := startRig(t, `
CREATE TABLE x (id int, v text, w bigint, label text);
INSERT INTO x SELECT i, '4111111111111111', 4111111111111111, 'number ' || i FROM generate_series(1, 40) i;
CREATE VIEW y AS SELECT id, substr(v, 1, 8) AS part, label FROM x;
CREATE TABLE few (v text); INSERT INTO few VALUES ('4111111111111111');
CREATE TABLE plain (v text, n int); INSERT INTO plain SELECT 'lamp ' || i, i FROM generate_series(1, 40) i`,
		masking.Config{})
	for text, want := range map[string]bool{
		"SELECT substr(v, 1, 8) FROM x LIMIT 2":                             false,
		"SELECT substr(v, 1, 8) FROM few":                                   false,
		"SELECT reverse(v), v || 'a' FROM x LIMIT 2":                        false,
		"SELECT (w / 10000000)::text FROM x LIMIT 2":                        false,
		"SELECT part FROM y LIMIT 2":                                        false,
		"WITH c AS (SELECT left(v, 9) AS h FROM x) SELECT h FROM c LIMIT 2": false,
		"COPY (SELECT substr(v, 1, 8) AS a FROM x LIMIT 2) TO STDOUT":       false,
		"PREPARE s AS SELECT substr(v, 1, 8) FROM x LIMIT 2; EXECUTE s":     false,
		"SELECT string_agg(substr(v, 1, 8), ' ') FROM x":                    false,
		"SELECT upper(label) FROM x WHERE id = 7":                           true,
		"SELECT count(v) AS n, 'NUMBER 7' FROM x":                           true,
		"SELECT upper(label) FROM y WHERE id = 7":                           true,
		"SELECT upper(v) || ' NUMBER 7' FROM plain LIMIT 1":                 true,
		"SELECT 'NUMBER ' || sum(n) - 813 FROM plain":                       true,
		"COPY (SELECT upper(label) AS a FROM x WHERE id = 7) TO STDOUT":     true,
	} {
		out := g.psql(t, "alice", text, "-At")
		require.NotContains(t, out, "ERROR", text)
		require.NotContains(t, out, "4111", text)
		require.NotContains(t, out, "1111111", text)
		if want {
			require.Contains(t, out, "NUMBER 7", text)
		} else {
			require.Contains(t, out, strings.Repeat("*", 8), text)
		}
	}
	// Numbers that only count what is masked are shown.
	require.Equal(t, "40\n", g.psql(t, "alice", "SELECT count(v) FROM x", "-At"))
}

// TestNotSampled: what cannot be looked at is masked where it is computed with.
func TestNotSampled(t *testing.T) {
	g := startRig(t, "CREATE TABLE plain (v text); INSERT INTO plain VALUES ('lamp')", masking.Config{Sampler: unable{}})
	require.Equal(t, "********\n", g.psql(t, "alice", "SELECT upper(v) FROM plain", "-At"))
	require.Equal(t, "lamp\n", g.psql(t, "alice", "SELECT v FROM plain", "-At"))
}

// unable is a sampler that cannot look at anything.
type unable struct{}

func (unable) Sample(context.Context, *proxy.Session, string, string, func(string, []byte)) error {
	return errors.New("it cannot be looked at")
}
