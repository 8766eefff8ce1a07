package masking_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// TestCopiesBeyondMemory: a copy that is one too many for the memory of copies is
// masked whole, in every session, and other tables are what they were.
func TestCopiesBeyondMemory(t *testing.T) {
	rules := []masking.Rule{{Name: "nicks", Columns: []string{"people.nick"}}, {}}
	g := startRig(t, "CREATE TABLE people AS SELECT i AS id, 'plum'::text AS nick FROM generate_series(1, 3) i; CREATE TABLE words AS SELECT 'hello'::text AS word", masking.Config{Rules: rules})
	c := g.connect(t, "alice")
	var columns []string
	for i := range 1300 {
		columns = append(columns, fmt.Sprintf("nick AS c%d", i))
	}
	for i := range 13 { // 16,900 columns
		_, err := c.Exec(t.Context(), fmt.Sprintf("CREATE TABLE fill%d AS SELECT %s FROM people", i, strings.Join(columns, ", ")))
		require.NoError(t, err)
	}
	_, err := c.Exec(t.Context(), "CREATE TABLE late AS SELECT id, nick AS fruit FROM people")
	require.NoError(t, err)

	other := g.connect(t, "alice")
	for _, query := range []string{
		"SELECT fruit FROM late", "SELECT substr(fruit, 1, 3) FROM late", "SELECT l.fruit || '' FROM public.late l",
		"SELECT to_json(late)->>'fruit' FROM late", "SELECT fruit FROM (SELECT * FROM late) x",
	} {
		rows, err := other.Query(t.Context(), query)
		require.NoError(t, err)
		n := 0
		for rows.Next() {
			values, err := rows.Values()
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprint(values), "pl", query)
			n++
		}
		require.NoError(t, rows.Err(), query)
		require.Equal(t, 3, n)
	}
	var v string
	require.NoError(t, other.QueryRow(t.Context(), "SELECT word FROM words").Scan(&v))
	require.Equal(t, "hello", v)
}
