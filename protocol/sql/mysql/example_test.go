package mysql_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/protocol/sql/mysql"
	"github.com/sallyport/sallyport/proxy"
)

// A comment that only some servers run is read in both ways, and the statement does what either does.
func Example() {
	a := mysql.New(mysql.Config{})
	for _, text := range []string{
		"UPDATE orders SET paid = 1 WHERE customer = 'Ada'",
		"SELECT 1 /*!99999 ; DROP TABLE orders */",
	} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{Dialect: mysql.Dialect})
		fmt.Println(f.Normalised)
		fmt.Printf("  effects: %v %q\n", f.Effects, f.Unknown)
		for _, r := range f.Relations {
			fmt.Println("  relation:", r.Name, r.Effects)
		}
	}
	// Output:
	// update orders set paid = 0 where customer = '?'
	//   effects: update ""
	//   relation: orders update
	// select 0; drop table orders
	//   effects: read,drop ""
	//   relation: orders drop
}
