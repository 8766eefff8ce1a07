package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// TestConsoleOnlyIfAsked: there are pages, and cookies for passwords, where the config file asks for the console and nowhere else; a change
// of the file takes effect at once, and addresses of the API are never pages.
func TestConsoleOnlyIfAsked(t *testing.T) {
	text := func(console string) string {
		return fmt.Sprintf("api: {listen: \"127.0.0.1:0\", url: \"https://gw.example.com\"%s}\nidentity: {users: [{name: alice, password: %s}]}\n", console, verifier(t))
	}
	h := open(t, t.TempDir(), text(""))
	ask := func(method, path, body string) *http.Response {
		r := httptest.NewRequest(method, "https://gw.example.com"+path, strings.NewReader(body))
		r.TLS = &tls.ConnectionState{}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.API().ServeHTTP(w, r)
		return w.Result()
	}
	const login = `{"user": "alice", "password": "wonder", "cookie": true}`
	for _, on := range []bool{false, true, false} {
		if on {
			require.NoError(t, h.Apply(h.file(t, text(", console: true"))))
		} else {
			require.NoError(t, h.Apply(h.file(t, text(""))))
		}
		for _, path := range []string{"/", "/requests/abc", "/connections"} {
			r := ask("GET", path, "")
			require.Equal(t, on, r.StatusCode == http.StatusOK && strings.HasPrefix(r.Header.Get("Content-Type"), "text/html"), path)
			require.Equal(t, !on, r.StatusCode == http.StatusNotFound, path)
		}
		r := ask("POST", "/v1/login", login)
		require.Equal(t, on, r.StatusCode == http.StatusOK)
		require.Equal(t, on, len(r.Cookies()) == 1 && r.Cookies()[0].Name == control.SessionCookie)
		for _, path := range []string{"/v1/nothing", "/v1/", "/auth/nothing", "/link/nothing", "/scim/v2/Users", "/slack/x"} {
			r := ask("GET", path, "")
			require.NotEqual(t, http.StatusOK, r.StatusCode, path)
			require.NotContains(t, r.Header.Get("Content-Security-Policy"), "script-src", path)
		}
		want := "https://gw.example.com/v1/requests/abc"
		if on {
			want = "https://gw.example.com/requests/abc"
		}
		require.Equal(t, want, h.parts().config.RequestURL("abc"))
	}
}
