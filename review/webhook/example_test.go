package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/webhook"
)

// A service is told of a request by a POST that is signed. What people wrote stays with the gateway.
func Example() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m webhook.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			fmt.Println(err)
		}
		fmt.Println(m.Type, m.Data.ID, m.Data.Resource)
		fmt.Println("signed:", r.Header.Get("webhook-signature") != "")
	}))
	defer service.Close()

	key, err := webhook.ParseKey("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := webhook.New(webhook.Config{
		URL: service.URL, Keys: []webhook.Key{key},
		TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, Private: true, // the service is on this machine
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = n.Notify(context.Background(), &review.Notice{
		ID: "n1", Event: review.Asked, Request: review.Request{ID: "4jzq7nbkw2", State: review.Pending, Requester: "alice", Resource: "orders", Reason: "INC-4711"},
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// request.asked 4jzq7nbkw2 orders
	// signed: true
}
