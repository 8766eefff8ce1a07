package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestForward(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	for name, c := range map[string]*http.Client{"HTTP/1.1": r.client(), "HTTP/2.0": r.client2()} {
		req, err := http.NewRequest("POST", r.url("/a/7?x=1;y&z=%2f"), strings.NewReader("hello"))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer sp_bob")
		res := r.send(c, req, "X-Own", "kept", "Cookie", "a=1; __Host-gateway-x=2; b=3")
		require.Equal(t, http.StatusOK, res.StatusCode, res.text)
		require.Equal(t, name, res.Proto)
		require.Contains(t, res.text, "POST /a/7?x=1;y&z=%2f "+r.host()+"\n")
		require.Contains(t, res.text, "\n\nhello", "the body")
		require.Contains(t, res.text, "X-Own: kept\r\n")
		require.Contains(t, res.text, "Cookie: a=1; b=3\r\n")
		require.NotContains(t, res.text, "sp_bob")
		require.Contains(t, res.text, "X-Forwarded-For: 127.0.0.1\r\n")
		require.Contains(t, res.text, "X-Forwarded-Host: "+r.host()+"\r\n")
		require.Contains(t, res.text, "X-Forwarded-Proto: https\r\n")
	}
	require.Equal(t, []string{"request POST /a/7?x=1;y&z=%2f", "request POST /a/7?x=1;y&z=%2f"}, r.rules.asked())
	require.Eventually(t, func() bool { return len(r.rules.outcomes()) == 2 }, 5*time.Second, time.Millisecond)
	sum := sha256.Sum256([]byte("hello"))
	require.Contains(t, r.rules.outcomes()[0], "POST /a/7 200 <nil> 5 ")
	require.Contains(t, r.rules.outcomes()[0], fmt.Sprintf("in sha256:%x out sha256:", sum))
	s := r.session()
	require.Equal(t, "bob", s.Identity.Subject, "one session for both connections")
	require.Equal(t, "web", s.Protocol)
}

// TestAssertion: the application is told who asks, for it alone, for this request and a minute.
func TestAssertion(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	res := r.get("/x/y", DefaultAssertionHeader, "forged", "X_Gateway_Assertion", "forged", "X-Gateway-User", "root", "Connection", DefaultAssertionHeader+", keep-alive")
	require.NotContains(t, res.text, "forged")
	require.NotContains(t, res.text, "root")
	_, rest, ok := strings.Cut(res.text, DefaultAssertionHeader+": ")
	require.True(t, ok, res.text)
	token, _, _ := strings.Cut(rest, "\r\n")
	keys := r.get(ownPath + "jwks.json")
	require.Equal(t, http.StatusOK, keys.StatusCode)
	claims := verify(t, keys.text, token)
	require.Equal(t, "bob", claims["sub"])
	require.Equal(t, "wiki", claims["aud"])
	require.Equal(t, r.origin("wiki")+"/.gateway", claims["iss"])
	require.Equal(t, "GET", claims["htm"])
	require.Equal(t, "/x/y", claims["htp"])
	require.LessOrEqual(t, claims["exp"].(float64)-claims["iat"].(float64), 60.0)

	// The key changes, and the keys of the time before and of the next are known.
	s := r.handler.Signer
	before, err := s.Keys()
	require.NoError(t, err)
	s.Now = func() time.Time { return time.Now().Add(KeyTime) }
	after, err := s.Keys()
	require.NoError(t, err)
	require.NotEqual(t, string(before), string(after))
	verify(t, string(after), token)
	_, rest, _ = strings.Cut(r.get("/x").text, DefaultAssertionHeader+": ")
	later, _, _ := strings.Cut(rest, "\r\n")
	verify(t, string(before), later)
}

func verify(t *testing.T, jwks, token string) map[string]any {
	t.Helper()
	var set struct{ Keys []struct{ Kid, X, Y string } }
	require.NoError(t, json.Unmarshal([]byte(jwks), &set))
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		require.NoError(t, err)
		return b
	}
	var head struct{ Alg, Kid string }
	require.NoError(t, json.Unmarshal(decode(parts[0]), &head))
	require.Equal(t, "ES256", head.Alg)
	for _, k := range set.Keys {
		if k.Kid != head.Kid {
			continue
		}
		public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(decode(k.X)), Y: new(big.Int).SetBytes(decode(k.Y))}
		sum, sig := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decode(parts[2])
		require.True(t, ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])))
		claims := make(map[string]any)
		require.NoError(t, json.Unmarshal(decode(parts[1]), &claims))
		return claims
	}
	t.Fatalf("no key %s in %s", head.Kid, jwks)
	return nil
}

// browser is one at the rig's applications.
func (r *rig) browser() *http.Client {
	c := r.client()
	jar, err := cookiejar.New(nil)
	require.NoError(r.t, err)
	c.Jar = jar
	return c
}

func (r *rig) open(c *http.Client, at string, headers ...string) *reply {
	r.t.Helper()
	req, err := http.NewRequest("GET", at, nil)
	require.NoError(r.t, err)
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	return r.send(c, req, headers...)
}

// logIn goes to a page, to the login and back, and returns where the browser is led then.
func (r *rig) logIn(c *http.Client, name, path string) string {
	r.t.Helper()
	res := r.open(c, r.origin(name)+path)
	require.Equal(r.t, http.StatusFound, res.StatusCode, res.text)
	page, err := url.Parse(res.Header.Get("Location"))
	require.NoError(r.t, err)
	require.Equal(r.t, "gw.test", page.Host)
	q := page.Query()
	require.Equal(r.t, r.origin(name), q.Get("origin"))
	res = r.open(c, q.Get("origin")+ownPath+"callback?"+url.Values{"state": {q.Get("challenge")}, "code": {r.logins.code(name, q.Get("challenge"))}}.Encode())
	require.Equal(r.t, http.StatusSeeOther, res.StatusCode, res.text)
	return res.Header.Get("Location")
}

// TestLogin: a page leads to the login and back to itself, and what follows is the person's.
func TestLogin(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	c := r.browser()
	require.Equal(t, "/page/1?q=a%20b", r.logIn(c, "wiki", "/page/1?q=a%20b"))
	res := r.open(c, r.url("/page/1?q=a%20b"))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NotContains(t, res.text, "gateway-session", "the cookie is the gateway's alone")
	require.NotContains(t, res.text, "secret-wiki")
	require.Equal(t, "alice", r.session().Identity.Subject)

	// Another application asks for a login of its own.
	require.Equal(t, http.StatusFound, r.open(c, r.origin("other")+"/").StatusCode)
	require.Equal(t, "/", r.logIn(c, "other", "/"))

	// Logging out ends the session, and the cookie proves nothing any more.
	jar := c.Jar.Cookies(must(url.Parse(r.url("/"))))
	req, err := http.NewRequest("POST", r.url(ownPath+"logout"), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, r.send(c, req, "Origin", r.origin("other")).StatusCode, "a page of a sibling logs nobody out")
	req, err = http.NewRequest("POST", r.url(ownPath+"logout"), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.send(c, req, "Origin", r.origin("wiki")).StatusCode)
	bare := r.client()
	req, err = http.NewRequest("GET", r.url("/"), nil)
	require.NoError(t, err)
	for _, cookie := range jar {
		req.AddCookie(cookie)
	}
	require.Equal(t, http.StatusUnauthorized, r.send(bare, req).StatusCode)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestUnproven: a browser that goes to a page is led to the login; everything else is told that it needs one.
func TestUnproven(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), with(Settings{Origins: []string{"https://spa.example.com"}}))
	for _, c := range []struct {
		name    string
		headers []string
		status  int
		cors    string
	}{
		{"a page", []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 302, ""},
		{"a page of an old browser", []string{"Accept", "text/html"}, 302, ""},
		{"curl", []string{"Accept", "*/*"}, 401, ""},
		{"fetch", []string{"Accept", "*/*", "Sec-Fetch-Mode", "cors", "Origin", r.origin("wiki")}, 401, r.origin("wiki")},
		{"fetch of HTML", []string{"Accept", "text/html", "Sec-Fetch-Mode", "same-origin"}, 401, ""},
		{"XHR", []string{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}, 401, ""},
		{"a friend", []string{"Accept", "*/*", "Origin", "https://spa.example.com"}, 401, "https://spa.example.com"},
		{"a stranger", []string{"Accept", "*/*", "Origin", "https://evil.example.com"}, 401, ""},
		{"a wrong token", []string{"Authorization", "Bearer sp_nobody", "Accept", "*/*"}, 401, ""},
		{"a session secret as a token", []string{"Authorization", "Bearer secret-wiki-0", "Accept", "*/*"}, 401, ""},
		{"a WebSocket", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Accept", "text/html"}, 401, ""},
	} {
		req, err := http.NewRequest("GET", r.url("/x"), nil)
		require.NoError(t, err)
		res := r.send(r.client(), req, c.headers...)
		require.Equal(t, c.status, res.StatusCode, c.name)
		require.Equal(t, c.cors, res.Header.Get("Access-Control-Allow-Origin"), c.name)
		if c.status == http.StatusUnauthorized {
			require.Equal(t, `Bearer realm="wiki", login="`+r.url(ownPath+"login")+`"`, res.Header.Get("WWW-Authenticate"), c.name)
		}
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"), c.name)
	}
	grpc := r.do("POST", "/pkg.Service/Do", "", "Authorization", "", "Content-Type", "application/grpc+proto")
	require.Equal(t, []string{"200 OK", "16"}, []string{grpc.Status, grpc.Header.Get("Grpc-Status")})
	require.Empty(t, r.rules.asked())
	require.Empty(t, r.gateway.Sessions())
}

// TestPrograms: a client certificate proves a program, and what the application wants for itself is passed on.
func TestPrograms(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	req := func() *http.Request { return must(http.NewRequest("GET", r.url("/"), nil)) }
	res := r.send(r.client2(pair(r.ca.ClientPEM("carol"))), req(), "Authorization", "Basic YXBwOnB3")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, res.text, "Authorization: Basic YXBwOnB3\r\n")
	require.Equal(t, "carol", r.session().Identity.Subject)
	require.Equal(t, http.StatusUnauthorized, r.send(r.client(pair(r.ca.ClientPEM("mallory"))), req()).StatusCode)
	res = r.send(r.client(), req(), "Proxy-Authorization", "Bearer sp_dave", "Authorization", "Basic YXBwOnB3")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, res.text, "Authorization: Basic YXBwOnB3\r\n")
	require.NotContains(t, res.text, "sp_dave")
}

// TestCredential: the application gets the account's secret, and none that the client sends under its name.
func TestCredential(t *testing.T) {
	for _, c := range []struct {
		name, how, user string
		want            string
	}{
		{"basic", "", "svc", "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("svc:hush")) + "\r\n"},
		{"bearer", "", "", "Authorization: Bearer hush\r\n"},
		{"a header", "X-Api-Key", "svc", "X-Api-Key: hush\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, http.HandlerFunc(echo), with(Settings{Credential: c.how}), func(r *rig) {
				r.resource.Accounts = []proxy.Account{{Name: "default", Username: c.user, Secret: "env:X"}}
				r.gateway.Credentials = proxytest.Credential{Username: c.user, Password: proxy.NewSecret("hush")}
			})
			res := r.get("/", "X-Api-Key", "mine", "X_api_key", "mine", "Proxy-Authorization", "Bearer sp_bob", "Authorization", "Basic bWluZQ==")
			require.Contains(t, res.text, c.want)
			if c.how == "" {
				require.NotContains(t, res.text, "bWluZQ")
			} else {
				require.NotContains(t, res.text, "mine")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	r.rules.Hooks.Ask = nil
	require.Equal(t, http.StatusMisdirectedRequest, r.get("/", "Host", "nothere."+domain+":"+r.port()).StatusCode)
	require.Equal(t, http.StatusMisdirectedRequest, r.get("/", "Host", "other."+domain+":"+r.port()).StatusCode, "the connection is for another host")
	require.Equal(t, http.StatusMisdirectedRequest, r.get("/", "Host", "wiki."+domain+":1").StatusCode, "another port")
	require.Equal(t, http.StatusNotFound, r.get(ownPath+"x").StatusCode)
	require.Equal(t, http.StatusNotFound, r.get("/.GATEWAY/login2").StatusCode)
	require.Equal(t, http.StatusBadRequest, r.get("/", "X-HTTP-Method-Override", "DELETE").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, r.do("TRACE", "/", "").StatusCode)
	require.Empty(t, r.rules.asked(), "nothing of it reaches an application")
}

// TestIdle: a session ends when nobody asks for a while, and the next request opens another.
func TestIdle(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), with(Settings{Idle: 50 * time.Millisecond}))
	r.get("/")
	first := r.session()
	<-first.Context().Done()
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 5*time.Second, time.Millisecond)
	r.get("/")
	require.NotEqual(t, first.ID, r.session().ID)
}

// TestTrailers: what comes after a body comes through, both ways.
func TestTrailers(t *testing.T) {
	r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "got "+q.Trailer.Get("X-In")+q.Trailer.Get("X-Forwarded-For")+q.Trailer.Get("Authorization"))
		w.Header().Set("X-Sum", "42")
	}))
	pr, pw := io.Pipe()
	req := must(http.NewRequest("POST", r.url("/"), pr))
	req.Header.Set("Authorization", "Bearer sp_bob")
	req.Trailer = http.Header{"X-In": nil, "X-Forwarded-For": nil}
	go func() {
		_, _ = io.WriteString(pw, "body")
		req.Trailer.Set("X-In", "seven")
		req.Trailer.Set("X-Forwarded-For", "6.6.6.6")
		pw.Close()
	}()
	res := r.send(r.client2(), req)
	require.Equal(t, "got seven", res.text)
	require.Equal(t, "42", res.Trailer.Get("X-Sum"))
}

// TestLasting: whatever is asked of an application may have no end, so that it ends with the right that it needs.
func TestLasting(t *testing.T) {
	var lasts atomic.Int32
	r := start(t, http.HandlerFunc(echo), func(r *rig) {
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok && q.Lasting {
				lasts.Add(1)
			}
			return proxy.Pass()
		}
	})
	require.Equal(t, http.StatusOK, r.get("/events", "Accept", "text/event-stream").StatusCode)
	require.Equal(t, http.StatusOK, r.get("/download").StatusCode)
	require.EqualValues(t, 2, lasts.Load())
	op, err := Operation(proxy.Target{Resource: r.resource}, "GET /events")
	require.NoError(t, err)
	require.True(t, op.Lasting)
}
