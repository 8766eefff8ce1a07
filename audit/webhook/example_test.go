package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/webhook"
)

// A service has the events of the record posted, in signed batches.
func ExampleSink() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct {
			Type string `json:"type"`
			Data struct {
				Events []json.RawMessage `json:"events"`
			} `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			fmt.Println(err)
		}
		fmt.Println(m.Type, "signed:", r.Header.Get("webhook-signature") != "")
		for _, event := range m.Data.Events {
			fmt.Printf("%s\n", event)
		}
	}))
	defer service.Close()

	key, err := webhook.ParseKey("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := webhook.New(webhook.Config{
		URL: service.URL, Called: "siem", Keys: []webhook.Key{key},
		TLS: service.Client().Transport.(*http.Transport).TLSClientConfig, Private: true, // the service is on this machine
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sink.Close()
	// An audit.Feed does this with what is on the disk, until it was taken.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = sink.Deliver(ctx, []audit.Outgoing{{Session: "s1", Index: 1, Type: audit.SessionStart, JSON: []byte(`{"type":"session.start","user":"alice"}`)}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// audit.events signed: true
	// {"record":"s1","type":"session.start","user":"alice"}
}
