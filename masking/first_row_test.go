package masking_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
)

// BenchmarkFirstRow is how long the first row of a large result takes, which is
// not read further: from the server itself, and masked.
func BenchmarkFirstRow(b *testing.B) {
	g := startRig(b, schema, masking.Config{})
	direct, err := pgx.Connect(b.Context(), testserver.URL("postgres", g.pg.Password, g.pg.Address(), g.database, "sslmode=disable"))
	require.NoError(b, err)
	b.Cleanup(func() { direct.Close(context.Background()) })
	for name, c := range map[string]*pgx.Conn{"direct": direct, "masked": g.connect(b, "alice")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rows, err := c.Query(b.Context(), "SELECT ssn, note, name FROM p, generate_series(1, 200) WHERE id = 1")
				require.NoError(b, err)
				require.True(b, rows.Next())
				rows.Close()
			}
		})
	}
}
