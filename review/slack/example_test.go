package slack_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/store"
)

// A request is one message in a channel, which is changed when something becomes of it.
func Example() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(strings.TrimPrefix(r.URL.Path, "/api/")+":", r.FormValue("text"))
		fmt.Fprint(w, `{"ok":true,"channel":"C0123456789","ts":"1700000000.000100"}`)
	}))
	defer service.Close()

	n, err := slack.New(slack.Config{
		Name: "ops", Channel: "C0123456789", Token: proxy.NewSecret("xoxb-…"), Store: store.NewMemory(),
		URL: service.URL + "/api/", TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, // in place of Slack
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := review.Request{ID: "4jzq7nbkw2", State: review.Pending, Requester: "alice", Resource: "vm1", Access: &review.Access{Seconds: 3600}}
	if err := n.Notify(context.Background(), &review.Notice{ID: "n1", Event: review.Asked, Request: r}); err != nil {
		fmt.Println(err)
	}
	r.State, r.DecidedBy = review.Denied, "bob"
	if err := n.Notify(context.Background(), &review.Notice{ID: "n2", Event: string(review.Denied), Request: r}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// chat.postMessage: alice asks for access to vm1
	// chat.update: bob denied the request of alice for access to vm1
}
