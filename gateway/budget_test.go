package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// TestBudgetOfPerson: sessions of one person share a budget, at two gateways on one store and
// after a restart, to the row. Others have their own.
func TestBudgetOfPerson(t *testing.T) {
	server, database := testserver.Database(t, "")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("STORE_PASSWORD", server.Password)
	sections := fmt.Sprintf(`store: {url: "postgres://postgres@%s/%s", password: "env:STORE_PASSWORD", key: "env:STORE_KEY"}
masking: [{use: off}]
access:
  - {name: all, groups: [dev, dba], allow: [connect, read, write]}
  - {name: few, groups: [dev], budget: {rows: 200, statements: 60, per: 744h}}
`, server.Address(), database)
	dir := t.TempDir()
	one, two := openPoliced(t, dir, nil, sections), openPoliced(t, t.TempDir(), nil, sections)
	rows := func(p *policed, want int) (got int, said string) {
		out := p.psql(t, "alice").ask(fmt.Sprintf("COPY (SELECT '#' FROM generate_series(1, %d)) TO STDOUT;", want))
		return strings.Count(out, "#"), out
	}
	a, said := rows(one, 90)
	require.Equal(t, 90, a, said)
	b, said := rows(two, 150)
	require.Contains(t, said, "you have used your budget of 200 rows per 744h (rule few)")
	require.LessOrEqual(t, b, 110)
	require.NoError(t, one.stop())
	require.NoError(t, two.stop())
	again := open(t, dir, one.text+sections)
	one.house = again
	c, said := rows(one, 150)
	require.Contains(t, said, "you have used your budget of 200 rows per 744h (rule few)")
	require.Equal(t, 200, a+b+c)
	require.Equal(t, "1", one.psql(t, "bob").ask("SELECT 1;"))
	require.Empty(t, one.psql(t, "alice").ask("BEGIN; COMMIT;"), "a transaction can be ended")
}
