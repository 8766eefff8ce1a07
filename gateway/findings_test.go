package gateway

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store"
)

// TestFindingsOutliveTheGateway: rows that are inserted next to names of people do not show
// these after a restart, and the store has nothing of them.
func TestFindingsOutliveTheGateway(t *testing.T) {
	h := openCorpus(t, "masking: [{use: default}]\n")
	names := func(h *house) []string {
		c, err := pgx.Connect(t.Context(), h.database("admin", "shop"))
		require.NoError(t, err)
		defer c.Close(context.Background())
		rows, err := c.Query(t.Context(), "SELECT name FROM folk WHERE name NOT LIKE 'lamp%' LIMIT 20")
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Len(t, list, 4)
		return list
	}
	hidden := func(list []string) {
		for _, name := range list {
			require.NotRegexp(t, "Krohn|Reinhardt|Taiwo|Stone", name)
		}
	}
	run := func(sql string) {
		c, err := pgx.Connect(t.Context(), h.database("admin", "shop"))
		require.NoError(t, err)
		defer c.Close(context.Background())
		_, err = c.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	run("CREATE TABLE folk (name text)")
	run("INSERT INTO folk VALUES ('Klaas Krohn'), ('Wibke Reinhardt'), ('Chizoba Taiwo'), ('Oliver Stone')")
	hidden(names(h))
	run("INSERT INTO folk SELECT 'lamp ' || i FROM generate_series(1, 200) i")
	for d, err := range store.All(t.Context(), h.state.store, kindFinding, "") {
		require.NoError(t, err)
		require.NotRegexp(t, "Krohn|folk|name", string(d.Body)+d.Name)
	}
	require.NoError(t, h.stop())

	files, err := filepath.Glob(filepath.Join(h.dir, "*.yaml"))
	require.NoError(t, err)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	hidden(names(open(t, h.dir, string(text))))
}
