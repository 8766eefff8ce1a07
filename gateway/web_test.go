package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/proxy"
)

// crm is a web application with personal data, and a stream that does not end.
func crm(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /people", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"1"`)
		_, _ = io.WriteString(w, `{"people":[{"name":"Ann","email":"ann@example.com","ssn":"078-05-1120","card":4111111111111111,"id":7}]}`)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Cookies", fmt.Sprint(len(r.Cookies())))
		_, _ = io.WriteString(w, "hello from "+r.Method+" "+r.URL.Path)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// webHouse is a gateway in front of a web application, with masking as a newcomer has it.
func webHouse(t *testing.T, more string) (*house, *identitytest.Provider) {
	t.Helper()
	p := identitytest.StartProvider(t, "https://gw.example.com/auth/dev/callback")
	p.Groups(t, "alice", "dba")
	t.Setenv("CLIENT_SECRET", "secret")
	return open(t, t.TempDir(), fmt.Sprintf(`
data_dir: data
domain: apps.example.com
listen: {web: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
identity:
  users:
    - {name: bob, groups: [dev], password: %s}
    - {name: eve, groups: [none], password: %s}
  providers:
    - {name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}
resources:
  - {name: crm, type: web, address: %q, tls: {mode: disable}}
  - {name: wiki, type: web, address: %q, tls: {mode: disable}}
access:
  - {name: dev, groups: [dev, "dev:dba"], allow: [connect, read, write, upgrade]}
masking: [{use: default}]
%s`, verifier(t), verifier(t), p.Issuer, crm(t), crm(t), more)), p
}

// webBrowser is a browser at the gateway's pages and its applications.
func (h *house) webBrowser(t *testing.T) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	dial := func(_ context.Context, _, addr string) (net.Conn, error) {
		name, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		to, certified := h.Addr("web", "").String(), name
		if name == "gw.example.com" {
			to, certified = h.APIAddr().String(), "localhost"
		}
		return tls.Dial("tcp", to, &tls.Config{RootCAs: roots, ServerName: certified})
	}
	tr := &http.Transport{DialTLSContext: dial}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{&http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, ""}
}

func (h *house) app(name, path string) string {
	_, port, _ := net.SplitHostPort(h.Addr("web", "").String())
	return "https://" + name + ".apps.example.com:" + port + path
}

// open goes to a page, and follows where it leads, as a person's browser does.
func (b *browser) open(t *testing.T, at string) (*http.Response, string) {
	t.Helper()
	for range 10 {
		req, err := http.NewRequest("GET", at, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/html")
		resp, err := b.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil || !strings.HasSuffix(to.Hostname(), "example.com") {
			return resp, string(body)
		}
		at = to.String()
	}
	t.Fatal("the pages lead nowhere")
	return nil, ""
}

var (
	appTicket   = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	appProvider = regexp.MustCompile(`href="(/auth/dev/login\?[^"]+)"`)
)

// asLocal logs a local user in at the page that an application leads to, and returns what the application shows.
func (b *browser) asLocal(t *testing.T, at, user, secret string) (*http.Response, string) {
	t.Helper()
	resp, text := b.open(t, at)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Equal(t, "gw.example.com", resp.Request.URL.Host)
	ticket := appTicket.FindStringSubmatch(text)
	require.NotNil(t, ticket, text)
	req, err := http.NewRequest("POST", "https://gw.example.com/app/", strings.NewReader(url.Values{"ticket": {ticket[1]}, "user": {user}, "password": {secret}}.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err = b.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return resp, string(body)
	}
	return b.open(t, resp.Header.Get("Location"))
}

// TestWebLogin: a person who opens an application logs in at the gateway's page, as a local user or at the provider, and comes
// back to where she wanted to be; another application needs no further login.
func TestWebLogin(t *testing.T) {
	h, provider := webHouse(t, "")
	b := h.webBrowser(t)
	resp, text := b.asLocal(t, h.app("crm", "/page?q=1"), "bob", "wrong")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Contains(t, text, "is not correct")
	resp, text = b.asLocal(t, h.app("crm", "/page?q=1"), "bob", password)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	require.Equal(t, h.app("crm", "/page?q=1"), resp.Request.URL.String())
	require.Equal(t, "hello from GET /page", text)
	require.Equal(t, "0", resp.Header.Get("X-Cookies"), "the application gets no cookie of the gateway's")
	resp, text = b.open(t, h.app("wiki", "/x"))
	require.Equal(t, "hello from GET /x", text)
	require.Equal(t, h.app("wiki", "/x"), resp.Request.URL.String())
	require.Equal(t, "bob", h.session(t, "bob", "wiki").Identity.Subject)

	// Who may not use it is told so, and not led to the login again.
	resp, text = h.webBrowser(t).asLocal(t, h.app("crm", "/"), "eve", password)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Contains(t, text, "You may not use this application.")

	// At the provider.
	b = h.webBrowser(t)
	_, text = b.open(t, h.app("crm", "/from/provider"))
	to := appProvider.FindStringSubmatch(text)
	require.NotNil(t, to, text)
	resp, err := b.Get("https://gw.example.com" + strings.ReplaceAll(to[1], "&amp;", "&"))
	require.NoError(t, err)
	resp.Body.Close()
	_, text = b.open(t, provider.LogIn(t, resp.Header.Get("Location"), "alice").String())
	require.Equal(t, "hello from GET /from/provider", text)
}

// TestWebMasked: what a person reads of an application is masked, and on record.
func TestWebMasked(t *testing.T) {
	h, _ := webHouse(t, "")
	b := h.webBrowser(t)
	resp, text := b.asLocal(t, h.app("crm", "/people"), "bob", password)
	require.Equal(t, `{"people":[{"name":"A**","email":"a**@*******.com","ssn":"***-**-****","card":null,"id":7}]}`, text)
	require.Empty(t, resp.Header.Get("ETag"))
	require.Equal(t, "private", resp.Header.Get("Cache-Control"))
	s := h.session(t, "bob", "crm")
	require.NoError(t, h.stop())
	said, masked := "", uint64(0)
	for _, e := range h.records(t)[s.ID] {
		said += fmt.Sprintln(e.Type, e.Kind, e.Name, e.Target, e.Text)
		for _, n := range e.Masked {
			masked += n
		}
	}
	require.Contains(t, said, "request GET crm.apps.example.com")
	require.Contains(t, said, "/people")
	require.EqualValues(t, 4, masked, said)
}

// TestWebRevoked: a logout at the gateway ends what runs at applications, and what the browser had there.
func TestWebRevoked(t *testing.T) {
	h, _ := webHouse(t, "")
	b := h.webBrowser(t)
	b.asLocal(t, h.app("crm", "/"), "bob", password)
	resp, err := b.Get(h.app("crm", "/events"))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	stream := bufio.NewReader(resp.Body)
	line, err := stream.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: hello\n", line)
	req, err := http.NewRequest("POST", "https://gw.example.com/v1/logout", strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	out, err := b.Do(req)
	require.NoError(t, err)
	out.Body.Close()
	require.Equal(t, http.StatusOK, out.StatusCode)
	begun := time.Now()
	_, err = io.ReadAll(stream)
	require.Error(t, err, "the stream is cut")
	require.Less(t, time.Since(begun), time.Second)
	req, err = http.NewRequest("GET", h.app("crm", "/"), nil)
	require.NoError(t, err)
	again, err := b.Do(req)
	require.NoError(t, err)
	again.Body.Close()
	require.Equal(t, http.StatusUnauthorized, again.StatusCode)
}

// TestWebAddress: people and programs are told the application's own name.
func TestWebAddress(t *testing.T) {
	h, _ := webHouse(t, "")
	list, err := access{h.Explainer}.Resources(t.Context(), &proxy.Identity{Subject: "bob", Groups: []string{"dev"}})
	require.NoError(t, err)
	var said []string
	for _, r := range list {
		said = append(said, r.Name+" "+r.User+" "+r.Address)
	}
	require.Equal(t, []string{"crm bob crm.apps.example.com:0", "wiki bob wiki.apps.example.com:0"}, said) // 0 is the port of the test's file
}
