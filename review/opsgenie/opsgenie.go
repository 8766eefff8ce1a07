// Package opsgenie tells of requests by alerts in Opsgenie, one for each request, which is closed with it; and knows who is on call there.
package opsgenie

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/service"
)

// DefaultURL is Opsgenie's API. Accounts in the EU have https://api.eu.opsgenie.com.
const DefaultURL = "https://api.opsgenie.com"

// Config says where alerts go. Key is needed.
type Config struct {
	Key     proxy.Secret // of an API integration that may create and update alerts
	URL     string       // empty is DefaultURL
	Private bool         // the URL may lead to a private address
	TLS     *tls.Config  // nil is the system's roots
	Details bool         // what an operation would do is in alerts, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: alerts have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: alerts have none.
	Command func(subject string) string
}

// Notifier makes and closes alerts. It is safe for concurrent use.
type Notifier struct {
	config Config
	client *service.Client
}

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	client, err := open(c.Key, c.URL, c.Private, c.TLS)
	if err != nil {
		return nil, err
	}
	return &Notifier{c, client}, nil
}

// open checks how Opsgenie is asked.
func open(key proxy.Secret, at string, private bool, roots *tls.Config) (*service.Client, error) {
	if key.Empty() {
		return nil, errors.New("opsgenie: got no key, want one of an API integration")
	}
	if at == "" {
		at = DefaultURL
	}
	return service.Config{
		Name: "opsgenie", URL: at, Private: private, TLS: roots, Header: http.Header{"Authorization": {"GenieKey " + key.Reveal()}},
	}.Open()
}

// Bounds of Opsgenie's on parts of an alert, in characters; some of ours are smaller.
const (
	maxMessage = 130
	maxEntity  = 512
	maxNote    = 1000
	maxFact    = 1000
	maxDetails = 8000 // names and values of all
)

// unmarked are texts without mark-up: Opsgenie takes HTML in some.
var unmarked = strings.NewReplacer("<", "‹", ">", "›")

// text is one that others chose, of at most so many characters.
func text(s string, most int) string { return service.Shorten(unmarked.Replace(s), most) }

// alert is one that is made.
type alert struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"`
	Description string            `json:"description,omitempty"`
	Details     map[string]string `json:"details"`
	Entity      string            `json:"entity,omitempty"`
	Source      string            `json:"source"`
	Tags        []string          `json:"tags"`
}

// note is what is added to an alert, or closes it.
type note struct {
	Source string `json:"source"`
	Note   string `json:"note"`
}

const source = "Sallyport"

// alert is what asks for a decision. It is known by its request, so that what comes again changes nothing.
func (n *Notifier) alert(of *review.Notice) *alert {
	a := &alert{
		Message: text(of.Headline(), maxMessage), Alias: alias(of), Source: source, Tags: []string{"sallyport"},
	}
	if n.config.Link != nil {
		a.Description = n.config.Link(of.Subject())
	} else if n.config.Command != nil {
		a.Description = n.config.Command(of.Subject())
	}
	facts := of.Facts(n.config.Details)
	for most := maxFact; ; most /= 2 {
		a.Details = make(map[string]string)
		all := 0
		for _, f := range facts {
			value := text(f.Value, most)
			if a.Details[f.Name] = value; f.Name == "at" {
				a.Entity = text(value, maxEntity)
			}
			all += utf8.RuneCountInString(f.Name) + utf8.RuneCountInString(value)
		}
		if all <= maxDetails {
			return a
		}
	}
}

func alias(of *review.Notice) string { return "sallyport-" + of.Subject() }

// Notify makes the alert of a request, adds to it what becomes of the request while it waits, and closes it afterwards.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	q := service.Request{What: "create the alert", Method: http.MethodPost, Path: []string{"v2", "alerts"}}
	told := note{source, text(of.Headline(), maxNote)}
	switch {
	case service.Alerts(of) && of.Event != review.Voted:
		q.In = n.alert(of)
	case service.Alerts(of):
		q.What, q.Path, q.Query, q.In = "add a note", []string{"v2", "alerts", alias(of), "notes"}, byAlias, told
	default:
		q.What, q.Path, q.Query, q.In = "close the alert", []string{"v2", "alerts", alias(of), "close"}, byAlias, told
	}
	err := n.client.Do(ctx, q)
	if code := service.Code(err); code == http.StatusBadRequest || code == http.StatusUnprocessableEntity { // what was sent is the reason
		return fmt.Errorf("%w: %w", review.ErrRefused, err)
	}
	return err
}

var byAlias = url.Values{"identifierType": {"alias"}}
