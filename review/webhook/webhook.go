// Package webhook tells an HTTP endpoint of requests, signed as Standard Webhooks has it, so that
// the receiver can check messages with any of its libraries.
package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/webhook"
	"github.com/sallyport/sallyport/review"
)

// Key signs messages. Its zero value is not a key; [ParseKey] makes one.
type Key = webhook.Key

// ParseKey reads a shared secret of 24 to 64 bytes, "whsec_" and base64, for
// HMAC-SHA256 (v1), or an Ed25519 private key, "whsk_" and base64 of its seed or
// of seed and public key (v1a). The error does not show text.
func ParseKey(text string) (Key, error) { return webhook.ParseKey(text) }

// Config says where notices go. URL and Keys are needed.
type Config struct {
	URL string // https; http only to loopback with Private, or with Plaintext
	// Keys sign; several while one is replaced by another.
	Keys []Key
	// Private lets the endpoint be on a private or loopback address. Otherwise such
	// are refused, whatever the name leads to at the time of the connection.
	Private   bool
	Plaintext bool          // http to elsewhere than loopback; then who is on the way reads the messages
	Timeout   time.Duration // of a request; 0 is 15 s
	TLS       *tls.Config   // nil is the system's roots
	// Details has messages say what is asked for and why, too. Otherwise what people and
	// programs wrote stays with the gateway.
	Details bool
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: messages have no link.
	Link func(subject string) string
}

// Notifier posts notices. It is safe for concurrent use.
type Notifier struct {
	config Config
	client *webhook.Client
}

// New checks c and returns its notifier.
func New(c Config) (*Notifier, error) {
	client, err := webhook.Endpoint{URL: c.URL, Keys: c.Keys, Private: c.Private, Plaintext: c.Plaintext, Timeout: c.Timeout, TLS: c.TLS}.Open()
	if err != nil {
		return nil, err
	}
	return &Notifier{c, client}, nil
}

// Close closes idle connections.
func (n *Notifier) Close() error {
	n.client.Close()
	return nil
}

// Message is what is posted.
type Message struct {
	Type      string    `json:"type"`      // "request." or "alert." and the event
	Timestamp time.Time `json:"timestamp"` // of the event
	Data      Data      `json:"data"`
}

// Data is what a message says of a request, or of an alert: then Kind is "alert", and State is the event.
type Data struct {
	ID        string       `json:"id"`
	Kind      string       `json:"kind"`
	State     review.State `json:"state"`
	Requester string       `json:"requester"`
	For       string       `json:"for,omitempty"` // the human that an agent asks for
	Resource  string       `json:"resource"`
	DecidedBy string       `json:"decided_by,omitempty"`
	Link      string       `json:"link,omitempty"`
	Details   *Details     `json:"details,omitempty"`
	// Alert is what a rule has found.
	Alert *review.Alert `json:"alert,omitempty"`
}

// Details are what people and programs wrote.
type Details struct {
	Account   string     `json:"account,omitempty"`
	Database  string     `json:"database,omitempty"`
	Text      string     `json:"text"`
	Impact    string     `json:"impact,omitempty"` // what it would change, where that was measured
	Message   string     `json:"message"`
	Reason    string     `json:"reason,omitempty"`   // why it is asked for
	Decision  string     `json:"decision,omitempty"` // why it was decided so
	Rules     []string   `json:"rules"`
	Approvers [][]string `json:"approvers"`
	Deadline  time.Time  `json:"deadline"`
	Hash      string     `json:"hash"`
}

func (n *Notifier) message(of *review.Notice) Message {
	r := &of.Request
	m := Message{of.Sort() + "." + of.Event, of.At.UTC(), Data{
		ID: r.ID, Kind: r.Kind, State: r.State, Requester: r.Requester, For: r.For, Resource: r.Resource, DecidedBy: r.DecidedBy,
	}}
	if n.config.Link != nil {
		m.Data.Link = n.config.Link(of.Subject())
	}
	if a := of.Alert; a != nil {
		m.Data.ID, m.Data.Kind, m.Data.State, m.Data.Requester, m.Data.Resource, m.Data.Alert = of.Subject(), of.Sort(), review.State(of.Event), a.User, a.Resource, a
	} else if n.config.Details {
		m.Data.Details = &Details{
			Account: r.Account, Database: r.Database, Text: r.Text, Impact: r.ImpactText(), Message: r.Message, Decision: r.Reason, Rules: r.Rules, Approvers: r.Approvers,
			Deadline: r.Deadline.UTC(), Hash: r.Hash,
		}
		if r.Access != nil {
			m.Data.Details.Reason = r.Access.Reason
		}
	}
	return m
}

// Notify posts a notice. Its identifier is the same when the notice comes again.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	body, err := json.Marshal(n.message(of))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	err = n.client.Post(ctx, identifier(of), time.Now(), body)
	var answer *webhook.AnswerError
	switch {
	case !errors.As(err, &answer):
		return err
	case answer.Code == http.StatusGone:
		return fmt.Errorf("webhook: %w: the endpoint answers %d", review.ErrGone, answer.Code)
	case answer.Code >= 300 && answer.Code < 400:
		return err
	}
	if after := webhook.RetryAfter(answer.Header, time.Now()); after > 0 {
		return &review.BusyError{After: after, Err: err}
	}
	return err
}

// identifier names the notice for receivers, who ignore what they had.
func identifier(n *review.Notice) string {
	sum := sha256.Sum256([]byte("sallyport notice " + n.ID))
	return "msg_" + hex.EncodeToString(sum[:16])
}
