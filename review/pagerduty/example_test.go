package pagerduty_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/pagerduty"
)

// A request is an incident of a service, which is resolved when the request is decided.
func Example() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Action string `json:"event_action"`
			Key    string `json:"dedup_key"`
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			fmt.Println(err)
		}
		fmt.Println(event.Action, event.Key)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"status":"success","message":"Event processed","dedup_key":%q}`, event.Key)
	}))
	defer service.Close()

	n, err := pagerduty.New(pagerduty.Config{
		Key: proxy.NewSecret("0123456789abcdef0123456789abcdef"),
		URL: service.URL, Private: true, TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, // in place of PagerDuty
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := review.Request{ID: "4jzq7nbkw2", State: review.Pending, Requester: "alice", Resource: "vm1", Access: &review.Access{Seconds: 3600}}
	if err := n.Notify(context.Background(), &review.Notice{ID: "n1", Event: review.Asked, Request: r}); err != nil {
		fmt.Println(err)
	}
	r.State, r.DecidedBy = review.Approved, "bob"
	if err := n.Notify(context.Background(), &review.Notice{ID: "n2", Event: string(review.Approved), Request: r}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// trigger sallyport-4jzq7nbkw2
	// resolve sallyport-4jzq7nbkw2
}
