// Package external finds sensitive values by asking an analyzer outside of the
// process: Presidio's, or a language model that speaks OpenAI's chat API. It is
// for what rules do not find, such as names in languages that the built-in model
// was not trained on, and costs a request a text. Nothing uses it by itself.
package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport/sallyport/detect"
)

// API is what an analyzer speaks.
type API uint8

// The APIs.
const (
	Presidio API = iota // POST /analyze of Presidio's analyzer
	Chat                // POST /chat/completions of OpenAI and those compatible with it
)

// Config says where the analyzer is and how long it is waited for.
type Config struct {
	// URL is where requests go, such as http://127.0.0.1:5002/analyze or
	// https://llm.internal/v1/chat/completions. Without TLS it must be on this
	// machine.
	URL string
	API API
	// Key is sent as a bearer token, when it is not empty.
	Key string
	// Model is the language model's name; with [Chat] only.
	Model string
	// Language is the texts'; empty is en.
	Language string
	// LeastScore is the certainty, 0–1, below which findings are ignored.
	LeastScore float64
	// Types are the names that the analyzer uses for types which have others here.
	Types map[string]detect.Type
	// Timeout is how long one text is waited for; 0 is 2 s.
	Timeout time.Duration
	// Failures in a row open the breaker, 0 is 5: then nobody is asked for the time
	// of Pause, 0 is 30 s, after which one request tries again.
	Failures int
	Pause    time.Duration
	// Open lets texts pass as they are that could not be analyzed. By default
	// [Analyzer.Find] then fails, and what is masked is refused.
	Open bool
	// MaxText bounds texts in bytes, 0 is 16 KiB. A longer one counts as one that
	// could not be analyzed.
	MaxText int
	// Client sends the requests; nil is one of its own that follows no redirects.
	Client *http.Client
}

// Analyzer asks an analyzer. It is safe for concurrent use.
type Analyzer struct {
	c Config

	mu       sync.Mutex
	failures int
	until    time.Time // the breaker is open until then; zero is closed
	trying   bool      // one request finds out whether it may be closed
}

// ErrUnavailable says that an analyzer is not asked because it failed before.
var ErrUnavailable = errors.New("the external analyzer failed before and is not asked")

const maxAnswer = 1 << 20

// New returns an analyzer, or an error that says what is wrong with c.
func New(c Config) (*Analyzer, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("external analyzer: its URL must be http or https with a host")
	}
	if u.User != nil {
		return nil, errors.New("external analyzer: its URL must not hold a password; it has a key")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, errors.New("external analyzer: texts do not leave this machine without TLS: use https")
	}
	if c.API > Chat {
		return nil, errors.New("external analyzer: unknown API")
	}
	if (c.API == Chat) != (c.Model != "") {
		return nil, errors.New("external analyzer: a chat API, and no other, needs a model")
	}
	if c.LeastScore < 0 || c.LeastScore > 1 || c.Timeout < 0 || c.Failures < 0 || c.Pause < 0 || c.MaxText < 0 {
		return nil, errors.New("external analyzer: a limit is out of range")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Timeout, 2*time.Second)
	def(&c.Pause, 30*time.Second)
	if c.Failures == 0 {
		c.Failures = 5
	}
	if c.MaxText == 0 {
		c.MaxText = 16 << 10
	}
	if c.Language == "" {
		c.Language = "en"
	}
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Analyzer{c: c}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Find appends to dst what the analyzer finds in text, as byte offsets, and
// returns it. When it cannot be asked, does not answer in time or answers what
// cannot be understood, Find fails, or returns dst when the analyzer fails open.
// Errors do not hold the text.
func (a *Analyzer) Find(ctx context.Context, dst []detect.Finding, text []byte) ([]detect.Finding, error) {
	found, err := a.find(ctx, dst, text)
	if err == nil {
		return found, nil
	}
	if a.c.Open && ctx.Err() == nil {
		return dst, nil
	}
	return dst, fmt.Errorf("analyze a text: %w", err)
}

func (a *Analyzer) find(ctx context.Context, dst []detect.Finding, text []byte) ([]detect.Finding, error) {
	if len(text) > a.c.MaxText {
		return nil, fmt.Errorf("it has %d bytes, and the limit is %d", len(text), a.c.MaxText)
	}
	if !a.enter() {
		return nil, ErrUnavailable
	}
	deadline, cancel := context.WithTimeout(ctx, a.c.Timeout)
	defer cancel()
	found, err := a.ask(deadline, dst, text)
	a.leave(err == nil, ctx.Err() != nil)
	return found, err
}

// enter reports whether a request may be sent.
func (a *Analyzer) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until.IsZero() {
		return true
	}
	if a.trying || time.Now().Before(a.until) {
		return false
	}
	a.trying = true
	return true
}

// leave notes how a request ended; one that its asker gave up says nothing.
func (a *Analyzer) leave(ok, gaveUp bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trying = false
	switch {
	case ok:
		a.failures, a.until = 0, time.Time{}
	case gaveUp:
	default:
		if a.failures++; a.failures >= a.c.Failures {
			a.until = time.Now().Add(a.c.Pause)
		}
	}
}

func (a *Analyzer) ask(ctx context.Context, dst []detect.Finding, text []byte) ([]detect.Finding, error) {
	var body any
	if a.c.API == Chat {
		body = a.question(text)
	} else {
		body = analyzeRequest{Text: string(text), Language: a.c.Language, Threshold: a.c.LeastScore}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, errors.New("the text cannot be written as JSON")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.c.URL, bytes.NewReader(b))
	if err != nil {
		return nil, errors.New("no request can be made")
	}
	req.Header.Set("Content-Type", "application/json")
	if a.c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+a.c.Key)
	}
	resp, err := a.c.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the analyzer: %w", unwrapURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the analyzer answered %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the analyzer's answer: %w", unwrapURL(err))
	}
	if len(answer) > maxAnswer {
		return nil, errors.New("the analyzer's answer is too long")
	}
	if a.c.API == Chat {
		return a.heard(dst, text, answer)
	}
	return a.analyzed(dst, text, answer)
}

// unwrapURL leaves out the address, which errors of net/http repeat.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (a *Analyzer) typeOf(name string) detect.Type {
	if t, ok := a.c.Types[name]; ok {
		return t
	}
	return detect.TypeNamed(name)
}
