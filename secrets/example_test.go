package secrets_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// vault has secrets by name.
type vault map[string]string

func (v vault) Fetch(_ context.Context, name string, _ bool) (proxy.Secret, func(), error) {
	secret, ok := v[name]
	if !ok {
		return proxy.Secret{}, nil, fmt.Errorf("there is no secret %s", name)
	}
	return proxy.NewSecret(secret), func() { fmt.Println("given back") }, nil
}

// A scheme of one's own, added to those for the environment and files.
func ExampleSource() {
	source := secrets.Default()
	source["vault"] = vault{"orders": "hunter2"}
	lease, err := source.Lease(context.Background(), proxy.Target{Account: proxy.Account{Username: "app", Secret: "vault:orders"}}, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Username, lease.Password)
	lease.Release()
	fmt.Println(source.Check("hunter2"))
	// Output:
	// app [secret]
	// given back
	// not a reference to a secret: want one of env:…, file:…, vault:…
}
