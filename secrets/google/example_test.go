package google_test

import (
	"fmt"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/google"
)

// A gateway on a machine in Google Cloud reads secrets as the machine's service account. Nothing is
// asked until a session needs a secret.
func Example() {
	provider, err := google.New(google.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Default()
	source["google"] = provider
	for _, ref := range []string{"google:my-project/orders#password", "google:sql-login", "gogle:my-project/orders"} {
		fmt.Println(ref, source.Check(ref))
	}
	fmt.Println("reads the gateway's host:", source.Local("google:sql-login"))
	// Output:
	// google:my-project/orders#password <nil>
	// google:sql-login <nil>
	// gogle:my-project/orders not a reference to a secret: want one of env:…, file:…, google:…
	// reads the gateway's host: false
}
