package reviewtest_test

import (
	"testing"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/smtp"
)

// A notifier of one's own passes what all do, with a service that fails as it is told.
func ExampleTest() {
	_ = func(t *testing.T) { // func TestConformance
		reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
			server := reviewtest.NewSMTP(t)
			n, err := smtp.New(smtp.Config{
				Address: server.Address, TLS: server.TLS, Username: "gateway", Password: proxy.NewSecret("hunter2"),
				From: "gateway@example.com", To: []string{"oncall@example.com"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return reviewtest.Subject{Notifier: n, Service: server, Secrets: []string{"hunter2"}}
		})
	}
}
