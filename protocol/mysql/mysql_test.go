package mysql

import (
	"context"
	"database/sql"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const people = `CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50), email VARCHAR(80), born DATE, seen DATETIME(6), score DOUBLE, big BIGINT UNSIGNED, paid DECIMAL(10,2), took TIME);
INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', '1980-02-03', '2024-05-06 07:08:09.012345', 1.5, 18446744073709551615, 12.30, '-12:34:56'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`

func TestQuery(t *testing.T) {
	h := &hooks{}
	g := startGate(t, gateConfig{sql: people, chain: chain(h)})
	c := g.open(t)
	want := [][]string{
		{"1", "Ann", "ann@example.com", "1980-02-03", "2024-05-06 07:08:09.012345", "1.5", "18446744073709551615", "12.30", "-12:34:56"},
		{"2", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"},
	}
	require.Equal(t, want, texts(t, c, "SELECT * FROM people"))
	require.Equal(t, want, texts(t, c, "SELECT * FROM people WHERE id < ?", 3)) // binary
	r, err := c.ExecContext(context.Background(), "UPDATE people SET name = ? WHERE id = ?", "Bo", 2)
	require.NoError(t, err)
	n, err := r.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, err = c.ExecContext(context.Background(), "SELECT * FROM nowhere")
	require.ErrorContains(t, err, "1146")
	require.Equal(t, [][]string{{"1"}, {"2"}, {"3"}}, texts(t, c, "SELECT 1; SELECT 2; SELECT 3"))
	require.Equal(t, []string{
		"statement SELECT * FROM people: pass rows=2 code=",
		"prepare SELECT * FROM people WHERE id < ?: pass rows=0 code=",
		`statement SELECT * FROM people WHERE id < ? "3": pass rows=2 code=`,
		"prepare UPDATE people SET name = ? WHERE id = ?: pass rows=0 code=",
		`statement UPDATE people SET name = ? WHERE id = ? "Bo" "2": pass rows=1 code=`,
		"statement SELECT * FROM nowhere: pass rows=0 code=1146",
		"statement SELECT 1; SELECT 2; SELECT 3: pass rows=3 code=",
	}, h.list())
}

func TestRefusalLeavesTheSessionUsable(t *testing.T) {
	h := denying("drop")
	g := startGate(t, gateConfig{sql: people, chain: chain(h)})
	c := g.open(t)
	_, err := c.ExecContext(context.Background(), "START TRANSACTION")
	require.NoError(t, err)
	_, err = c.ExecContext(context.Background(), "UPDATE people SET name = 'Cy' WHERE id = 2")
	require.NoError(t, err)
	_, err = c.ExecContext(context.Background(), "DROP TABLE people")
	require.ErrorContains(t, err, "Error 1142 (42000): drop is not allowed here (rule no-drop). Ask for it.")
	_, err = c.PrepareContext(context.Background(), "DROP TABLE people")
	require.ErrorContains(t, err, "1142")
	_, err = c.ExecContext(context.Background(), "COMMIT") // the transaction is what it was
	require.NoError(t, err)
	require.Equal(t, [][]string{{"Cy"}}, texts(t, c, "SELECT name FROM people WHERE id = 2"))
}

func TestRowsAreFiltered(t *testing.T) {
	for _, name := range []string{"name", "email", "born", "seen", "score", "big", "paid", "took", "id"} {
		t.Run(name, func(t *testing.T) {
			g := startGate(t, gateConfig{sql: people, chain: chain(starring(name))})
			c := g.open(t)
			text := texts(t, c, "SELECT * FROM people")
			binary := texts(t, c, "SELECT * FROM people WHERE id < ?", 3)
			require.Equal(t, text, binary)
			want := []string{"1", "Ann", "ann@example.com", "1980-02-03", "2024-05-06 07:08:09.012345", "1.5", "18446744073709551615", "12.30", "-12:34:56"}
			at := slices.Index([]string{"id", "name", "email", "born", "seen", "score", "big", "paid", "took"}, name)
			if want[at] = "NULL"; name == "name" || name == "email" || name == "paid" { // else no value of the type says ***
				want[at] = "***"
			}
			require.Equal(t, want, text[0])
		})
	}
}

func TestTransactionsAndSettings(t *testing.T) {
	g := startGate(t, gateConfig{sql: people})
	c := g.open(t)
	for _, text := range []string{
		"SET NAMES utf8mb4", "SET autocommit=0", "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", `SELECT "id" FROM "people"`, "ROLLBACK",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN", "SAVEPOINT a", "ROLLBACK TO a", "COMMIT", "USE information_schema", "SHOW WARNINGS",
	} {
		_, err := c.ExecContext(context.Background(), text)
		require.NoError(t, err, text)
	}
	var n int
	require.NoError(t, c.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM tables").Scan(&n))
	require.Positive(t, n)
	_, err := c.ExecContext(context.Background(), "SET NAMES gbk")
	require.ErrorContains(t, err, "utf8mb4")
	require.NoError(t, c.PingContext(context.Background()))
	tx, err := c.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
}
