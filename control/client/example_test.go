package client_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/proxy"
)

// A program lists what the bearer of its token may connect to.
func Example() {
	gateway := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // https://gw.example.com:7443
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("Authorization") != "Bearer spt_example":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"code":"unauthenticated","message":"the token is not known"}}`)
		case r.URL.Path == "/v1/resources":
			fmt.Fprint(w, `{"resources":[{"name":"orders","type":"postgres","address":"gw.example.com:5432","user":"alice@orders"}]}`)
		}
	}))
	defer gateway.Close()
	authorities := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw})

	for _, token := range []string{"spt_example", "spt_another"} {
		c, err := client.New(client.Config{URL: gateway.URL, Authorities: string(authorities), Token: proxy.NewSecret(token)})
		if err != nil {
			fmt.Println(err)
			return
		}
		resources, err := c.Resources(context.Background())
		var refused *control.Error
		switch {
		case errors.As(err, &refused):
			fmt.Println("refused:", refused.Code)
		case err != nil:
			fmt.Println(err)
		}
		for _, r := range resources {
			fmt.Println(r.Name, r.Type, r.User)
		}
	}
	// Output:
	// orders postgres alice@orders
	// refused: unauthenticated
}
