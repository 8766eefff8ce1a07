package azure_test

import (
	"fmt"

	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/azure"
)

// A gateway on a machine in Azure reads a Key Vault as the machine's identity. Nothing is asked
// until a session needs a secret.
func Example() {
	provider, err := azure.New(azure.Config{Vault: "https://my-vault.vault.azure.net", Login: &azure.ManagedIdentity{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := secrets.Default()
	source["azure"] = provider
	for _, ref := range []string{"azure:orders-db#password", "azure:orders-db?version=4387e9f3", "azur:orders-db"} {
		fmt.Println(ref, source.Check(ref))
	}
	fmt.Println("reads the gateway's host:", source.Local("azure:orders-db"))
	// Output:
	// azure:orders-db#password <nil>
	// azure:orders-db?version=4387e9f3 <nil>
	// azur:orders-db not a reference to a secret: want one of azure:…, env:…, file:…
	// reads the gateway's host: false
}
