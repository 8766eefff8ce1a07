package mysql_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql"
	"github.com/sallyport/sallyport/proxy"
)

// What would undo an UPDATE of two rows, for a session that was asked to.
func ExampleUndoText() {
	value := func(s string) *string { return &s }
	fmt.Println(mysql.UndoText(&proxy.Image{
		Effect: "update", Schema: "shop", Table: "orders", Keys: 1,
		Columns: []proxy.ImageColumn{{Name: "id", Type: "int"}, {Name: "state", Type: "varchar(20)"}},
		Rows: []proxy.ImageRow{
			{Values: []*string{value("7"), value("open")}},
			{Values: []*string{value("8"), nil}},
		},
	}))
	// Output:
	// UPDATE `shop`.`orders` SET `state` = CASE `id` WHEN 7 THEN 'open' WHEN 8 THEN NULL END WHERE `id` IN (7, 8)
}
