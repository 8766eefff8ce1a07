package masking_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// A view may show what the catalog does not hold, such as the pieces in which the server
// keeps long values. That may be anything, for display as for strict rules.
func TestViewsOfWhatTheCatalogDoesNotHold(t *testing.T) {
	const schema = `
CREATE TABLE p (id int PRIMARY KEY, vault text);
ALTER TABLE p ALTER vault SET STORAGE EXTERNAL;
INSERT INTO p SELECT 1, repeat('secret ', 600);
DO $$ BEGIN
EXECUTE 'CREATE VIEW pieces AS SELECT p.id, 1 AS one, convert_from(t.chunk_data, ''UTF8'') AS piece FROM p, ' || (SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'p') || ' t';
END $$;
CREATE VIEW more AS SELECT id, one, piece AS again, upper(piece) AS loud FROM pieces;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM more;`
	for _, mode := range []masking.Mode{masking.Display, masking.Strict} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			g := startRig(t, schema, masking.Config{Rules: []masking.Rule{{Name: "vault", Columns: []string{"p.vault"}, Mode: mode}}})
			direct, err := pgx.Connect(t.Context(), g.direct())
			require.NoError(t, err)
			defer direct.Close(context.Background())
			var raw string
			require.NoError(t, direct.QueryRow(t.Context(), "SELECT loud FROM kept LIMIT 1").Scan(&raw))
			require.Contains(t, raw, "SECRET", "it is the value itself")
			for _, query := range []string{
				"SELECT piece FROM pieces", "SELECT again FROM more", "SELECT loud FROM more", "SELECT loud FROM kept", "SELECT lower(loud) FROM kept",
				"SELECT x.again FROM (SELECT * FROM more) x", "SELECT to_jsonb(more) FROM more", "COPY kept TO STDOUT", "COPY (SELECT piece FROM pieces) TO STDOUT",
				"SELECT substr(piece, 1, 9) FROM pieces", "SELECT max(again) FROM more",
			} {
				require.NotRegexp(t, "(?i)secret", g.psql(t, "alice", query+";\n", "-A", "-t"), query)
			}
			require.Equal(t, "1|1\n", g.psql(t, "alice", "SELECT DISTINCT id, one FROM more;\n", "-A", "-t"), "what is known is as it is")
			if mode == masking.Strict {
				require.Contains(t, g.psql(t, "alice", "SELECT id FROM pieces WHERE piece LIKE 'secret%';\n", "-A", "-t"), "ERROR")
			}
		})
	}
}
