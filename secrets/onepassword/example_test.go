package onepassword_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/onepassword"
)

// A gateway reads a field of an item, both by their names.
func Example() {
	connect := httptest.NewServer(http.HandlerFunc(answer)) // https://connect.example.com
	defer connect.Close()

	provider, err := onepassword.New(onepassword.Config{
		Address: connect.URL,
		Token:   func(context.Context) (proxy.Secret, error) { return proxy.NewSecret("token"), nil }, // secrets.FromFile in earnest
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Source{"onepassword": provider}
	value, err := source.Resolve(context.Background(), "onepassword:Databases/orders#password", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(value.Password, value.Password.Reveal() == "hunter2")
	// Output:
	// [secret] true
}

// answer is as much of Connect as the example needs.
func answer(w http.ResponseWriter, r *http.Request) {
	const vault, item = "ftz4pm2xxwmwrsd7rjqn7grzfz", "wepiqdxdzncjtnvmv5fegud4qy"
	switch r.URL.Path {
	case "/v1/vaults":
		fmt.Fprintf(w, `[{"id":%q,"name":"Databases"}]`, vault)
	case "/v1/vaults/" + vault + "/items":
		fmt.Fprintf(w, `[{"id":%q,"title":"orders"}]`, item)
	case "/v1/vaults/" + vault + "/items/" + item:
		fmt.Fprintf(w, `{"id":%q,"version":3,"fields":[{"id":"password","label":"password","value":"hunter2"}]}`, item)
	default:
		http.NotFound(w, r)
	}
}
