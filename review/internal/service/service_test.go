package service_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/service"
	"github.com/sallyport/sallyport/review/reviewtest"
)

func client(t *testing.T, h *reviewtest.HTTP, below string) *service.Client {
	t.Helper()
	c, err := service.Config{Name: "s", URL: h.URL + below, Private: true, TLS: h.TLS, Header: http.Header{"Authorization": {"Bearer hunter2"}}}.Open()
	require.NoError(t, err)
	return c
}

// TestAddress: parts of a path stay parts, whatever is in them, and nothing of them becomes a query.
func TestAddress(t *testing.T) {
	var asked []string
	h := reviewtest.NewHTTP(t, func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.RequestURI()) })
	for below, want := range map[string]string{"": "", "/": "", "/a%2Fb": "/a%2Fb", "/x/": "/x"} {
		asked = nil
		c := client(t, h, below)
		for _, part := range []string{"..", "a/b", "a?b#c", "ü", "%2e"} {
			require.NoError(t, c.Do(t.Context(), service.Request{What: "ask", Method: http.MethodGet, Path: []string{"v2", part, "end"}, Query: url.Values{"q": {"a&b"}}}))
		}
		require.Equal(t, []string{
			want + "/v2/../end?q=a%26b", want + "/v2/a%2Fb/end?q=a%26b", want + "/v2/a%3Fb%23c/end?q=a%26b", want + "/v2/%C3%BC/end?q=a%26b", want + "/v2/%252e/end?q=a%26b",
		}, asked, below)
	}
	require.NoError(t, client(t, h, "/hook?sig=1").Do(t.Context(), service.Request{What: "ask", Method: http.MethodGet}))
	require.Equal(t, "/hook?sig=1", asked[len(asked)-1])
}

// TestErrors: errors say what was asked of which service, and nothing of what was sent or received.
func TestErrors(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":"hunter2`) }
	h := reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	ask := func(out any) error {
		return client(t, h, "/hunter2").Do(t.Context(), service.Request{What: "ask", Method: http.MethodPost, In: "hunter2", Out: out})
	}
	var out struct{ A string }
	require.EqualError(t, ask(&out), "s: ask: the answer is not one of the service's")
	require.NoError(t, ask(nil), "an answer that is of no interest need not be one")
	answer = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":"`+strings.Repeat("x", 3<<20)+`"}`) }
	require.EqualError(t, ask(&out), "s: ask: the answer has more than 2097152 bytes")
	for code, want := range map[int]string{302: "redirects (302)", 401: "the status 401", 429: "the status 429", 500: "the status 500"} {
		answer = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, "hunter2")
		}
		err := ask(&out)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
		require.Equal(t, code, service.Code(err))
	}
	answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	var busy *review.BusyError
	require.ErrorAs(t, ask(&out), &busy)
	require.Equal(t, 30*time.Second, busy.After)
	require.Equal(t, http.StatusServiceUnavailable, service.Code(busy))
	require.ErrorContains(t, client(t, h, "").Do(t.Context(), service.Request{What: "ask", In: func() {}}), "it cannot be written as JSON")
	require.Zero(t, service.Code(context.Canceled))
}

func TestOpen(t *testing.T) {
	for _, bad := range []string{"", "x", "http://x", "https://", "https://u:hunter2@x", "https://x/#hunter2", "https://x/%zz?hunter2", "ftp://x"} {
		_, err := service.Config{Name: "s", URL: bad}.Open()
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Equal(t, "ab…", service.Shorten("abcd", 3))
	require.Equal(t, "üüü", service.Shorten("üüü", 3))
}
