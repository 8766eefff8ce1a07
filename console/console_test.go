package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/console"
)

func handler(t *testing.T, o console.Options) http.Handler {
	t.Helper()
	h, err := console.Handler(o)
	require.NoError(t, err)
	return h
}

func ask(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

// TestPolicy: the page lets a browser run the console's own scripts, and nothing else.
func TestPolicy(t *testing.T) {
	h := handler(t, console.Options{})
	nonces := make(map[string]bool)
	for _, path := range []string{"/", "/requests/abc", "/connections/a%2Fb?q=%3Cscript%3E", "/no/such/page"} {
		r := ask(h, "GET", path)
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		csp := r.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'", "connect-src 'self'", "require-trusted-types-for 'script'"} {
			require.Contains(t, csp, want)
		}
		for _, never := range []string{"unsafe-inline", "unsafe-eval", "http:", "https:", "*"} {
			require.NotContains(t, csp, never)
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			require.Equal(t, want, r.Header.Get(name), name)
		}
		page := text(t, r)
		require.NotContains(t, page, "<script>", "no script is written into the page")
		require.NotContains(t, page, "%3Cscript")
		nonce := regexp.MustCompile(`nonce="([^"]+)"`).FindStringSubmatch(page)
		require.Len(t, nonce, 2)
		require.False(t, nonces[nonce[1]], "a nonce counts once")
		nonces[nonce[1]] = true
		require.Contains(t, csp, "'nonce-"+strings.ReplaceAll(nonce[1], "&#43;", "+")+"'")
	}
}

// TestPrefix: a console works under any path, and answers for its own only.
func TestPrefix(t *testing.T) {
	h := handler(t, console.Options{Prefix: "/ops/console", API: "/gw", Title: `A "B" <C>`})
	page := text(t, ask(h, "GET", "/ops/console/requests/7"))
	require.Contains(t, page, `data-prefix="/ops/console"`)
	require.Contains(t, page, `data-api="/gw"`)
	require.NotContains(t, page, "<C>")
	asset := regexp.MustCompile(`src="(/ops/console/assets/app-[^"]+)"`).FindStringSubmatch(page)
	require.Len(t, asset, 2)
	require.Equal(t, http.StatusOK, ask(h, "GET", asset[1]).StatusCode)
	for _, path := range []string{"/", "/ops", "/ops/consoles", "/assets/x"} {
		require.Equal(t, http.StatusNotFound, ask(h, "GET", path).StatusCode, path)
	}
	for _, bad := range []string{"console", "/console/", "/a b", "//x", "/a/../b", `/"`} {
		_, err := console.Handler(console.Options{Prefix: bad})
		require.Error(t, err, bad)
		_, err = console.Handler(console.Options{API: bad})
		require.Error(t, err, bad)
	}
}

// TestAssets: files are kept for ever under names that change with them, and nothing else is served.
func TestAssets(t *testing.T) {
	h := handler(t, console.Options{})
	name := regexp.MustCompile(`/assets/app-[^"]+\.js`).FindString(text(t, ask(h, "GET", "/")))
	plain := ask(h, "GET", name)
	require.Equal(t, "public, max-age=31536000, immutable", plain.Header.Get("Cache-Control"))
	require.Equal(t, "text/javascript; charset=utf-8", plain.Header.Get("Content-Type"))
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	for accept, want := range map[string]string{"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "identity": "", "gzip; q=0.0": ""} {
		r := ask(h, "GET", name, "Accept-Encoding", accept)
		require.Equal(t, want, r.Header.Get("Content-Encoding"), accept)
		require.Equal(t, "Accept-Encoding", r.Header.Get("Vary"))
	}
	require.Empty(t, text(t, ask(h, "HEAD", name)))
	// What is kept in gzip's form alone is sent to those who do not read that, too.
	list, err := os.ReadDir("dist")
	require.NoError(t, err)
	packed := 0
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), ".gz")
		if _, err := os.Stat(filepath.Join("dist", name)); !ok || err == nil {
			continue
		}
		packed++
		r := ask(h, "GET", "/assets/"+name)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Empty(t, r.Header.Get("Content-Encoding"))
		require.Equal(t, string(unpacked(t, filepath.Join("dist", e.Name()))), text(t, r))
	}
	require.NotZero(t, packed)
	licences := text(t, ask(h, "GET", "/assets/LICENSES.txt"))
	require.Contains(t, licences, "SIL OPEN FONT LICENSE")
	require.Contains(t, licences, "MIT License")
	for _, path := range []string{"/assets/", "/assets/manifest.json", "/assets/../console.go", "/assets/nothing.js", name + ".gz"} {
		require.Equal(t, http.StatusNotFound, ask(h, "GET", path).StatusCode, path)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		require.Equal(t, http.StatusMethodNotAllowed, ask(h, method, "/").StatusCode, method)
	}
}

// TestKnown: whose request cannot be of anybody is not asked who she is.
func TestKnown(t *testing.T) {
	h := handler(t, console.Options{Known: func(r *http.Request) bool { return r.Header.Get("Cookie") != "" }})
	require.Contains(t, text(t, ask(h, "GET", "/")), `data-known="no"`)
	require.Contains(t, text(t, ask(h, "GET", "/", "Cookie", "a=b")), `data-known="maybe"`)
}
