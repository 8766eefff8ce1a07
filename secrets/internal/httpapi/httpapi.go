// Package httpapi asks services for secrets over HTTP: bounded, encrypted, without following redirects, and
// with errors that hold nothing of what was sent or received.
package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/secrets"
)

// maxBody bounds answers.
const maxBody = 1 << 20

// Client asks one service.
type Client struct {
	Name string // of the service, for errors
	HTTP *http.Client
}

// New returns a client of a service, which tells the service's name in errors. t is how the connection is
// protected; nil is what the system trusts.
func New(name string, t *tls.Config) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if t == nil {
		t = &tls.Config{}
	}
	transport.TLSClientConfig = t.Clone()
	transport.TLSClientConfig.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	transport.MaxResponseHeaderBytes = 64 << 10
	transport.ResponseHeaderTimeout = 30 * time.Second
	return &Client{Name: name, HTTP: &http.Client{
		Transport: transport,
		// A redirect would take the gateway's token to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// TLS is how a service is verified, and what the gateway shows it; nil for what the system trusts.
func TLS(roots *x509.CertPool, own *tls.Certificate) *tls.Config {
	t := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if own != nil {
		t.Certificates = []tls.Certificate{*own}
	}
	return t
}

// Direct returns a client of a service that the machine itself has, such as a cloud's metadata: it
// is asked without encryption, and never through a proxy.
func Direct(name string) *Client {
	c := New(name, nil)
	c.HTTP.Transport.(*http.Transport).Proxy = nil
	return c
}

// Form sends a form and decodes the answer into out.
func (c *Client) Form(ctx context.Context, address string, form url.Values, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%s: the address of the request cannot be read", c.Name)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	answer, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	return c.Decode(answer, out)
}

// Base returns the address of a service: https, or http on the loopback interface.
func Base(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the service's address is not a URL of scheme, host and port")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return nil, fmt.Errorf("the service's address %s is not encrypted: want https", u)
	}
	return u, nil
}

// Status is an answer that is not 200 to 299.
type Status struct {
	Service string
	Code    int
	Body    []byte // not for messages
}

// Error says which service answered with which number.
func (s *Status) Error() string { return fmt.Sprintf("%s answered %d", s.Service, s.Code) }

// Unwrap returns the kind of failure.
func (s *Status) Unwrap() error {
	switch {
	case s.Code == http.StatusUnauthorized || s.Code == http.StatusForbidden:
		return secrets.ErrDenied
	case s.Code == http.StatusNotFound:
		return secrets.ErrNotFound
	case s.Code == http.StatusTooManyRequests || s.Code >= 500:
		return secrets.ErrUnavailable
	}
	return nil
}

// Do sends a request and returns the body of an answer of 200 to 299. Every other answer is a *Status.
func (c *Client) Do(ctx context.Context, r *http.Request) ([]byte, error) {
	resp, err := c.HTTP.Do(r.WithContext(ctx))
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%s sent more than %d bytes: %w", c.Name, maxBody, secrets.ErrTooLarge)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, &Status{Service: c.Name, Code: resp.StatusCode, Body: body}
	}
	return body, nil
}

// failed says that no whole answer came. The URL, which may be signed, is left out.
func (c *Client) failed(ctx context.Context, err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w: %w", c.Name, secrets.ErrUnavailable, cause)
	}
	return fmt.Errorf("%s: %w: %w", c.Name, secrets.ErrUnavailable, err)
}

// JSON sends in, when it is not nil, and decodes the answer into out, when that is not nil.
func (c *Client) JSON(ctx context.Context, method, address string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: the request cannot be written", c.Name)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("%s: the address of the request cannot be read", c.Name)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Do(ctx, r)
	if err != nil || out == nil {
		return err
	}
	return c.Decode(answer, out)
}

// Decode reads JSON. The error of the JSON package is left out, since it may quote the text.
func (c *Client) Decode(text []byte, out any) error {
	if json.Unmarshal(text, out) != nil {
		return fmt.Errorf("%s sent what is not the JSON that was asked for: %w", c.Name, secrets.ErrType)
	}
	return nil
}
