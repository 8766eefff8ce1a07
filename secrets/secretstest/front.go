package secretstest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Mode is what a Front does to requests.
type Mode uint8

// Modes of a Front.
const (
	Works     Mode = iota
	Down           // the connection is cut
	Stalls         // there is no answer
	Refuses        // 403, with the canary in the body
	Fails          // 500, with the canary in the body
	Garbage        // 200, with the canary in a body that is not what was asked for
	Endless        // 200, with a body that does not end
	Redirects      // 307 to another server, which keeps what it is sent
)

// Front is an HTTP server in front of a service, real or not, that fails as it is told. Its zero value is
// not usable; see NewFront.
type Front struct {
	URL string

	mu        sync.Mutex
	mode      Mode
	canary    string
	requests  int
	elsewhere []string // requests that were sent where they should not be
	released  chan struct{}
}

// NewFront serves h until the test ends.
func NewFront(t testing.TB, h http.Handler) *Front {
	t.Helper()
	f := &Front{released: make(chan struct{})}
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.elsewhere = append(f.elsewhere, fmt.Sprint(r.URL, r.Header))
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, h, other.URL) }))
	f.URL = s.URL
	t.Cleanup(func() {
		close(f.released)
		s.Close()
		other.Close()
	})
	return f
}

// Set makes f behave in a mode. canary is what its bodies hold.
func (f *Front) Set(m Mode, canary string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode, f.canary = m, canary
}

// Requests returns how many requests have come.
func (f *Front) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *Front) misled() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elsewhere
}

func (f *Front) serve(w http.ResponseWriter, r *http.Request, h http.Handler, other string) {
	f.mu.Lock()
	f.requests++
	mode, canary := f.mode, f.canary
	f.mu.Unlock()
	body := fmt.Sprintf(`{"errors":[%q],"message":%q,"__type":%q,"data":%q,"error":%q,"error_description":%q}`, canary, canary, canary, canary, canary, canary)
	switch mode {
	case Works:
		h.ServeHTTP(w, r)
	case Down:
		panic(http.ErrAbortHandler)
	case Stalls:
		select {
		case <-r.Context().Done():
		case <-f.released:
		}
	case Refuses:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, body)
	case Fails:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, body)
	case Garbage:
		fmt.Fprint(w, "<html>"+canary)
	case Endless:
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, strings.Repeat(canary, 1000)); err != nil {
				return
			}
		}
	case Redirects:
		http.Redirect(w, r, other+"/", http.StatusTemporaryRedirect)
	}
}
