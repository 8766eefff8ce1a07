package webhook

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Endpoint is where messages are posted.
type Endpoint struct {
	URL string // https; http only to loopback with Private, or with Plaintext
	// Private lets the endpoint be on a private or loopback address. Otherwise such
	// are refused, whatever the name leads to at the time of the connection.
	Private   bool
	Plaintext bool          // http to elsewhere than loopback; then who is on the way reads the messages
	Timeout   time.Duration // of a request
	TLS       *tls.Config   // nil is the system's roots
}

// Open checks e and returns its URL and what posts to it: without a proxy, which would be
// the one to look names up, and without following redirects.
func (e Endpoint) Open() (*url.URL, *http.Client, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, nil, errors.New("webhook: the URL must be https://host/path without a user in it")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && (e.Plaintext || isLoopback(u.Hostname()) && e.Private):
	default:
		return nil, nil, errors.New("webhook: the URL must be https")
	}
	transport := &http.Transport{
		DialContext: Guard{Private: e.Private}.Dial, TLSClientConfig: e.TLS, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: e.Timeout,
		ResponseHeaderTimeout: e.Timeout, MaxResponseHeaderBytes: 64 << 10,
	}
	return u, &http.Client{Transport: transport, Timeout: e.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // where messages go is the operator's to say
	}}, nil
}

// Failed is an error of a request without the URL, which can hold a secret.
func Failed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
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
