// Package webhook sends events to an HTTP endpoint, signed as Standard Webhooks
// has it, so that the receiver can check them with any of its libraries.
package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/webhook"
)

// Key signs messages. Its zero value is not a key; [ParseKey] makes one.
type Key = webhook.Key

// ParseKey reads a shared secret of 24 to 64 bytes, "whsec_" and base64, for
// HMAC-SHA256 (v1), or an Ed25519 private key, "whsk_" and base64 of its seed or
// of seed and public key (v1a). The error does not show text.
func ParseKey(text string) (Key, error) { return webhook.ParseKey(text) }

// Config says where events go. URL, Called and Keys are needed.
type Config struct {
	URL    string // https; http only to loopback, or with Plaintext
	Called string // the sink's name
	// Keys sign; several while one is replaced by another.
	Keys []Key
	// Private lets the endpoint be on a private or loopback address. Otherwise such
	// are refused, whatever the name leads to at the time of the connection.
	Private   bool
	Plaintext bool          // http to elsewhere than loopback; then who is on the way reads the events
	Timeout   time.Duration // of a request; 0 is 15 s
	TLS       *tls.Config   // nil is the system's roots
	Format    audit.Format  // nil is audit.Outgoing.Append
}

// Sink posts batches. It is safe for concurrent use.
type Sink struct {
	config Config
	client *webhook.Client
	now    func() time.Time
}

// New checks c and returns its sink.
func New(c Config) (*Sink, error) {
	client, err := webhook.Endpoint{URL: c.URL, Keys: c.Keys, Private: c.Private, Plaintext: c.Plaintext, Timeout: c.Timeout, TLS: c.TLS}.Open()
	if err != nil {
		return nil, err
	}
	return &Sink{config: c, client: client, now: time.Now}, nil
}

// Name returns Called.
func (s *Sink) Name() string { return s.config.Called }

// Close closes idle connections.
func (s *Sink) Close() error {
	s.client.Close()
	return nil
}

// Deliver posts the batch as one message:
//
//	{"type":"audit.events","timestamp":"…","data":{"events":[…]}}
//
// The message's identifier is the same whenever the same events come again.
func (s *Sink) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	now := s.now()
	err := s.client.Post(ctx, identifier(batch), now, s.body(batch, now))
	var answer *webhook.AnswerError
	if errors.As(err, &answer) && answer.Code == http.StatusRequestEntityTooLarge {
		return &audit.TooLargeError{Err: errors.New("webhook: the endpoint takes no message of this size")}
	}
	return err
}

func (s *Sink) body(batch []audit.Outgoing, now time.Time) []byte {
	b := append([]byte(`{"type":"audit.events","timestamp":"`), now.UTC().Format(time.RFC3339)...)
	b = append(b, `","data":{"events":[`...)
	for i, r := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		if s.config.Format != nil {
			b = s.config.Format(b, r)
		} else {
			b = r.Append(b)
		}
		b = bytes.TrimSuffix(b, []byte{'\n'})
	}
	return append(b, `]}}`...)
}

// identifier names a batch by what is in it.
func identifier(batch []audit.Outgoing) string {
	h := sha256.New()
	for _, r := range batch {
		fmt.Fprintf(h, "%s %d\n", r.Session, r.Index)
	}
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}
