package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// openLinked opens two gateways on one store, at which people without credentials log in by a link
// to shop, far and vm1, and not to closed.
func openLinked(t *testing.T) *team {
	t.Helper()
	for _, program := range []string{"psql", "ssh"} {
		if _, err := exec.LookPath(program); err != nil {
			testserver.Missing(t, program)
		}
	}
	tm := &team{provider: identitytest.StartProvider(t, "https://gw.example.com/auth/dev/callback")}
	tm.provider.Groups(t, "alice", "dba")
	tm.provider.Groups(t, "bob", "dba")
	server, database := testserver.Database(t, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')")
	t.Setenv("STORE_KEY", store.NewKey().Text())
	t.Setenv("DB_PASSWORD", server.Password)
	t.Setenv("CLIENT_SECRET", "secret")
	shared := t.TempDir()
	m := startMachine(t, shared, nil)
	resource := func(name, more string) string {
		return fmt.Sprintf(`
  - {name: %s, type: postgres, address: %q, database: %s, username: postgres, password: "env:DB_PASSWORD", tls: {mode: disable}%s}`, name, server.Address(), database, more)
	}
	text := fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0", ssh: "127.0.0.1:0"}
tls: {optional: true}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
store: {url: "postgres://postgres@%s/%s", password: "env:DB_PASSWORD", key: "env:STORE_KEY"}
identity:
  users: [{name: root, groups: [admin], password: %s}]
  providers:
    - {name: dev, issuer: %q, client_id: web, client_secret: "env:CLIENT_SECRET", scopes: [profile, offline_access], groups: {claim: groups}}
resources:%s%s%s
  - {name: vm1, type: ssh, address: %q, username: %s, key: "file:%s/upstream", ssh: {host_keys: [%q]}, login_link: true}
access:
  - {name: dba, groups: ["dev:dba", admin], allow: [connect, read, exec], when: {methods: [link, scram, password]}}
`, server.Address(), database, verifier(t), tm.provider.Issuer,
		resource("shop", ", login_link: true"), resource("far", ", login_link: {same_address: false}"), resource("closed", ""),
		m.address, m.user, shared, m.hostKey)
	for _, h := range []**house{&tm.one, &tm.two} {
		*h = open(t, t.TempDir(), text)
	}
	return tm
}

// browser is one at the pages of a gateway.
type browser struct {
	*http.Client
	at string // where it is
}

// openBrowser opens a browser at a loopback address that asks the gateway.
func (h *house) openBrowser(t *testing.T, address string) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(h.Authority())
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", h.APIAddr().String())
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{&http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, ""}
}

// get opens a page, and returns what it shows.
func (b *browser) get(t *testing.T, at string) (status int, text string) {
	t.Helper()
	b.at = at
	resp, err := b.Get(at)
	require.NoError(t, err)
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (status int, text string) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"Referrer-Policy":         "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
	} {
		require.Equal(t, want, resp.Header.Get(name), name)
	}
	return resp.StatusCode, html.UnescapeString(string(body))
}

var (
	loginAt   = regexp.MustCompile(`href="(/auth/dev/login\?[^"]+)"`)
	formToken = regexp.MustCompile(`name="token" value="([0-9a-f]+)"`)
)

// logIn goes from a link's page to the provider and back, and returns what the page shows then.
func (b *browser) logIn(t *testing.T, p *identitytest.Provider, page, user string) (status int, text string) {
	t.Helper()
	_, shown := b.get(t, page)
	to := loginAt.FindStringSubmatch(shown)
	require.NotNil(t, to, shown)
	resp, err := b.Get("https://gw.example.com" + to[1])
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusFound, resp.StatusCode)
	resp, err = b.Get(p.LogIn(t, resp.Header.Get("Location"), user).String())
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	back, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, page, back.String(), "the login leads back to the link's page")
	return b.get(t, page)
}

// answer sends the form of the page where the browser is, with what it shows.
func (b *browser) answer(t *testing.T, shown, code, answer string) (status int, text string) {
	t.Helper()
	token := formToken.FindStringSubmatch(shown)
	require.NotNil(t, token, shown)
	resp, err := b.PostForm(b.at, url.Values{"token": {token[1]}, "code": {code}, "answer": {answer}})
	require.NoError(t, err)
	return read(t, resp)
}

// bare is a native client without credentials that runs.
type bare struct {
	*exec.Cmd
	out, errs *lockedText
	cancel    context.CancelFunc
}

func startBare(t *testing.T, program string, args ...string) *bare {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	n := &bare{exec.CommandContext(ctx, program, args...), &lockedText{}, &lockedText{}, cancel}
	t.Cleanup(cancel)
	n.Stdout, n.Stderr, n.WaitDelay = n.out, n.errs, time.Second
	n.Env = append(os.Environ(), "SSH_AUTH_SOCK=", "PGPASSFILE=/dev/null")
	require.NoError(t, n.Start())
	return n
}

func (h *house) psql(t *testing.T, user, resource string) *bare {
	t.Helper()
	conn := strings.Replace(h.database(user, resource), "password="+password, "", 1)
	return startBare(t, "psql", "-XAtw", conn, "-c", "SELECT text FROM notes")
}

func (h *house) openssh(t *testing.T, login string) *bare {
	t.Helper()
	host, port, err := net.SplitHostPort(h.Addr("ssh", "").String())
	require.NoError(t, err)
	return startBare(t, "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityFile=none", "-p", port, login+"@"+host, "echo in")
}

var (
	linkShown = regexp.MustCompile(`(https://gw\.example\.com/link/[A-Z2-7]{26})`)
	codeShown = regexp.MustCompile(`\b([B-Z]{5}-[B-Z]{5})\b`)
)

// shows waits for the link and the code that the client shows.
func (n *bare) shows(t *testing.T) (page, code string) {
	t.Helper()
	require.Eventually(t, func() bool { return codeShown.MatchString(n.errs.String()) }, 30*time.Second, 5*time.Millisecond, "%s", n.errs)
	text := n.errs.String()
	return linkShown.FindStringSubmatch(text)[1], codeShown.FindStringSubmatch(text)[1]
}

// TestLoginLink: psql and ssh without any credential show a link; who logs in there and types the
// code is who the session is of, also where another gateway serves the page.
func TestLoginLink(t *testing.T) {
	tm := openLinked(t)
	for _, c := range []struct {
		name   string
		begin  func(t *testing.T) *bare
		at     *house // whose page it is
		out    string
		target string
	}{
		{"psql", func(t *testing.T) *bare { return tm.one.psql(t, "alice", "shop") }, tm.one, "hello\n", "shop"},
		{"psql, the page of the other gateway", func(t *testing.T) *bare { return tm.one.psql(t, "alice", "shop") }, tm.two, "hello\n", "shop"},
		{"ssh", func(t *testing.T) *bare { return tm.one.openssh(t, "alice+vm1") }, tm.one, "in\n", "vm1"},
		{"ssh, the page of the other gateway", func(t *testing.T) *bare { return tm.one.openssh(t, "alice+vm1") }, tm.two, "in\n", "vm1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.begin(t)
			page, code := n.shows(t)
			require.Empty(t, tm.one.Proxy().Sessions(), "nobody has logged in")
			b := c.at.openBrowser(t, "127.0.0.1")
			status, shown := b.logIn(t, tm.provider, page, "alice")
			require.Equal(t, http.StatusOK, status, shown)
			for _, what := range []string{c.target, "<bdi>alice</bdi>", ">127.0.0.1<"} {
				require.Contains(t, shown, what)
			}
			require.NotContains(t, shown, code)
			status, shown = b.answer(t, shown, strings.ToLower(strings.Replace(code, "-", " ", 1)), "yes")
			require.Equal(t, http.StatusOK, status, shown)
			require.Contains(t, shown, "is logged in")
			require.NoError(t, n.Wait(), "%s", n.errs)
			require.Equal(t, c.out, n.out.String())
			s := tm.one.session(t, "dev/alice", c.target)
			require.Equal(t, "link", s.Identity.Method.String())
			require.NotEmpty(t, s.Identity.Claims[identity.ClaimLogin])
			require.Equal(t, tm.provider.Issuer, s.Identity.Claims[identity.ClaimIssuer])
			// The link counted once.
			status, shown = b.get(t, page)
			require.Equal(t, http.StatusNotFound, status, shown)
		})
	}
	require.NoError(t, tm.one.stop())
	var types []string
	for _, e := range tm.one.records(t)[""] {
		if e.Type == "admin.link" {
			require.Equal(t, "dev/alice", e.User)
			types = append(types, e.Action)
		}
		if e.Type == "gateway.login" && e.Protocol != "api" {
			require.Equal(t, "dev/alice", e.User)
			require.Equal(t, "link", e.Method)
			types = append(types, "login")
		}
	}
	require.Equal(t, []string{"confirm", "login", "login", "confirm", "login", "login"}, types)
}

// TestLoginLinkEnds: what a login link has opened ends with the login of the browser, as the
// sessions of every other proof of it do.
func TestLoginLinkEnds(t *testing.T) {
	tm := openLinked(t)
	b := tm.two.openBrowser(t, "127.0.0.1")
	for _, c := range []struct {
		name string
		then func(t *testing.T)
	}{
		{"she logs out in the browser", func(t *testing.T) {
			resp, err := b.PostForm("https://gw.example.com/auth/logout", nil)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, http.StatusNoContent, resp.StatusCode)
		}},
		{"an administrator disables her", func(t *testing.T) {
			_, err := tm.two.proofs.members.Disable(t.Context(), "dev/alice")
			require.NoError(t, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := make(chan *pgconn.Notice, 1)
			config, err := pgconn.ParseConfig(tm.one.reach("alice"))
			require.NoError(t, err)
			config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { begun <- n }
			type connected struct {
				*pgconn.PgConn
				err error
			}
			done := make(chan connected, 1)
			go func() {
				c, err := pgconn.ConnectConfig(t.Context(), config)
				done <- connected{c, err}
			}()
			n := <-begun
			_, shown := b.logIn(t, tm.provider, linkShown.FindString(n.Message), "alice")
			status, shown := b.answer(t, shown, codeShown.FindString(n.Message), "yes")
			require.Equal(t, http.StatusOK, status, shown)
			in := <-done
			require.NoError(t, in.err)
			rows, err := in.Exec(t.Context(), "SELECT text FROM notes").ReadAll()
			require.NoError(t, err)
			require.Equal(t, "hello", string(rows[0].Rows[0][0]))
			c.then(t)
			require.Eventually(t, func() bool { return len(tm.one.Proxy().Sessions()) == 0 }, 30*time.Second, time.Millisecond)
			require.Error(t, in.Exec(t.Context(), "SELECT 1").Close())
		})
	}
}

// TestAttackLoginLink: what somebody else does at a link logs nobody in.
func TestAttackLoginLink(t *testing.T) {
	tm := openLinked(t)
	h := tm.one
	refusal := func(t *testing.T, n *bare, says string) {
		t.Helper()
		require.Error(t, n.Wait())
		require.Contains(t, n.errs.String(), says)
		require.Empty(t, h.Proxy().Sessions())
	}
	t.Run("the victim is at another address", func(t *testing.T) {
		n := h.psql(t, "alice", "shop")
		page, code := n.shows(t)
		victim := h.openBrowser(t, "127.0.0.2")
		status, shown := victim.get(t, page)
		require.Equal(t, http.StatusForbidden, status)
		require.Contains(t, shown, ">127.0.0.1<", "where the attacker is")
		require.Contains(t, shown, "127.0.0.2")
		require.NotContains(t, shown, "<form")
		// Also when she has logged in, and sends the form that the page would have.
		other := h.psql(t, "alice", "far")
		far, _ := other.shows(t)
		_, shown = victim.logIn(t, tm.provider, far, "alice")
		require.Contains(t, shown, "This is not the address of this browser", "the page says so where any address may")
		victim.at = page
		status, shown = victim.answer(t, shown, code, "yes")
		require.Equal(t, http.StatusForbidden, status, shown)
		n.cancel()
		other.cancel()
		_, _ = n.Wait(), other.Wait()
		require.Empty(t, h.Proxy().Sessions())
	})
	t.Run("any address may", func(t *testing.T) {
		n := h.psql(t, "alice", "far")
		page, code := n.shows(t)
		b := h.openBrowser(t, "127.0.0.2")
		_, shown := b.logIn(t, tm.provider, page, "alice")
		status, shown := b.answer(t, shown, code, "yes")
		require.Equal(t, http.StatusOK, status, shown)
		require.NoError(t, n.Wait(), "%s", n.errs)
	})
	t.Run("wrong codes", func(t *testing.T) {
		n, other := h.psql(t, "alice", "shop"), h.psql(t, "alice", "shop")
		page, _ := n.shows(t)
		_, another := other.shows(t)
		b := h.openBrowser(t, "127.0.0.1")
		_, shown := b.logIn(t, tm.provider, page, "alice")
		for left := link.Tries - 1; left >= 0; left-- {
			var status int
			status, shown = b.answer(t, shown, another, "yes")
			require.Equal(t, http.StatusForbidden, status)
			if left > 0 {
				require.Contains(t, shown, fmt.Sprintf("Further tries: %d", left))
			}
		}
		require.Contains(t, shown, "does not wait any more")
		refusal(t, n, "wrong codes were typed")
		other.cancel()
		_ = other.Wait()
	})
	t.Run("refused in the browser", func(t *testing.T) {
		n := h.openssh(t, "alice+vm1")
		page, _ := n.shows(t)
		b := h.openBrowser(t, "127.0.0.1")
		_, shown := b.logIn(t, tm.provider, page, "alice")
		_, shown = b.answer(t, shown, "", "no")
		require.Contains(t, shown, "is refused")
		refusal(t, n, "it was refused in the browser")
		require.Equal(t, 1, strings.Count(n.errs.String(), "https://"), "no other link is offered")
	})
	t.Run("another user", func(t *testing.T) {
		n := h.psql(t, "alice", "far")
		page, _ := n.shows(t)
		b := h.openBrowser(t, "127.0.0.3") // of which not so much has failed that it is told in sum
		status, shown := b.logIn(t, tm.provider, page, "bob")
		require.Equal(t, http.StatusForbidden, status)
		require.Contains(t, shown, "Connect as bob+far")
		require.NotContains(t, shown, "<form")
		n.cancel()
		_ = n.Wait()
	})
	t.Run("forms of other pages", func(t *testing.T) {
		n := h.psql(t, "alice", "shop")
		page, code := n.shows(t)
		b := h.openBrowser(t, "127.0.0.1")
		_, shown := b.logIn(t, tm.provider, page, "alice")
		token := formToken.FindStringSubmatch(shown)[1]
		for name, c := range map[string]struct{ token, site string }{
			"without its token":     {"", "same-origin"},
			"with another token":    {strings.Repeat("0", 64), "same-origin"},
			"from another site":     {token, "cross-site"},
			"from a sibling's page": {token, "same-site"},
		} {
			r, err := http.NewRequest(http.MethodPost, page, strings.NewReader(url.Values{"token": {c.token}, "code": {code}, "answer": {"yes"}}.Encode()))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", c.site)
			resp, err := b.Do(r)
			require.NoError(t, err)
			status, text := read(t, resp)
			require.Equal(t, http.StatusForbidden, status, "%s: %s", name, text)
		}
		// Without a login, too.
		resp, err := h.openBrowser(t, "127.0.0.1").PostForm(page, url.Values{"token": {token}, "code": {code}, "answer": {"yes"}})
		require.NoError(t, err)
		status, _ := read(t, resp)
		require.Equal(t, http.StatusForbidden, status)
		require.Empty(t, h.Proxy().Sessions())
		status, shown = b.answer(t, shown, code, "yes") // it waits still
		require.Equal(t, http.StatusOK, status, shown)
		require.NoError(t, n.Wait(), "%s", n.errs)
	})
	t.Run("links that nobody waits at", func(t *testing.T) {
		n := h.psql(t, "alice", "shop")
		page, _ := n.shows(t)
		require.NoError(t, n.Process.Kill())
		_ = n.Wait()
		b := h.openBrowser(t, "127.0.0.1")
		require.Eventually(t, func() bool {
			status, _ := b.get(t, page)
			return status == http.StatusNotFound
		}, 30*time.Second, 10*time.Millisecond, "the link has ended with its client")
		for _, at := range []string{"AAAAAAAAAAAAAAAAAAAAAAAAAA", "x", "%2e%2e"} {
			status, _ := b.get(t, "https://gw.example.com/link/"+at)
			require.Equal(t, http.StatusNotFound, status)
		}
	})
	t.Run("it is withdrawn meanwhile", func(t *testing.T) {
		n := h.psql(t, "alice", "shop")
		page, code := n.shows(t)
		b := h.openBrowser(t, "127.0.0.1")
		_, shown := b.logIn(t, tm.provider, page, "alice")
		file := h.parts().config.Name()
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), ", login_link: true", ", login_link: false", 1)), 0o600))
		require.NoError(t, h.Reload())
		b.answer(t, shown, code, "yes")
		refusal(t, n, "login links are not offered here any more")
	})
	// All of it is on record.
	require.NoError(t, h.stop())
	failed := make(map[string]string)
	refused := 0
	for _, e := range h.records(t)[""] {
		if e.Type == "gateway.login-failed" {
			failed[e.Protocol+": "+e.Error] = e.User
		}
		if e.Type == "admin.link" && e.Action == "refuse" {
			refused++
		}
	}
	for text, user := range map[string]string{
		"api: at a login link: " + link.ErrElsewhere.Error():                                                 "dev/alice",
		"api: at a login link: " + link.ErrCode.Error():                                                      "dev/alice",
		"api: at a login link: " + link.ErrOther.Error():                                                     "dev/bob",
		"ssh: authentication failed: it was refused in the browser":                                          "alice",
		"postgres: authentication failed: wrong codes were typed at the link: connect again for another one": "alice",
	} {
		require.Equal(t, user, failed[text], "%s in %v", text, failed)
	}
	require.Equal(t, 1, refused)
}

// TestAttackLoginLinkFlood: of the clients of one address a bounded number waits, and those with
// credentials of their own log in meanwhile.
func TestAttackLoginLinkFlood(t *testing.T) {
	tm := openLinked(t)
	h := tm.one
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const clients = link.MaxPerAddress + 10
	offered, refused := make(chan string, clients), make(chan error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		config, err := pgconn.ParseConfig(h.reach(fmt.Sprint("user", i)))
		require.NoError(t, err)
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { offered <- n.Message }
		wg.Go(func() {
			_, err := pgconn.ConnectConfig(ctx, config)
			refused <- err
		})
	}
	for range clients - link.MaxPerAddress {
		require.ErrorContains(t, <-refused, "too many clients wait for a login in the browser")
	}
	require.Eventually(t, func() bool { return len(offered) == link.MaxPerAddress }, 30*time.Second, time.Millisecond)
	s := connect(t, h.database("root", "shop"))
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	require.Len(t, h.Proxy().Sessions(), 1)
	leave()
	wg.Wait()
	require.Len(t, refused, link.MaxPerAddress, "the others have waited until they left")
}

// TestLoginLinkNotOffered: who has something to prove herself with, and who asks for what offers no
// link, is asked as ever.
func TestLoginLinkNotOffered(t *testing.T) {
	tm := openLinked(t)
	h := tm.one
	to := func(login string) string { return strings.Replace(h.reach("alice"), "alice+shop", login, 1) }
	for name, conn := range map[string]string{
		"a resource without":           to("alice+closed"),
		"a user of the file":           to("root+shop"),
		"an access token":              to("alice~x+shop"),
		"no TLS":                       strings.Replace(to("alice+shop"), "sslmode=verify-full", "sslmode=disable", 1),
		"no such resource":             to("alice+nothing"),
		"another protocol's":           to("alice+vm1"),
		"a name that no user can have": to("'" + strings.Repeat("a", 129) + "+shop'"),
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pgconn.ParseConfig(conn + " password=wrong")
			require.NoError(t, err)
			config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { t.Errorf("it is shown %s", n.Message) }
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err = pgconn.ConnectConfig(ctx, config)
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "it waits")
		})
	}
	s := connect(t, h.database("root", "shop"))
	require.Equal(t, [][]string{{"hello"}}, s.query("SELECT text FROM notes"))
	for login, asked := range map[string]bool{"root+vm1": true, "alice": true, "alice+nothing": true, "alice+vm1": false} {
		var questions []string
		_, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
			User: login, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: time.Minute,
			Auth: []gossh.AuthMethod{gossh.KeyboardInteractive(func(_, _ string, asked []string, _ []bool) ([]string, error) {
				questions = append(questions, asked...)
				if len(asked) == 0 {
					return nil, fmt.Errorf("no answer")
				}
				return []string{"wrong"}, nil
			})},
		})
		require.Error(t, err)
		require.Equal(t, asked, len(questions) > 0, login)
	}
}
