// Package service asks the services by which people are told of requests, over HTTPS: bounded, without a proxy, without following
// redirects, and with errors that hold nothing of what was sent or received.
package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/webhook"
	"github.com/sallyport/sallyport/review"
)

// Bounds of one request.
const (
	timeout   = 15 * time.Second
	maxAnswer = 2 << 20 // bytes
)

// Config says how a service is asked. Name and URL are needed.
type Config struct {
	Name string // for errors
	URL  string // https://HOST or https://HOST/PATH; it may hold a secret
	// Private lets the service be at a private or loopback address. Otherwise such are refused, whatever the name leads to at the
	// time of the connection.
	Private bool
	TLS     *tls.Config // nil is the system's roots
	Header  http.Header // of each request, such as what proves who asks
}

// Client asks a service. It is safe for concurrent use.
type Client struct {
	name   string
	base   *url.URL
	header http.Header
	http   *http.Client
}

// Open checks c and returns what asks the service. It does not connect.
func (c Config) Open() (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%s: url: want https://HOST, without a user in it", c.Name)
	}
	transport := &http.Transport{
		DialContext: webhook.Guard{Private: c.Private}.Dial, TLSClientConfig: c.TLS.Clone(), ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
		ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives: true, // what was taken, and whose answer got lost with an old connection, would be sent twice
	}
	return &Client{c.Name, u, c.Header, &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // where requests go is the operator's to say
	}}}, nil
}

// Request is one request.
type Request struct {
	What   string // is done, for errors
	Method string
	Path   []string // parts below the URL, as they are: they are escaped
	Query  url.Values
	In     any // is sent as JSON; nil: nothing is, or Form
	Form   url.Values
	Header http.Header // besides that of the service
	Out    any         // is read from the answer's JSON; nil: the answer is of no interest
}

// Do asks. An answer that is not of 200 to 299 is a *StatusError, or a *review.BusyError where the service wants to be left alone.
func (c *Client) Do(ctx context.Context, q Request) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s: %w", c.name, q.What, fmt.Errorf(format, args...))
	}
	var body io.Reader
	if q.In != nil {
		b, err := encode(q.In)
		if err != nil {
			return fail("it cannot be written as JSON")
		}
		body = bytes.NewReader(b)
	} else if q.Form != nil {
		body = strings.NewReader(q.Form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, c.address(&q), body)
	if err != nil {
		return fail("the address cannot be read")
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	for name, values := range q.Header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", "sallyport")
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json")
	}
	if q.In != nil {
		r.Header.Set("Content-Type", "application/json")
	} else if q.Form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL can hold a secret
		}
		return fail("%w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil && resp.StatusCode < 300 && q.Out != nil {
		return fail("the answer is cut off")
	}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return status(c.name, q.What, resp, answer)
	case q.Out == nil:
		return nil
	case len(answer) > maxAnswer:
		return fail("the answer has more than %d bytes", maxAnswer)
	case json.Unmarshal(answer, q.Out) != nil:
		return fail("the answer is not one of the service's")
	}
	return nil
}

// address is where a request goes.
func (c *Client) address(q *Request) string {
	u := *c.base
	for _, part := range q.Path {
		u.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + "/" + url.PathEscape(part)
		u.Path = strings.TrimSuffix(u.Path, "/") + "/" + part
	}
	if q.Query != nil {
		u.RawQuery = q.Query.Encode()
	}
	return u.String()
}

// encode writes JSON, with mark-up as it is: who counts bytes counts them as they are sent.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// StatusError is an answer that does not say that it was done.
type StatusError struct {
	Service, What string
	Code          int
	Body          []byte // not for messages
}

func (e *StatusError) Error() string {
	if e.Code >= 300 && e.Code < 400 {
		return fmt.Sprintf("%s: %s: the service redirects (%d), which is not followed", e.Service, e.What, e.Code)
	}
	return fmt.Sprintf("%s: %s: the answer has the status %d", e.Service, e.What, e.Code)
}

func status(name, what string, resp *http.Response, body []byte) error {
	err := &StatusError{name, what, resp.StatusCode, body}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if after := webhook.RetryAfter(resp.Header, time.Now()); after > 0 {
			return &review.BusyError{After: after, Err: err}
		}
	}
	return err
}

// Code is the status of an answer that an error is about; 0: it is about none.
func Code(err error) int {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Code
	}
	return 0
}

// Shorten is a text of at most so many characters.
func Shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
