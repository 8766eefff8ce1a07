package secrets_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// vault has secrets by name.
type vault map[string]string

func (v vault) Resolve(_ context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	secret, ok := v[ref.Path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", ref.Path, secrets.ErrNotFound)
	}
	return secrets.Text(secret), nil
}

// A scheme of one's own, added to those for the environment and files.
func ExampleSource() {
	source := secrets.Default()
	source["vault"] = vault{"orders": "hunter2"}
	broker, err := secrets.NewBroker(secrets.Options{Source: source})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close(context.Background())
	account := proxy.Account{Username: "app", Secret: "vault:orders"}
	lease, err := broker.Lease(context.Background(), proxy.LeaseRequest{Target: proxy.Target{Account: account}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Username, lease.Password)
	fmt.Println(source.Check("hunter2"))
	// Output:
	// app [secret]
	// not a reference to a secret: want one of env:…, file:…, vault:…
}
