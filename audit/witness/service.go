package witness

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport/sallyport/audit"
)

// Config names a service that speaks C2SP tlog-witness. All but Timeout and TLS
// are needed.
type Config struct {
	URL    string // https, of the submission prefix; http only to loopback
	Called string
	// Keys are those of the witness, NAME+HASH+KEY. A head counts as witnessed when
	// it is cosigned by one of them.
	Keys    []string
	TLS     *tls.Config   // nil is the system's roots
	Timeout time.Duration // of a request; 0 is 15 s
}

// Service is a witness that verifies that each head continues the one before, and
// cosigns it. It is used by one log.
type Service struct {
	config Config
	url    string
	keys   []note.Verifier
	client *http.Client
	known  int64 // sessions of the head that it cosigned last, as far as is known
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// NewService checks c and returns its witness.
func NewService(c Config) (*Service, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("witness: the URL must be https://host/prefix")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("witness: the URL must be https")
	}
	s := &Service{config: c, url: strings.TrimSuffix(c.URL, "/") + "/add-checkpoint"}
	for _, k := range c.Keys {
		v, err := audit.ParseWitnessKey(k)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, v)
	}
	if len(s.keys) == 0 {
		return nil, errors.New("witness: no key to verify its cosignatures by")
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	s.client = &http.Client{
		Timeout:       c.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Name returns Called.
func (s *Service) Name() string { return s.config.Called }

// Close closes idle connections.
func (s *Service) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Add has the witness cosign a head.
func (s *Service) Add(ctx context.Context, h audit.Head) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		if s.known > h.N {
			return nil, &audit.ConflictError{Err: fmt.Errorf("the witness cosigned a head of %d sealed sessions, and the log has %d: it was set back", s.known, h.N)}
		}
		status, kind, body, err := s.post(ctx, h)
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusOK:
			lines, err := audit.Cosignatures(h.Note, body, s.keys...)
			if err == nil && lines == nil {
				err = errors.New("witness: what it answers is cosigned by none of its keys")
			}
			if err == nil {
				s.known = h.N
			}
			return lines, err
		case http.StatusConflict:
			size, err := strconv.ParseInt(strings.TrimSuffix(string(body), "\n"), 10, 64)
			if kind != "text/x.tlog.size" || err != nil || size < 0 || size == s.known {
				return nil, &audit.ConflictError{Err: fmt.Errorf("the witness cosigned another head of %d sealed sessions: the log was replaced since", s.known)}
			}
			if s.known = size; attempt > 2 {
				return nil, errors.New("witness: another gateway is adding heads of this log")
			}
		case http.StatusUnprocessableEntity:
			return nil, &audit.ConflictError{Err: fmt.Errorf("the log does not continue the head of %d sealed sessions that the witness cosigned: it was replaced since", s.known)}
		case http.StatusNotFound:
			return nil, errors.New("witness: it does not know this log: give it the log's public key")
		case http.StatusForbidden:
			return nil, errors.New("witness: it does not trust this log's key")
		default:
			return nil, fmt.Errorf("witness: it answers %d", status)
		}
	}
}

// post sends a head with the proof that it continues the one that the witness
// knows.
func (s *Service) post(ctx context.Context, h audit.Head) (status int, kind string, answer []byte, err error) {
	proof, err := h.ProveFrom(s.known)
	if err != nil {
		return 0, "", nil, err
	}
	body := fmt.Appendf(nil, "old %d\n", s.known)
	for _, hash := range proof {
		body = fmt.Appendf(body, "%s\n", hash)
	}
	body = append(append(body, '\n'), h.Note...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, errors.New("witness: no request")
	}
	req.Header.Set("User-Agent", "sallyport")
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, "", nil, fmt.Errorf("witness: %w", err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, "", nil, fmt.Errorf("witness: %w", err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer, nil
}
