package opsgenie_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/opsgenie"
)

// A request is an alert, which is closed when the request is decided.
func Example() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"result":"Request will be processed"}`)
	}))
	defer service.Close()

	n, err := opsgenie.New(opsgenie.Config{
		Key: proxy.NewSecret("11111111-2222-3333-4444-555555555555"),
		URL: service.URL, Private: true, TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, // in place of Opsgenie
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
	// POST /v2/alerts
	// POST /v2/alerts/sallyport-4jzq7nbkw2/close
}
