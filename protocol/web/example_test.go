package web_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/web"
	"github.com/sallyport/sallyport/proxy"
)

// What a rule decides about, for a request of a browser.
func ExampleOperation() {
	app := proxy.Target{Resource: &proxy.Resource{Name: "shop", Type: "web", Address: "shop.internal:8080", Settings: web.Settings{}}}
	for _, text := range []string{"/orders?id=7", "DELETE /orders/7", "GET orders"} {
		op, err := web.Operation(app, text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s %s %q\n", op.Method, op.Path, op.Query)
	}
	// Output:
	// GET /orders "id=7"
	// DELETE /orders/7 ""
	// explaining a request: got "GET orders", want one such as GET /path?query
}
