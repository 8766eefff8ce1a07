package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/identitytest"
	localusers "github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/oidc"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// remote is a gateway's API on another machine, with a real identity provider. Its local
// users are bob, and ada, who administers; their passwords are their names.
type remote struct {
	*httptest.Server
	dev      *identitytest.Provider
	handler  *control.Handler
	portal   *control.Portal
	sources  *identity.Sources
	listener string // of the resources
	gateway  string // its URL
	client   http.RoundTripper
	more     []control.Resource
	codes    *totp.Codes
	records  *audit.Log
}

// Resources are everybody's.
func (r *remote) Resources(_ context.Context, who *proxy.Identity) ([]control.Resource, error) {
	_, port, _ := net.SplitHostPort(r.listener)
	name := control.LoginName(who)
	return append([]control.Resource{
		{Name: "orders", Type: "postgres", Address: "0.0.0.0:" + port, User: name + "+orders", Database: "shop", TLS: true, Labels: map[string]string{"env": "prod"}},
		{Name: "vm1", Type: "ssh", Address: r.listener, User: name + "+vm1", Accounts: []string{"app", "root"}},
	}, r.more...), nil
}

func (r *remote) Can(_ context.Context, _ *proxy.Identity, q control.Question) (*control.Answer, error) {
	switch {
	case strings.HasPrefix(q.Text, "DELETE"):
		return &control.Answer{Outcome: "hold", Message: "this needs an approval"}, nil
	case strings.HasPrefix(q.Text, "DROP"):
		return &control.Answer{Outcome: "deny", Cause: "guardrail", Message: "nobody drops tables"}, nil
	case q.Text != "":
		return &control.Answer{Outcome: "deny", Cause: "policy", Message: "you may not"}, nil
	}
	return &control.Answer{Outcome: "allow"}, nil
}

func openRemote(t *testing.T) *remote {
	t.Helper()
	t.Setenv("SALLYPORT_CONFIG", "")
	t.Chdir(t.TempDir())
	l, err := audit.Open(t.TempDir(), audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	r := &remote{}
	r.handler = &control.Handler{Gateway: &proxy.Gateway{}, Records: l, Log: slog.New(slog.DiscardHandler)}
	r.handler.Requests = &review.Desk{Store: store.NewMemory(), Note: r.handler.Gateway.Note}
	require.NoError(t, r.handler.Requests.Load(t.Context()))
	r.handler.Authenticate = r.handler.Known
	r.handler.Portal = func() *control.Portal { return r.portal }
	r.handler.Permit = func(who *proxy.Identity, _ control.Permission) bool { return who.In("admins") }
	r.Server = httptest.NewUnstartedServer(r.handler)
	r.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	r.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	r.StartTLS()
	r.gateway, r.client = r.URL, r.Server.Client().Transport
	t.Cleanup(r.Server.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	r.listener = ln.Addr().String()
	go func() { // says back what it is told
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()

	back := r.URL + "/auth/dev/callback"
	r.dev = identitytest.StartProvider(t, back) // it is built in the developer's own cache
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	provider, err := oidc.New(oidc.Config{
		Name: "dev", Issuer: r.dev.Issuer, ClientID: "web", ClientSecret: proxy.NewSecret("secret"), RedirectURL: back,
		Scopes: []string{"profile", "offline_access"}, Groups: oidc.Groups{Claim: "groups"},
	})
	require.NoError(t, err)
	machines, err := oidc.New(oidc.Config{
		Name: "machines", Issuer: r.dev.Issuer, ClientID: "device", ClientSecret: proxy.NewSecret("secret"), RedirectURL: back,
		Scopes: []string{"profile"}, Groups: oidc.Groups{Claim: "groups"},
	})
	require.NoError(t, err)
	docs := &identity.Memory{}
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	logins := &oidc.Logins{Providers: []*oidc.Provider{provider, machines}, Documents: docs, Sealer: sealer}
	authority, err := ca.OpenAuthority(t.Context(), ca.ForUsers, ca.Options{Documents: docs, Sealer: sealer})
	require.NoError(t, err)
	var users []identity.User
	for name, groups := range map[string][]string{"bob": nil, "ada": {"admins"}} {
		users = append(users, identity.User{Name: name, Groups: groups, Hash: identity.NewHash(name)})
	}
	local, err := identity.NewUsers(users)
	require.NoError(t, err)
	r.records, r.codes = l, &totp.Codes{Documents: docs, Sealer: sealer, Issuer: "gw.example.com"}
	credentials := &localusers.Credentials{Documents: docs, Sealer: sealer, Codes: r.codes}
	local.Owner = credentials
	owner := func(ctx context.Context, subject, login string) (*proxy.Identity, error) {
		return r.sources.Refresh(ctx, &proxy.Identity{Subject: subject, Claims: map[string]string{identity.ClaimLogin: login}})
	}
	certificates := &ca.Users{Authority: authority, Documents: docs, Owner: owner}
	access := &tokens.Tokens{Documents: docs, Owner: func(ctx context.Context, subject string) (*proxy.Identity, error) { return owner(ctx, subject, "") }}
	members := &identity.Members{Documents: docs}
	r.sources = &identity.Sources{List: []identity.Source{
		{Authenticator: certificates, Owns: func(id *proxy.Identity) bool { return strings.Contains(id.Claims[identity.ClaimToken], "-") }},
		{Authenticator: access, Names: tokens.Names, Owns: func(id *proxy.Identity) bool { return id.Claims[identity.ClaimToken] != "" }},
		{Refresher: logins, Owns: func(id *proxy.Identity) bool { return strings.Contains(id.Subject, "/") }},
		{Authenticator: local, Names: func(string) bool { return true }},
	}, Refine: []proxy.Refresher{members}}
	sessions := &tokens.Sessions{Documents: docs, Refresher: r.sources}
	r.portal = &control.Portal{
		URL: r.URL, Providers: []control.LoginProvider{{Name: "dev"}, {Name: "machines", Device: true}}, Passwords: local, Users: local, Credentials: credentials, Sessions: sessions, Tokens: access,
		Members: members, Certificates: certificates, Identities: r.sources, EndLogin: logins.End, EndLogins: logins.EndAll, Resources: r,
		Auth:        &oidc.Handler{Logins: logins, Sessions: control.Recorded{Handler: r.handler, Sessions: sessions}, Sealer: sealer, Failed: r.handler.LoginFailed},
		Authorities: func() []*x509.Certificate { return []*x509.Certificate{r.Certificate()} },
		KnownHosts: func() ([]byte, error) {
			return []byte("@cert-authority vm1 ssh-ed25519 AAAA\n[0.0.0.0]:2222 ssh-ed25519 AAAB\n[gw]:2222 ssh-ed25519 AAAB\n"), nil
		},
	}
	return r
}

// fingerprint is what the gateway's operator would say.
func (r *remote) fingerprint(t *testing.T) string {
	t.Helper()
	a, err := client.Announce(t.Context(), r.URL)
	require.NoError(t, err)
	return a.Fingerprint
}

// said is output that is read while it is written.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// find waits until something was said.
func (s *said) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	require.Eventually(t, func() bool { return re.MatchString(s.String()) }, 30*time.Second, 5*time.Millisecond, "%s", s)
	return re.FindStringSubmatch(s.String())[1]
}

// browse logs a user in by a browser, who compares the code.
func (r *remote) browse(t *testing.T, user, at, code string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	b := &http.Client{Jar: jar, Transport: r.client, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begun, err := b.Get(at)
	require.NoError(t, err)
	begun.Body.Close()
	page, err := b.Get(r.dev.LogIn(t, begun.Header.Get("Location"), user).String())
	require.NoError(t, err)
	defer page.Body.Close()
	text, err := io.ReadAll(page.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), code)
	home, err := b.PostForm(r.gateway+"/auth/confirm", url.Values{"answer": {"yes"}})
	require.NoError(t, err)
	home.Body.Close()
	done, err := http.Get(home.Header.Get("Location"))
	require.NoError(t, err)
	done.Body.Close()
}

// background runs a command, and returns what it says and a function that waits for it.
func background(t *testing.T, args ...string) (errs *said, wait func() (code int, out string)) {
	t.Helper()
	var out said
	errs = &said{}
	done := make(chan int, 1)
	go func() { done <- run(t.Context(), &cli{strings.NewReader(""), &out, errs}, args) }()
	return errs, func() (int, string) {
		t.Helper()
		select {
		case code := <-done:
			return code, out.String()
		case <-time.After(time.Minute):
			t.Fatalf("it does not end: %s", errs)
			return 0, ""
		}
	}
}

// as logs a local user in.
func (r *remote) as(t *testing.T, user string, flags ...string) {
	t.Helper()
	code, _, errs := sallyport(t, user+"\n", append([]string{"login", r.URL, "--fingerprint", r.fingerprint(t), "--user", user}, flags...)...)
	require.Equal(t, exitOK, code, errs)
}

// profileDir is where the only login is kept.
func profileDir(t *testing.T) string {
	t.Helper()
	names, err := profiles()
	require.NoError(t, err)
	require.Len(t, names, 1)
	p, err := openProfile(names[0])
	require.NoError(t, err)
	return p.dir
}

// TestLogin: somebody logs in with the company's account, sees what she may reach, and
// connects with her own tools and no password; logging out ends that.
func TestLogin(t *testing.T) {
	r := openRemote(t)
	code, _, errs := sallyport(t, "", "status")
	require.Equal(t, exitNotLoggedIn, code, errs)
	code, _, errs = sallyport(t, "", "login", r.URL)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, r.fingerprint(t), "it is shown, and nobody is logged in at a gateway that is not known")
	code, _, errs = sallyport(t, "", "login", r.URL, "--fingerprint", strings.Repeat("0", 64))
	require.Equal(t, exitUnreachable, code, errs)

	said, wait := background(t, "login", r.URL, "--no-browser", "--fingerprint", r.fingerprint(t))
	at := said.find(t, `(?m)^  (https://\S+)$`)
	r.browse(t, "alice", at, said.find(t, `code ([0-9A-F]{4}-[0-9A-F]{4})`))
	code, out := wait()
	require.Equal(t, exitOK, code, said)
	require.Contains(t, out, "logged in at "+r.URL+" as alice")

	dir := profileDir(t)
	require.NoError(t, filepath.WalkDir(filepath.Dir(filepath.Dir(dir)), func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if runtime.GOOS != "windows" && !d.IsDir() {
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
		}
		return nil
	}))

	require.Contains(t, must(t, "whoami"), "dev/alice")
	require.Contains(t, must(t, "status"), "logged-in")
	require.Regexp(t, `orders +postgres +127.0.0.1:\d+ +alice\+orders +shop`, must(t, "ls"))
	var list struct{ Items []entry }
	require.NoError(t, json.Unmarshal([]byte(must(t, "ls", "-o", "json")), &list))
	require.Equal(t, []string{"app", "root"}, list.Items[1].Accounts)
	require.Equal(t, []string{"orders", "vm1"}, completed(t, "connect", ""))
	require.Equal(t, []string{"app", "root"}, completed(t, "connect", "vm1", "--account", ""))
	about := must(t, "describe", "orders")
	require.Contains(t, about, "env=prod")
	require.Contains(t, about, "jdbc:postgresql://127.0.0.1:")
	for text, want := range map[string]int{"": exitOK, "DELETE FROM x": exitApproval, "DROP TABLE x": exitGuardrail, "UPDATE x SET a = 1": exitPolicy} {
		args := []string{"can", "orders"}
		if text != "" {
			args = append(args, "--", text)
		}
		code, _, errs := sallyport(t, "", args...)
		require.Equal(t, want, code, "%s: %s", text, errs)
	}
	code, _, errs = sallyport(t, "", "can", "nothing")
	require.Equal(t, exitNotFound, code, errs)

	script := filepath.Join(t.TempDir(), "psql")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho \"$PGUSER $PGDATABASE $PGSSLMODE $PGSSLCERT $PGSSLKEY $PGSSLROOTCERT $*\"\nexit 7\n"), 0o755))
	t.Setenv("PATH", filepath.Dir(script)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	code, out, errs = sallyport(t, "", "connect", "orders", "--", "-c", "SELECT 1")
	require.Equal(t, 7, code, errs)
	require.Equal(t, "alice+orders shop verify-full "+dir+"/tls-cert.pem "+dir+"/tls-key.pem "+dir+"/ca.pem -c SELECT 1\n", out)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls-cert.pem"), filepath.Join(dir, "tls-key.pem"))
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	id, err := r.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: []*x509.Certificate{leaf}})
	require.NoError(t, err)
	require.Equal(t, "dev/alice", id.Subject)
	printed := must(t, "connect", "orders", "--print")
	require.Contains(t, printed, "PGSSLMODE=verify-full")
	require.Contains(t, printed, "tls-key.pk8")

	config := must(t, "ssh-config")
	require.Contains(t, config, "Host vm1 vm1.sallyport\n")
	require.NotContains(t, config, "orders")
	require.Contains(t, config, "proxy --profile "+filepath.Base(dir)+" vm1")
	known, err := os.ReadFile(filepath.Join(dir, "gateway_known_hosts"))
	require.NoError(t, err)
	require.Equal(t, filepath.Base(dir)+" ssh-ed25519 AAAB\n", string(known))
	code, out, errs = sallyport(t, "hello\n", "proxy", "vm1")
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "hello\n", out)

	require.Contains(t, must(t, "logout"), "logged out")
	for _, name := range []string{tlsCert, tlsKey, tlsKeyDER, sshKey, sshCert} {
		require.NoFileExists(t, filepath.Join(dir, name))
	}
	_, err = r.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: "alice", Certificates: []*x509.Certificate{leaf}})
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	for _, args := range [][]string{{"status"}, {"whoami"}, {"connect", "orders"}, {"logout"}, {"token", "ls"}} {
		code, _, errs := sallyport(t, "", args...)
		require.Equal(t, exitNotLoggedIn, code, "%q: %s", args, errs)
	}
	code, _, errs = sallyport(t, "bob\n", "login", "--user", "bob")
	require.Equal(t, exitOK, code, "the gateway is known from before: %s", errs)
}

// TestLoginDevice: without a browser, a code is typed elsewhere.
func TestLoginDevice(t *testing.T) {
	r := openRemote(t)
	said, wait := background(t, "login", r.URL, "--fingerprint", r.fingerprint(t), "--device", "--provider", "machines")
	r.dev.Approve(t, "alice", said.find(t, `type the code\n\n  (\S+)\n`))
	code, out := wait()
	require.Equal(t, exitOK, code, said)
	require.Contains(t, out, "as alice")
	code, _, errs := sallyport(t, "", "login", "--provider", "nothing")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "dev or machines")
}

// TestLoginRenews: what a login has left is renewed without a word, for as long as the
// login goes on.
func TestLoginRenews(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	dir := profileDir(t)
	before, err := os.ReadFile(filepath.Join(dir, tlsCert))
	require.NoError(t, err)
	age := func(left time.Duration) {
		p, err := openProfile("")
		require.NoError(t, err)
		p.Issued, p.Until = time.Now().Add(-2*time.Hour), time.Now().Add(left)
		require.NoError(t, p.save())
	}
	must(t, "connect", "orders", "--print")
	same, err := os.ReadFile(filepath.Join(dir, tlsCert))
	require.NoError(t, err)
	require.Equal(t, before, same, "more than a third is left")
	age(time.Minute)
	must(t, "connect", "orders", "--print")
	after, err := os.ReadFile(filepath.Join(dir, tlsCert))
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	_, err = tls.LoadX509KeyPair(filepath.Join(dir, tlsCert), filepath.Join(dir, tlsKey))
	require.NoError(t, err, "of the same key")

	_, err = r.portal.Sessions.EndAll(t.Context(), "bob")
	require.NoError(t, err)
	age(-time.Minute)
	code, _, errs := sallyport(t, "", "connect", "orders", "--print")
	require.Equal(t, exitNotLoggedIn, code)
	require.Contains(t, errs, "log in again")
}

// TestLoginTrust: a gateway that is not the known one is told nothing.
func TestLoginTrust(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	dir := profileDir(t)
	sealer, err := identity.NewSealer(nil)
	require.NoError(t, err)
	other, err := ca.OpenAuthority(t.Context(), ca.ForServers, ca.Options{Documents: &identity.Memory{}, Sealer: sealer})
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificates()[0].Raw})
	require.NoError(t, os.WriteFile(filepath.Join(dir, authorityPEM), text, 0o600))
	code, _, errs := sallyport(t, "bob\n", "login", "--user", "bob")
	require.Equal(t, exitUnreachable, code)
	require.Contains(t, errs, "not the one that is known here")
	code, _, errs = sallyport(t, "", "whoami")
	require.NotEqual(t, exitOK, code)
	require.Contains(t, errs, "certificate")
	code, _, errs = sallyport(t, "bob\n", "login", "--user", "bob", "--fingerprint", r.fingerprint(t))
	require.Equal(t, exitOK, code, errs)
	code, _, errs = sallyport(t, "wrong\n", "login", "--user", "bob")
	require.Equal(t, exitNotLoggedIn, code)
	require.NotContains(t, errs, "wrong")
	r.portal.MinClient = "v1.0.0"
	for _, at := range []string{"http://gw", "https://bob:x@gw", ""} {
		code, _, _ = sallyport(t, "", "login", at)
		require.Equal(t, exitUsage, code, at)
	}
	code, _, _ = sallyport(t, "", "login", r.URL, "--profile", "../up")
	require.Equal(t, exitUsage, code)
}

// TestLoginSSHConfig: a resource's name does not become a command, or another host.
func TestLoginSSHConfig(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	before := must(t, "ssh-config")
	for _, name := range []string{"vm;id", "vm|id", "vm&id", "vm>x", "vm(id)", "{a}", "vm#", "~", "vm%h", "!vm", "*", "vm?", "a,b", "vm.", ".vm", "a..b", "*.com", "a.b;id", "::1"} {
		r.more = []control.Resource{{Name: name, Type: "ssh", Address: r.listener, User: "bob+x"}}
		code, out, errs := sallyport(t, "", "ssh-config")
		require.Equal(t, exitOK, code, "%s: %s", name, errs)
		require.Equal(t, before, out, name)
		require.Contains(t, errs, "sallyport connect "+quoted(name), name)
	}
	for name, hosts := range map[string]string{
		"vm-2": "vm-2 vm-2.sallyport", "vm_2": "vm_2 vm_2.sallyport", "2": "2 2.sallyport", "größe": "größe größe.sallyport",
		"db.prod": "db.prod.sallyport", "github.com": "github.com.sallyport", "10.0.0.1": "10.0.0.1.sallyport", "vm-2.sallyport": "vm-2.sallyport.sallyport",
	} {
		r.more = []control.Resource{{Name: name, Type: "ssh", Address: "[fe80::1%eth0]:22", User: "bob+x"}}
		out := must(t, "ssh-config")
		require.Contains(t, out, "\nHost "+hosts+"\n  HostName fe80::1%%eth0\n")
		require.True(t, strings.HasSuffix(out, " "+quoted(name)+"\n"), out)
	}
}

// TestSSHConfigNames: as ssh reads it, a resource whose name is a domain is reached by a name
// below .sallyport, and the domain is the host that it was.
func TestSSHConfigNames(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	r.more = []control.Resource{{Name: "github.com", Type: "ssh", Address: "127.0.0.9:22", User: "bob+github.com"}, {Name: "vm7", Type: "ssh", Address: "127.0.0.9:22", User: "bob+vm7"}}
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte(must(t, "ssh-config")), 0o600))
	for host, want := range map[string][2]string{
		"github.com": {"github.com", ""}, "www.github.com": {"www.github.com", ""}, "sallyport": {"sallyport", ""}, "vm7.example.com": {"vm7.example.com", ""},
		"github.com.sallyport": {"127.0.0.9", "github.com"}, "vm7": {"127.0.0.9", "vm7"}, "vm7.sallyport": {"127.0.0.9", "vm7"},
	} {
		out, err := exec.Command("ssh", "-G", "-F", file, host).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "\nhostname "+want[0]+"\n", host)
		require.Equal(t, want[1] != "", strings.Contains(string(out), "\nproxycommand "), host)
		if want[1] != "" {
			require.Contains(t, string(out), "\nuser bob+"+want[1]+"\n", host)
		}
	}
}

// TestLoginMessages: what a gateway says does not write over what is on the terminal, whether
// it is trusted or not.
func TestLoginMessages(t *testing.T) {
	r := openRemote(t)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600))
	for _, code := range []string{control.CodeForbidden, control.CodeUnauthenticated, control.CodeNotFound, control.CodeBadRequest, control.CodeConflict, control.CodeInternal, "\x1b[2J"} {
		r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{"error": control.Error{Code: code, Message: "no\x1b[2J\r\u009b1A\u202e\nSHA-256: 00"}}))
		})
		for _, args := range [][]string{{"login", r.URL}, {"login", r.URL, "--ca", trusted, "--user", "bob"}} {
			_, _, errs := sallyport(t, "bob\n", args...)
			require.Contains(t, errs, "no␛[2J␍\ufffd1A\ufffd SHA-256: 00\n", "%q %q", code, args)
		}
	}
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assert.NoError(t, json.NewEncoder(w).Encode(control.Server{Providers: []control.LoginProvider{{Name: "a\x1b[2J"}}}))
	})
	_, _, errs := sallyport(t, "", "login", r.URL, "--ca", trusted, "--provider", "b")
	require.Contains(t, errs, "want a␛[2J")
}

// TestToken: access tokens are made, listed and revoked by the command line.
func TestToken(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	code, _, _ := sallyport(t, "", "token", "create")
	require.Equal(t, exitUsage, code)
	code, _, _ = sallyport(t, "", "token", "create", "--label", "x", "--resource", "orders")
	require.Equal(t, exitUsage, code)
	secret := strings.TrimSpace(must(t, "token", "create", "--label", "ci", "--action", "read", "--resource", "orders", "--for", "24h"))
	require.True(t, tokens.IsSecret(tokens.Prefix, secret))
	out := must(t, "token", "ls")
	require.NotContains(t, out, secret)
	require.Contains(t, out, "read@orders")
	ids := completed(t, "token", "revoke", "")
	require.Len(t, ids, 1)
	must(t, "token", "revoke", ids[0])
	_, err := r.portal.Tokens.Find(t.Context(), proxy.NewSecret(secret))
	require.ErrorIs(t, err, proxy.ErrUnauthenticated)
	code, _, errs := sallyport(t, "", "token", "revoke", ids[0])
	require.Equal(t, exitNotFound, code, errs)
	code, _, _ = sallyport(t, "", "token", "ls", "--all")
	require.Equal(t, exitPolicy, code)
}

// TestLoginAgent: who has logged in gives an agent a token of its own, which is printed once and is not kept.
func TestLoginAgent(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob")
	code, _, _ := sallyport(t, "", "login", "--agent", "coder")
	require.Equal(t, exitNotFound, code, "the gateway serves no agents")
	const here = "https://gw.example.com/mcp"
	r.portal.AIAgents = &control.AIAgents{URL: here}
	secret := strings.TrimSpace(must(t, "login", "--agent", "coder", "--action", "read", "--resource", "orders", "--for", "1h"))
	id, err := r.portal.Tokens.FindAgent(t.Context(), here, proxy.NewSecret(secret))
	require.NoError(t, err)
	require.Equal(t, proxy.Agent, id.Kind)
	require.NotContains(t, must(t, "token", "ls"), secret)
	for name, args := range map[string][]string{
		"a place without an action": {"--agent", "coder", "--resource", "orders"},
		"flags without an agent":    {"--action", "read"},
		"a login at once":           {"--agent", "coder", "https://gw.example.com"},
		"a name":                    {"--agent", "Not A Name"},
	} {
		code, out, _ := sallyport(t, "", append([]string{"login"}, args...)...)
		require.NotZero(t, code, name)
		require.Empty(t, out, name)
	}
}

// TestAdmin: administrators see who logs in, and change what others may do.
func TestAdmin(t *testing.T) {
	r := openRemote(t)
	r.as(t, "bob", "--profile", "bob")
	r.as(t, "ada")
	require.Equal(t, []string{"127.0.0.1_" + strings.TrimPrefix(r.URL, "https://127.0.0.1:"), "bob"}, completed(t, "whoami", "--profile", ""))
	require.Contains(t, must(t, "admin", "users", "ls"), "bob")
	require.Contains(t, must(t, "admin", "users", "groups", "bob", "dba", "--reason", "ticket 7"), "local:dba")
	require.Contains(t, must(t, "admin", "users", "show", "bob"), "local:dba")
	require.Contains(t, must(t, "admin", "groups", "ls"), "local:dba")
	require.Contains(t, must(t, "whoami", "--profile", "bob"), "local:dba")
	code, _, errs := sallyport(t, "", "admin", "users", "groups", "ada", "dba", "--reason", "x")
	require.Equal(t, exitPolicy, code, errs)
	code, _, errs = sallyport(t, "", "admin", "users", "ls", "--profile", "bob")
	require.Equal(t, exitPolicy, code, errs)
	code, _, _ = sallyport(t, "", "admin", "users", "disable", "bob")
	require.Equal(t, exitUsage, code)
	must(t, "admin", "users", "disable", "bob", "--reason", "left")
	code, _, errs = sallyport(t, "", "whoami", "--profile", "bob")
	require.Equal(t, exitNotLoggedIn, code, errs)
	must(t, "admin", "users", "enable", "bob", "--reason", "came back")
	require.Contains(t, must(t, "admin", "users", "logout", "bob", "--reason", "lost a laptop"), "at providers ended, 0 access tokens revoked")
}

// TestRemoteSessions: what is open and what waits is seen and decided from any machine.
func TestRemoteSessions(t *testing.T) {
	r := openRemote(t)
	r.as(t, "ada")
	live, err := proxytest.Open(r.handler.Gateway, r.handler.Records)
	require.NoError(t, err)
	defer live.Close(nil)
	require.Contains(t, must(t, "sessions", "ls"), live.ID)
	require.Equal(t, []string{live.ID}, completed(t, "sessions", "kill", ""))
	hold, err := r.handler.Requests.Request(t.Context(), live, proxytest.Statement("DELETE FROM t", proxy.EffectDelete), &proxy.Hold{
		Rules: []string{"big"}, Message: "x", Approvers: [][]string{{"admins"}}, For: time.Minute,
	})
	require.NoError(t, err)
	require.Contains(t, must(t, "requests", "ls"), "DELETE FROM t")
	ids := completed(t, "approve", "")
	require.Len(t, ids, 1)
	require.Contains(t, must(t, "approve", ids[0]), "approved")
	v := hold.Wait(t.Context())
	require.False(t, v.Refuses())
	require.Contains(t, must(t, "sessions", "kill", "--reason", "done", live.ID), "ended the session of alice")
	require.ErrorContains(t, live.Err(), "done")
}

// TestUsable: what a gateway names does not become an option or a line of another program.
func TestUsable(t *testing.T) {
	good := control.Resource{Name: "vm1", Type: "ssh", Address: "[::1]:22", User: "alice@example.com+vm1", Database: "shop_2", Accounts: []string{"app"}}
	require.NoError(t, usable(&good))
	good.User, good.Database = "o'brien@example.com+vm1", "my shop"
	require.NoError(t, usable(&good))
	for _, word := range []string{"-oProxyCommand=x", "a b", "a\nProxyCommand x", `a"b`, "$(x)", "`x`", "a\x7f", "a\\b", "a'b"} {
		for what, set := range map[string]func(r *control.Resource){
			"name": func(r *control.Resource) { r.Name = word }, "address": func(r *control.Resource) { r.Address = word + ":22" },
			"user": func(r *control.Resource) { r.User = word }, "database": func(r *control.Resource) { r.Database = word },
			"account": func(r *control.Resource) { r.Accounts = []string{word} }, "type": func(r *control.Resource) { r.Type = word },
		} {
			bad := good
			set(&bad)
			harmless := what == "database" && !strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "\n\x7f") || what == "user" && word == "a'b"
			require.Equal(t, harmless, usable(&bad) == nil, "%s %q", what, word)
		}
	}
}

// TestUsableAddress: where a resource is, as a gateway names it, is a host and a port.
func TestUsableAddress(t *testing.T) {
	p := &profile{URL: "https://gw.example.com:7443"}
	for address, want := range map[string]string{
		":22": "gw.example.com", "0.0.0.0:22": "gw.example.com", "[::]:22": "gw.example.com", "[::1]:22": "::1", "127.0.0.1:22": "127.0.0.1",
		"db-1.example.com:22": "db-1.example.com", "my_gateway:22": "my_gateway", "[fe80::1%eth0]:22": "fe80::1%eth0",
	} {
		require.NoError(t, usable(&control.Resource{Name: "vm1", Address: address}), address)
		host, port, err := p.listener(address)
		require.NoError(t, err, address)
		require.Equal(t, []string{want, "22"}, []string{host, port}, address)
	}
	for _, address := range []string{
		"[-oProxyCommand=id>/tmp/x]:22", "-oProxyCommand=id:22", "[[-v]]:22", "gw", "", "gw:", "gw:ssh", "gw:-1", "gw:22;id", "gw:65536", "gw:22,23", "::1:22",
		"a,b:22", "/tmp:22", "@gw:22", "root@gw:22", "a=b:22", ".x:22", "a|b:22", "a;b:22", "gé:22",
	} {
		require.Error(t, usable(&control.Resource{Name: "vm1", Address: address}), address)
		_, _, err := p.listener(address)
		require.Error(t, err, address)
	}
}

// TestLoginPublicAuthority: a gateway that the system knows is asked nothing about, and
// programs that do not know the system's authorities know it too.
func TestLoginPublicAuthority(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SSL_CERT_FILE names the system's authorities on Linux")
	}
	r := openRemote(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	require.NoError(t, os.WriteFile(roots, text, 0o600))
	program := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1", "SSL_CERT_FILE="+roots, "SSL_CERT_DIR=/nowhere")
		cmd.Stdin = strings.NewReader("bob\n")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	program("login", r.URL, "--user", "bob")
	dir := profileDir(t)
	require.NoFileExists(t, filepath.Join(dir, authorityPEM))
	require.Contains(t, program("connect", "orders", "--print"), "PGSSLROOTCERT="+filepath.Join(dir, systemPEM))
	root, err := os.ReadFile(filepath.Join(dir, systemPEM))
	require.NoError(t, err)
	require.Equal(t, string(text), string(root))
}

// A fingerprint is taken as login shows it and as openssl does. Another text is a mistake of who has typed it, and not a sign
// that somebody else answers.
func TestReadFingerprint(t *testing.T) {
	want := strings.Repeat("0a", 32)
	for _, text := range []string{want, strings.ToUpper(want), strings.Repeat("0A:", 31) + "0A", " " + want + "\n", "sha256 Fingerprint=" + strings.Repeat("0A:", 31) + "0A"} {
		got, err := readFingerprint(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "sha256 Fingerprint=", want[2:], want + "0a", "zz" + want[2:], "sha1 Fingerprint=" + strings.Repeat("0A:", 19) + "0A"} {
		_, err := readFingerprint(text)
		require.ErrorContains(t, err, "64 hexadecimal digits", text)
	}
}
