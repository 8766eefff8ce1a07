package teams_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/teams"
)

// A workflow of Microsoft Teams posts a card for each notice.
func Example() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Type        string `json:"type"`
			Attachments []struct {
				ContentType string `json:"contentType"`
			} `json:"attachments"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			fmt.Println(err)
		}
		fmt.Println(m.Type, m.Attachments[0].ContentType)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer service.Close()

	n, err := teams.New(teams.Config{
		URL: proxy.NewSecret(service.URL), Private: true, TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, // in place of Teams
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = n.Notify(context.Background(), &review.Notice{
		ID: "n1", Event: review.Asked, Request: review.Request{ID: "4jzq7nbkw2", State: review.Pending, Requester: "alice", Resource: "vm1", Access: &review.Access{Seconds: 3600}},
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// message application/vnd.microsoft.card.adaptive
}
