package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// TestAttackSmuggling: whatever a client writes, the application reads as many requests as were decided about.
func TestAttackSmuggling(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	head := "Host: " + r.host() + "\r\nAuthorization: Bearer sp_bob\r\nConnection: close\r\n"
	for name, c := range map[string]struct {
		text   string
		status string // of the answer
		asked  []string
	}{
		"both lengths":                 {"POST /a HTTP/1.1\r\n" + head + "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "200", []string{"request POST /a"}},
		"two lengths":                  {"POST /a HTTP/1.1\r\n" + head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", "400", nil},
		"an encoding that is not one":  {"POST /a HTTP/1.1\r\n" + head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501", nil},
		"two encodings":                {"POST /a HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "501", nil},
		"a name with a space":          {"POST /a HTTP/1.1\r\n" + head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400", nil},
		"a folded header":              {"GET /a HTTP/1.1\r\n" + head + "X-A: b\r\n\tX-B: c\r\n\r\n", "", nil},
		"a bare CR in a value":         {"GET /a HTTP/1.1\r\n" + head + "X-A: b\rX-Forwarded-For: 1\r\n\r\n", "400", nil},
		"a bare CR in the line":        {"GET /a\rb HTTP/1.1\r\n" + head + "\r\n", "400", nil},
		"a bad chunk":                  {"POST /a HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", "", nil},
		"a whole address":              {"GET http://" + r.host() + "/a HTTP/1.1\r\n" + head + "\r\n", "400", nil},
		"a whole address of another":   {"GET http://evil.test/a HTTP/1.1\r\n" + head + "\r\n", "400", nil},
		"two hosts":                    {"GET /a HTTP/1.1\r\nHost: evil.test\r\n" + head + "\r\n", "400", nil},
		"no host":                      {"GET /a HTTP/1.1\r\nAuthorization: Bearer sp_bob\r\n\r\n", "400", nil},
		"CONNECT":                      {"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + head + "\r\n", "405", nil},
		"h2c":                          {"GET /a HTTP/1.1\r\n" + head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "400", nil},
		"h2c and websocket":            {"GET /a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", "400", nil},
		"two upgrades":                 {"GET /a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", "400", nil},
		"an upgrade with a body":       {"GET /a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", "400", nil},
		"an upgrade by POST":           {"POST /a HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", "400", nil},
		"HTTP/2's preface in HTTP/1.1": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", nil},
		"another method in a header":   {"POST /a HTTP/1.1\r\n" + head + "X_HTTP_Method_Override: DELETE\r\nContent-Length: 0\r\n\r\n", "400", nil},
		"two tokens":                   {"GET /a HTTP/1.1\r\n" + head + "Authorization: Bearer sp_root\r\n\r\n", "400", nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.rules.asked())
			got := r.raw(c.text)
			if c.status != "" {
				require.True(t, strings.HasPrefix(got, "HTTP/1.1 "+c.status) || strings.HasPrefix(got, "HTTP/1.0 "+c.status), "%q", got)
			}
			asked := r.rules.asked()[before:]
			require.NotContains(t, fmt.Sprint(asked), "/admin")
			if c.status != "" {
				require.ElementsMatch(t, c.asked, asked)
			}
		})
	}
}

// TestAttackHeaders: what a client writes under names that the gateway uses does not reach the application, however it is written,
// and nothing of the client's takes away what the gateway sets.
func TestAttackHeaders(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), with(Settings{AssertionHeader: "X-Assertion"}))
	for _, name := range []string{
		"X-Assertion", "x-assertion", "X_Assertion", "X-Gateway-Assertion", "X_Gateway_User", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Host", "X-Forwarded-User",
		"Forwarded", "X-Real-IP", "X_Real_Ip", "X-Original-URL", "X-Rewrite-URL", "Via", "Proxy-Authorization", "Proxy_Authorization",
	} {
		res := r.get("/", name, "evil")
		require.NotContains(t, res.text, "evil", name)
		require.Contains(t, res.text, "X-Assertion: ey", name)
	}
	for _, name := range []string{"X-Assertion", "x-assertion, Authorization", "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto", "close, X-Assertion"} {
		res := r.get("/", "Connection", name)
		require.Contains(t, res.text, "X-Assertion: ey", name)
		require.Contains(t, res.text, "X-Forwarded-For: 127.0.0.1", name)
		require.Contains(t, res.text, "X-Forwarded-Proto: https", name)
	}
	require.NotContains(t, r.get("/", "Cookie", "__Host-gateway-session=x; __Host-session=y; a=b").text, "__Host")
}

// TestAttackPaths: every way to write a path is judged as what the application gets.
func TestAttackPaths(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	for in, want := range map[string]string{
		"/admin":            "/admin",
		"//admin":           "/admin",
		"/./admin":          "/admin",
		"/x/../admin":       "/admin",
		"/%61dmin":          "/admin",
		"/%41dmin":          "/Admin",
		"/x/%2e%2e/admin":   "/admin",
		"/x/.%2E/admin/":    "/admin/",
		"/admin/.":          "/admin/",
		"/../../admin":      "/admin",
		"/a%20b":            "/a%20b",
		"/%e2%82%ac":        "/%E2%82%AC",
		"/a+b@c:d,e=f!":     "/a+b@c:d,e=f!",
		"/q%3Fx":            "/q%3Fx",
		"/%25%32%66":        "/%252f",
		"/a///b////":        "/a/b/",
		"/.gatewayx/public": "/.gatewayx/public",
	} {
		got := r.raw("GET " + in + " HTTP/1.1\r\nHost: " + r.host() + "\r\nAuthorization: Bearer sp_bob\r\nConnection: close\r\n\r\n")
		require.Contains(t, got, "\r\n\r\nGET "+want+" wiki.", in)
		asked := r.rules.asked()
		decoded, err := url.PathUnescape(want)
		require.NoError(t, err)
		require.Equal(t, "request GET "+decoded, asked[len(asked)-1], in)
	}
	before := len(r.rules.asked())
	for _, in := range []string{"/a%2fb", "/a%5Cb", `/a\b`, "/admin;x=1", "/a%3Bb", "/a%00b", "/a%0d%0ab", "/a%zz", "/a%2", "/..%2fadmin", "*"} {
		got := r.raw("GET " + in + " HTTP/1.1\r\nHost: " + r.host() + "\r\nAuthorization: Bearer sp_bob\r\nConnection: close\r\n\r\n")
		require.True(t, strings.HasPrefix(got, "HTTP/1.1 400"), "%s: %q", in, got)
	}
	require.Len(t, r.rules.asked(), before)

	// Where the operator takes such paths, they are judged with slashes, and without a way out.
	s := &Settings{EncodedSlashes: true, PathParameters: true}
	path, sent, err := normal("/a%2fb/c;d", s)
	require.NoError(t, err)
	require.Equal(t, []string{"/a/b/c;d", "/a%2Fb/c;d"}, []string{path, sent})
	for _, in := range []string{"/a%2f..%2fb", "/a%5c..%5cb", "/..%2f"} {
		_, _, err = normal(in, s)
		require.Error(t, err, in)
	}
}

// TestAttackLogin: a login ends in the browser that has begun it, once, and leads nowhere else.
func TestAttackLogin(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	begin := func(c *http.Client, path string) (challenge string) {
		res := r.open(c, r.url(path))
		require.Equal(t, http.StatusFound, res.StatusCode)
		return must(url.Parse(res.Header.Get("Location"))).Query().Get("challenge")
	}
	end := func(c *http.Client, challenge, code string) *reply {
		return r.open(c, r.url(ownPath+"callback?"+url.Values{"state": {challenge}, "code": {code}}.Encode()))
	}
	victim, attacker := r.browser(), r.browser()
	mine := begin(attacker, "/")
	require.Equal(t, http.StatusForbidden, end(victim, mine, r.logins.code("wiki", mine)).StatusCode, "login CSRF: the victim would work as the attacker")
	require.Equal(t, http.StatusFound, r.open(victim, r.url("/")).StatusCode)

	theirs := begin(victim, "/")
	code := r.logins.code("wiki", theirs)
	require.Equal(t, http.StatusForbidden, end(attacker, theirs, code).StatusCode, "a code that leaked is of no use")
	require.Equal(t, http.StatusForbidden, end(attacker, mine, code).StatusCode, "nor with a challenge of one's own")
	require.Equal(t, http.StatusForbidden, end(victim, theirs, code).StatusCode, "and counts no more, since it was shown")

	theirs = begin(victim, "/")
	require.Equal(t, http.StatusForbidden, end(victim, theirs, r.logins.code("other", theirs)).StatusCode, "a code for another application")
	theirs = begin(victim, "/a")
	code = r.logins.code("wiki", theirs)
	require.Equal(t, http.StatusSeeOther, end(victim, theirs, code).StatusCode)
	require.Equal(t, http.StatusForbidden, end(victim, theirs, code).StatusCode, "twice")

	// Where it leads to is a path of the application's.
	for _, to := range []string{"https://evil.test/", "//evil.test/", `/\evil.test/`, `\/evil.test`, "/\t/evil.test", "javascript:alert(1)", "/x\r\nSet-Cookie: a=b", "", "evil"} {
		require.Equal(t, "/", local(to), to)
		c := r.browser()
		res := r.open(c, r.url(ownPath+"login?"+url.Values{"return": {to}}.Encode()))
		challenge := must(url.Parse(res.Header.Get("Location"))).Query().Get("challenge")
		require.Equal(t, "/", end(c, challenge, r.logins.code("wiki", challenge)).Header.Get("Location"), to)
	}
	// The path of a request that would be read as another host leads into the application.
	c := r.browser()
	require.Equal(t, "/evil.test/x", r.logIn(c, "wiki", "//evil.test/x"))

	// The cookie is for this host alone, no script reads it, and it is of no use elsewhere.
	var secret string
	for _, cookie := range c.Jar.Cookies(must(url.Parse(r.url("/")))) {
		if cookie.Name == sessionCookie {
			secret = cookie.Value
		}
	}
	require.NotEmpty(t, secret)
	req := must(http.NewRequest("GET", r.origin("other")+"/", nil))
	require.Equal(t, http.StatusUnauthorized, r.send(r.client(), req, "Cookie", sessionCookie+"="+secret).StatusCode)
	req = must(http.NewRequest("GET", r.url("/"), nil))
	require.Equal(t, http.StatusBadRequest, r.send(r.client(), req, "Cookie", sessionCookie+"="+secret+"; "+sessionCookie+"=tossed").StatusCode)
}

// TestCookieAttributes: cookies are bound to the host and TLS.
func TestCookieAttributes(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	res := r.open(r.client(), r.url("/"))
	line := res.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-gateway-login-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Max-Age=600"} {
		require.Contains(t, line, want)
	}
	require.NotContains(t, line, "Domain")
}

// TestAttackOrigins: pages of other origins have a browser do nothing with its login.
func TestAttackOrigins(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), with(Settings{Origins: []string{"https://spa.example.com"}}))
	c := r.browser()
	r.logIn(c, "wiki", "/")
	post := func(headers ...string) int {
		return r.send(c, must(http.NewRequest("POST", r.url("/x"), strings.NewReader("a=b"))), headers...).StatusCode
	}
	socket := func(headers ...string) int {
		req := must(http.NewRequest("GET", r.url("/ws"), nil))
		return r.send(c, req, append([]string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, headers...)...).StatusCode
	}
	for _, ask := range []func(...string) int{post, socket} {
		require.Equal(t, 200, ask("Origin", r.origin("wiki")))
		require.Equal(t, 200, ask("Origin", "https://spa.example.com", "Sec-Fetch-Site", "cross-site"))
		require.Equal(t, 403, ask("Origin", r.origin("other"), "Sec-Fetch-Site", "same-site"), "a sibling")
		require.Equal(t, 403, ask("Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"))
		require.Equal(t, 403, ask("Origin", "null"))
		require.Equal(t, 403, ask("Origin", "http://"+r.host()), "without TLS")
	}
	require.Equal(t, 403, post("Sec-Fetch-Site", "same-site"))
	require.Equal(t, 200, post("Sec-Fetch-Site", "same-origin"))
	// A token was put into the request by who sends it.
	require.Equal(t, 200, r.do("POST", "/x", "", "Origin", "https://evil.test").StatusCode)

	// Whether a page of another origin may ask is said by the settings, without a login.
	preflight := func(origin string) *reply {
		return r.send(r.client(), must(http.NewRequest("OPTIONS", r.url("/x"), nil)), "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-a")
	}
	friend := preflight("https://spa.example.com")
	require.Equal(t, http.StatusNoContent, friend.StatusCode)
	require.Equal(t, []string{"https://spa.example.com", "PUT", "x-a"}, []string{friend.Header.Get("Access-Control-Allow-Origin"), friend.Header.Get("Access-Control-Allow-Methods"), friend.Header.Get("Access-Control-Allow-Headers")})
	stranger := preflight("https://evil.test")
	require.Equal(t, http.StatusForbidden, stranger.StatusCode)
	require.Empty(t, stranger.Header.Get("Access-Control-Allow-Origin"))
}

// TestAttackResponses: what an application answers splits nothing, sets no cookie of the gateway's, and leads nowhere around it.
func TestAttackResponses(t *testing.T) {
	answers := map[string]string{
		"/cookie":   "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-gateway-session=evil; Path=/; Secure\r\nSet-Cookie: own=1\r\nAlt-Svc: h3=\":443\"\r\nX-Gateway-Request: evil\r\nContent-Length: 2\r\n\r\nok",
		"/split":    "HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok",
		"/two":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok",
		"/extra":    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"/redirect": "HTTP/1.1 302 Found\r\nLocation: http://UPSTREAM/next?a=b\r\nContent-Length: 0\r\n\r\n",
		"/switch":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"/ok":       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
	}
	at := ""
	at = rawServer(t, func(req *http.Request, c net.Conn) {
		if req.URL.Path == "/flood" {
			for range 100000 {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </"+strings.Repeat("x", 200)+">\r\n\r\n"); err != nil {
					return
				}
			}
			return
		}
		_, _ = io.WriteString(c, strings.ReplaceAll(answers[req.URL.Path], "UPSTREAM", at))
	})
	r := startAt(t, at)
	res := r.get("/cookie")
	require.Equal(t, []string{"own=1"}, res.Header["Set-Cookie"])
	require.Empty(t, res.Header.Get("Alt-Svc"))
	require.Empty(t, res.Header.Get("X-Gateway-Request"))
	split := r.get("/split")
	require.Empty(t, split.Header["Set-Cookie"])
	require.Equal(t, http.StatusBadGateway, r.get("/two").StatusCode)
	require.Equal(t, "ok", r.get("/extra").text)
	require.Equal(t, "fine", r.get("/ok").text, "what follows an answer is the answer to no other request")
	require.Equal(t, r.url("/next?a=b"), r.get("/redirect").Header.Get("Location"))
	require.Equal(t, http.StatusBadGateway, r.get("/switch").StatusCode)
	require.Equal(t, http.StatusBadGateway, r.get("/flood").StatusCode)
}

// TestAttackUpstreams: the name of a resource that comes to mean the machine's own network is not talked to.
func TestAttackUpstreams(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), func(r *rig) {
		r.gateway.Dialer = rebound{r.resource.Address}
		r.resource.Address = "app.example.com:80"
	})
	require.Equal(t, http.StatusBadGateway, r.get("/").StatusCode)
}

// TestAttackSlow: a client that is slow with its header holds no connection for long, and one that is slow with a body holds up
// nobody else.
func TestAttackSlow(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), func(r *rig) { r.gateway.MaxUnauthenticated = 2 })
	slow := r.dial()
	_, err := io.WriteString(slow, "POST /slow HTTP/1.1\r\nHost: "+r.host()+"\r\nAuthorization: Bearer sp_bob\r\nContent-Length: 100\r\n\r\nabc")
	require.NoError(t, err)
	for range 4 {
		require.Equal(t, http.StatusOK, r.get("/quick").StatusCode)
	}
	// Those that say nothing make room for others.
	first := r.dial()
	r.dial()
	r.dial()
	_, err = bufio.NewReader(first).ReadByte()
	require.Error(t, err)
	require.Equal(t, http.StatusOK, r.get("/quick").StatusCode)
}

// TestAttackCrowd: connections that say nothing push out none of a person's, also none whose login was looked at on another one.
func TestAttackCrowd(t *testing.T) {
	r := start(t, http.HandlerFunc(echo), func(r *rig) { r.gateway.MaxUnauthenticated = 2 })
	require.Equal(t, http.StatusOK, r.get("/first").StatusCode)
	second := r.dial()
	_, err := io.WriteString(second, "POST /second HTTP/1.1\r\nHost: "+r.host()+"\r\nAuthorization: Bearer sp_bob\r\nContent-Length: 3\r\n\r\nab")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return slices.Contains(r.rules.asked(), "request POST /second") }, 10*time.Second, time.Millisecond)
	silent := r.dial()
	r.dial()
	r.dial()
	_, err = bufio.NewReader(silent).ReadByte()
	require.Error(t, err)
	_, err = io.WriteString(second, "c")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(second), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestAttackUnavailable: a login that cannot be looked at lets nobody in.
func TestAttackUnavailable(t *testing.T) {
	r := start(t, http.HandlerFunc(echo))
	c := r.browser()
	r.logIn(c, "wiki", "/")
	r.logins.mu.Lock()
	r.logins.down = true
	r.logins.mu.Unlock()
	require.Equal(t, http.StatusServiceUnavailable, r.open(c, r.url("/")).StatusCode)
	require.Empty(t, r.rules.asked())
	require.Empty(t, r.gateway.Sessions())
}

// TestRevoked: the end of a session ends what runs within a second: a stream, an upload and a WebSocket.
func TestRevoked(t *testing.T) {
	testserver.Within(t, time.Second, func() time.Duration {
		begun := make(chan string, 10)
		r := start(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch q.URL.Path {
			case "/stream":
				_, _ = io.WriteString(w, "hello\n")
				w.(http.Flusher).Flush()
				begun <- "stream"
				<-q.Context().Done()
			case "/upload":
				var b [1]byte
				_, _ = io.ReadFull(q.Body, b[:])
				begun <- "upload"
				_, _ = io.Copy(io.Discard, q.Body)
			case "/ws":
				c, b, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				begun <- "ws"
				_, _ = io.Copy(c, b)
				c.Close()
			}
		}))
		head := "Host: " + r.host() + "\r\nAuthorization: Bearer sp_bob\r\n"
		var conns []net.Conn
		for _, text := range []string{
			"GET /stream HTTP/1.1\r\n" + head + "\r\n", "POST /upload HTTP/1.1\r\n" + head + "Content-Length: 1000000\r\n\r\nabc",
			"GET /ws HTTP/1.1\r\n" + head + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		} {
			c := r.dial()
			_, err := io.WriteString(c, text)
			require.NoError(t, err)
			<-begun
			conns = append(conns, c)
		}
		require.Equal(t, "upgrade GET /ws", r.rules.asked()[2])
		at := time.Now()
		r.session().Kill(proxy.ErrDeadline)
		for _, c := range conns {
			_, err := io.ReadAll(c) // until it is closed
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		took := time.Since(at)
		require.Eventually(t, func() bool { return len(r.rules.outcomes()) == 3 }, 5*time.Second, time.Millisecond)
		for _, o := range r.rules.outcomes() {
			require.Contains(t, o, proxy.ErrDeadline.Error())
		}
		return took
	})
}
