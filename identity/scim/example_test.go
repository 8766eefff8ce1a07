package scim_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/scim"
	"github.com/sallyport/sallyport/proxy"
)

// A gateway that the company's directory tells who works there.
func Example() {
	directory := &scim.Directory{
		Documents: &identity.Memory{}, Provider: "entra",
		Changed: func(c identity.Change) { fmt.Println(c.Subject, "ended:", c.Ended) },
	}
	if err := directory.Load(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(http.StripPrefix("/scim/v2", &scim.Handler{
		Directory: directory, Authorize: scim.Bearer(sha256.Sum256([]byte("TOKEN"))), URL: "https://gw.example.com/scim/v2",
	}))
	defer server.Close()
	post := func(body string) {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/scim/v2/Users", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", "Bearer TOKEN")
		r.Header.Set("Content-Type", "application/scim+json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	post(`{"userName": "alice@example.com", "externalId": "7f3a", "active": false}`)
	_, err := directory.Refresh(context.Background(), &proxy.Identity{Subject: "entra/7f3a"})
	fmt.Println(err)
	// Output:
	// entra/7f3a ended: true
	// the account is disabled in the directory
}
