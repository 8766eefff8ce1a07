package postgres_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

// Effects, relations and a text without values are what rules and records go by.
func Example() {
	a := postgres.New(postgres.Config{})
	for _, text := range []string{
		"DELETE FROM orders WHERE customer = 'Ada'",
		"WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
		"SELEC 1",
	} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: postgres.Dialect})
		fmt.Println(f.Normalised)
		fmt.Printf("  effects: %v %q\n", f.Effects, f.Unknown)
		for _, r := range f.Relations {
			fmt.Println("  relation:", r.Name, r.Effects)
		}
	}
	// Output:
	// delete from orders where customer = '?'
	//   effects: delete ""
	//   relation: orders delete
	// with gone as (delete from orders returning id) select id from gone
	//   effects: read,delete ""
	//   relation: orders read,delete
	// selec 0
	//   effects: unknown "it does not parse"
}
