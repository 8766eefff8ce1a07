package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/secrets/vault"
)

// A gateway whose accounts refer to a Vault, in which it logs in with an AppRole.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(answer)) // https://vault.example.com:8200
	defer server.Close()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	err = os.WriteFile(filepath.Join(dir, "secret-id"), []byte("5c1c2ab8"), 0o600)
	provider, problem := vault.New(vault.Config{
		Address: server.URL,
		Login:   &vault.AppRole{RoleID: "gateway", SecretID: secrets.FromFile(filepath.Join(dir, "secret-id"))},
	})
	if err = errors.Join(err, problem); err != nil {
		fmt.Println(err)
		return
	}
	defer provider.Close()
	source := secrets.Default()
	source["vault"] = provider
	broker, err := secrets.NewBroker(secrets.Options{Source: source, Journal: filepath.Join(dir, "leases"), Report: func(e secrets.Event) {
		fmt.Println(e.Kind, e.Ref, "for", e.Actor)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	gateway := &proxy.Gateway{Credentials: broker}
	account := proxy.Account{Secret: "vault:secret/orders#password?user=username"}
	lease, err := gateway.Credentials.Lease(context.Background(), proxy.LeaseRequest{
		Target: proxy.Target{Account: account}, Identity: &proxy.Identity{Subject: "alice"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Username, lease.Password)
	fmt.Println(broker.Close(context.Background()))
	// Output:
	// resolve vault:secret/orders#password?user=username for alice
	// app [secret]
	// <nil>
}

// answer is as much of a Vault as the example needs.
func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/auth/approle/login":
		fmt.Fprint(w, `{"auth":{"client_token":"hvs.example","lease_duration":3600,"renewable":true}}`)
	case "/v1/sys/internal/ui/mounts/secret/orders":
		fmt.Fprint(w, `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
	case "/v1/secret/data/orders":
		fmt.Fprint(w, `{"data":{"data":{"username":"app","password":"hunter2"},"metadata":{"version":1}}}`)
	}
}
