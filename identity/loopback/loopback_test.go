package loopback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity/loopback"
)

func answer(t *testing.T, r *loopback.Receiver, path, host string, q url.Values) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s?%s", r.Port(), path, q.Encode()), nil)
	require.NoError(t, err)
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func begin(t *testing.T) (*loopback.Receiver, string) {
	r, err := loopback.Listen()
	require.NoError(t, err)
	t.Cleanup(r.Close)
	at, err := r.URL("https://gw.example.com/auth/corp/cli?x=1")
	require.NoError(t, err)
	u, err := url.Parse(at)
	require.NoError(t, err)
	require.Equal(t, "1", u.Query().Get("x"))
	return r, u.Query().Get("state")
}

// TestOneAnswer: the wait ends with the answer that knows the state, and with no other;
// then the port is closed.
func TestOneAnswer(t *testing.T) {
	r, state := begin(t)
	for _, c := range []struct {
		name, path, host string
		q                url.Values
		want             int
	}{
		{"another state", "/callback", "", url.Values{"code": {"stolen"}, "state": {"x"}}, http.StatusForbidden},
		{"no state", "/callback", "", url.Values{"code": {"stolen"}}, http.StatusForbidden},
		{"another page", "/", "", url.Values{"code": {"stolen"}, "state": {state}}, http.StatusNotFound},
		{"a name that was bound to this machine", "/callback", "evil.example.com:80", url.Values{"code": {"stolen"}, "state": {state}}, http.StatusMisdirectedRequest},
	} {
		got, _ := answer(t, r, c.path, c.host, c.q)
		require.Equal(t, c.want, got, c.name)
	}
	got, text := answer(t, r, "/callback", "", url.Values{"code": {"c0de"}, "state": {state}})
	require.Equal(t, http.StatusOK, got)
	require.Contains(t, text, "close this page")
	require.NotContains(t, text, "c0de")
	_, _ = answer(t, r, "/callback", "", url.Values{"code": {"second"}, "state": {state}})
	code, err := r.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, "c0de", code)
	_, err = http.Get(fmt.Sprintf("http://127.0.0.1:%d/callback", r.Port()))
	require.Error(t, err, "the port is closed")
}

func TestRefusedAndTimeout(t *testing.T) {
	r, state := begin(t)
	_, _ = answer(t, r, "/callback", "", url.Values{"error": {"access_denied"}, "state": {state}})
	_, err := r.Wait(t.Context())
	require.ErrorContains(t, err, "refused")

	r, _ = begin(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	_, err = r.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
