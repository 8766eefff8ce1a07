// Package pagerduty tells of requests by alerts in PagerDuty, one for each request, which is resolved with it; and knows who is on call there.
package pagerduty

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/service"
)

// DefaultURL is where PagerDuty takes events. Accounts in the EU have https://events.eu.pagerduty.com.
const DefaultURL = "https://events.pagerduty.com"

// Config says where alerts go. Key is needed.
type Config struct {
	Key     proxy.Secret // the integration key of a service's integration "Events API v2"
	URL     string       // empty is DefaultURL
	Private bool         // the URL may lead to a private address
	TLS     *tls.Config  // nil is the system's roots
	Details bool         // what an operation would do is in alerts, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: alerts have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: alerts have none.
	Command func(subject string) string
}

// Notifier makes and resolves alerts. It is safe for concurrent use.
type Notifier struct {
	config Config
	client *service.Client
}

// integrationKey is what the Events API takes as a routing key.
var integrationKey = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	if !integrationKey.MatchString(c.Key.Reveal()) {
		return nil, errors.New("pagerduty: key: want the integration key of an integration of the type Events API v2, which has 32 letters and digits")
	}
	if c.URL == "" {
		c.URL = DefaultURL
	}
	client, err := service.Config{Name: "pagerduty", URL: c.URL, Private: c.Private, TLS: c.TLS}.Open()
	if err != nil {
		return nil, err
	}
	return &Notifier{c, client}, nil
}

// Bounds of parts of an event, in characters.
const (
	maxSummary = 1024
	maxFact    = 1000
)

// event is one of the Events API v2.
type event struct {
	RoutingKey  string   `json:"routing_key"`
	EventAction string   `json:"event_action"`
	DedupKey    string   `json:"dedup_key"`
	Client      string   `json:"client,omitempty"`
	ClientURL   string   `json:"client_url,omitempty"`
	Payload     *payload `json:"payload,omitempty"`
	Links       []link   `json:"links,omitempty"`
}

type payload struct {
	Summary       string            `json:"summary"`
	Source        string            `json:"source"`
	Severity      string            `json:"severity"`
	Timestamp     string            `json:"timestamp"`
	Component     string            `json:"component,omitempty"`
	Class         string            `json:"class"`
	CustomDetails map[string]string `json:"custom_details"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// event is what tells of a notice. An alert is known by its request, so that what comes again changes nothing.
func (n *Notifier) event(of *review.Notice) *event {
	e := &event{RoutingKey: n.config.Key.Reveal(), EventAction: "resolve", DedupKey: "sallyport-" + of.Subject()}
	if !service.Alerts(of) {
		return e
	}
	e.EventAction, e.Client = "trigger", "Sallyport"
	e.Payload = &payload{
		Summary: service.Shorten(of.Headline(), maxSummary), Source: "sallyport", Severity: "warning", Timestamp: of.At.UTC().Format(time.RFC3339),
		Class: class(of), CustomDetails: make(map[string]string),
	}
	for _, f := range of.Facts(n.config.Details) {
		e.Payload.CustomDetails[f.Name] = service.Shorten(f.Value, maxFact)
		if f.Name == "at" {
			e.Payload.Component = service.Shorten(f.Value, maxFact)
		}
	}
	if n.config.Command != nil {
		e.Payload.CustomDetails["look at it"] = n.config.Command(of.Subject())
	}
	if n.config.Link != nil {
		e.ClientURL = n.config.Link(of.Subject())
		e.Links = []link{{e.ClientURL, "Look at the " + of.Sort()}}
	}
	return e
}

// class is the kind of event.
func class(of *review.Notice) string {
	if of.Alert != nil {
		return "alert"
	}
	return "request for approval"
}

// Notify makes the alert of a request that waits, and resolves it when the request is decided or over.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	e := n.event(of)
	var answer struct {
		Status string `json:"status"`
	}
	err := n.client.Do(ctx, service.Request{What: e.EventAction, Method: http.MethodPost, Path: []string{"v2", "enqueue"}, In: e, Out: &answer})
	switch {
	case service.Code(err) == http.StatusBadRequest: // which is not to be tried again
		return fmt.Errorf("%w: %w", review.ErrRefused, err)
	case err == nil && answer.Status != "success":
		return fmt.Errorf("pagerduty: %s: the answer does not say that the event was taken", e.EventAction)
	}
	return err
}
