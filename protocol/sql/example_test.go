package sql_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/sql"
)

// Two statements that differ in their values have one text, by which what they do is remembered.
func ExampleNormalisePostgres() {
	var n sql.Normalised
	for _, text := range []string{
		"SELECT name FROM users WHERE id = 7",
		"select name from users -- of the shop\n where id = 123",
		"SELECT '",
	} {
		sql.NormalisePostgres(&n, []byte(text), sql.Limits{}.WithDefaults())
		fmt.Printf("%s %d %q\n", n.Text, n.Statements, n.Problem)
	}
	// Output:
	// select name from users where id = 0 1 ""
	// select name from users where id = 0 1 ""
	// select 1 "a quote or comment is not closed"
}
