// Package webhook sends events to an HTTP endpoint, signed as Standard Webhooks
// has it, so that the receiver can check them with any of its libraries.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
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
	url    *url.URL
	client *http.Client
	now    func() time.Time
}

// New checks c and returns its sink.
func New(c Config) (*Sink, error) {
	if len(c.Keys) == 0 {
		return nil, errors.New("webhook: no key to sign with")
	}
	e := webhook.Endpoint{URL: c.URL, Private: c.Private, Plaintext: c.Plaintext, Timeout: cmp.Or(c.Timeout, 15*time.Second), TLS: c.TLS}
	u, client, err := e.Open()
	if err != nil {
		return nil, err
	}
	return &Sink{config: c, url: u, client: client, now: time.Now}, nil
}

// Name returns Called.
func (s *Sink) Name() string { return s.config.Called }

// Close closes idle connections.
func (s *Sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Deliver posts the batch as one message:
//
//	{"type":"audit.events","timestamp":"…","data":{"events":[…]}}
//
// The message's identifier is the same whenever the same events come again.
func (s *Sink) Deliver(ctx context.Context, batch []audit.Outgoing) error {
	now := s.now()
	body := s.body(batch, now)
	id := identifier(batch)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook: no request")
	}
	seconds := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", seconds)
	req.Header.Set("Webhook-Signature", webhook.Sign(s.config.Keys, id, seconds, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", webhook.Failed(err))
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // for the connection to be used again
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusRequestEntityTooLarge:
		return &audit.TooLargeError{Err: errors.New("webhook: the endpoint takes no message of this size")}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("webhook: the endpoint redirects (%d), which is not followed", resp.StatusCode)
	}
	return fmt.Errorf("webhook: the endpoint answers %d", resp.StatusCode)
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
