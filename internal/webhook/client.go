package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Endpoint is where messages are posted.
type Endpoint struct {
	URL  string // https; http only to loopback with Private, or with Plaintext
	Keys []Key  // sign; at least one
	// Private lets the endpoint be on a private or loopback address. Otherwise such
	// are refused, whatever the name leads to at the time of the connection.
	Private   bool
	Plaintext bool          // http to elsewhere than loopback; then who is on the way reads the messages
	Timeout   time.Duration // of a request; 0 is 15 s
	TLS       *tls.Config   // nil is the system's roots
}

// Client posts messages to an endpoint. It is safe for concurrent use.
type Client struct {
	url  string
	keys []Key
	http *http.Client
}

// Open checks e and returns what posts to it: without a proxy, which would be
// the one to look names up, and without following redirects.
func (e Endpoint) Open() (*Client, error) {
	if len(e.Keys) == 0 {
		return nil, errors.New("webhook: no key to sign with")
	}
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("webhook: the URL must be https://host/path without a user in it")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (e.Plaintext || isLoopback(u.Hostname()) && e.Private):
	default:
		return nil, errors.New("webhook: the URL must be https")
	}
	timeout := cmp.Or(e.Timeout, 15*time.Second)
	transport := &http.Transport{
		DialContext: Guard{Private: e.Private}.Dial, TLSClientConfig: e.TLS, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: timeout,
		ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
	}
	return &Client{u.String(), e.Keys, &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // where messages go is the operator's to say
	}}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// maxAnswer is how many bytes of an answer are read, for the connection to be used again.
const maxAnswer = 64 << 10

// Post posts a message of JSON, signed at a time. id is the same when the message comes again. An answer that does not take it is an
// *AnswerError. No error holds the URL, which can hold a secret.
func (c *Client) Post(ctx context.Context, id string, at time.Time, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook: no request")
	}
	seconds := strconv.FormatInt(at.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sallyport")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", seconds)
	req.Header.Set("Webhook-Signature", Sign(c.keys, id, seconds, body))
	req.Header["Idempotency-Key"] = []string{} // not sent: the client tries again by itself when an idle connection was closed
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // the status is the answer
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &AnswerError{resp.StatusCode, resp.Header}
	}
	return nil
}

// AnswerError is the answer of an endpoint that does not take a message.
type AnswerError struct {
	Code   int
	Header http.Header
}

func (e *AnswerError) Error() string {
	if e.Code >= 300 && e.Code < 400 {
		return fmt.Sprintf("webhook: the endpoint redirects (%d), which is not followed", e.Code)
	}
	return fmt.Sprintf("webhook: the endpoint answers %d", e.Code)
}

// RetryAfter is how long an answer asks to wait; 0: it does not.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(min(n, int(maxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), maxWait)
	}
	return 0
}

// maxWait is the longest wait that RetryAfter returns.
const maxWait = 30 * 24 * time.Hour
