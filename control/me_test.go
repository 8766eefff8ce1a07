package control_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/identitytest"
	localusers "github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/identity/totp"
	"github.com/sallyport/sallyport/proxy"
)

// phone is a user's second factor.
type phone struct {
	*identitytest.App
	site     *site
	recovery []string
}

// code is one that was not shown before.
func (p *phone) code() string {
	p.site.ahead += time.Minute
	return p.Code(time.Now().Add(p.site.ahead))
}

// enrol sets up a second factor of a user, by a login of hers.
func (s *site) enrol(t *testing.T, token, user string) *phone {
	t.Helper()
	begun := answer[control.NewFactor](t, s, token, "POST", "/v1/me/totp", control.Again{Password: user})
	p := &phone{App: identitytest.NewApp(t, begun.URL), site: s}
	done := answer[control.Enrolled](t, s, token, "POST", "/v1/me/totp/confirm", control.CodeRequest{Code: p.code()})
	require.Len(t, done.Codes, 10)
	p.recovery = done.Codes
	return p
}

const chosen = "correct horse battery"

// TestOwnPassword: somebody chooses a password by the one before, which ends her other logins and
// what these were given.
func TestOwnPassword(t *testing.T) {
	s := openSite(t)
	token, other := s.login(t, "bob"), s.login(t, "bob")
	hers, others := s.login(t, "eve"), other
	_, cert, _ := s.certify(t, others)
	live, err := s.open(t, "bob", cert)
	require.NoError(t, err)
	_, kept, _ := s.certify(t, token)
	answer[control.NewToken](t, s, token, "POST", "/v1/tokens", control.TokenRequest{Label: "ci", Seconds: 60})

	for name, c := range map[string]struct {
		body control.PasswordRequest
		want int
	}{
		"without the one before": {control.PasswordRequest{New: chosen}, http.StatusForbidden},
		"by another":             {control.PasswordRequest{Again: control.Again{Password: "eve"}, New: chosen}, http.StatusForbidden},
		"too short":              {control.PasswordRequest{Again: control.Again{Password: "bob"}, New: "hunter22"}, http.StatusBadRequest},
		"with the name":          {control.PasswordRequest{Again: control.Again{Password: "bob"}, New: "Bob of the shop"}, http.StatusBadRequest},
		"of few characters":      {control.PasswordRequest{Again: control.Again{Password: "bob"}, New: strings.Repeat("ab", 20)}, http.StatusBadRequest},
		"with an escape":         {control.PasswordRequest{Again: control.Again{Password: "bob"}, New: chosen + "\x1b[2J"}, http.StatusBadRequest},
	} {
		status, text := s.do(t, token, "POST", "/v1/me/password", c.body)
		require.Equal(t, c.want, status, name+": "+text)
	}
	got := answer[control.Ended](t, s, token, "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: "bob"}, New: chosen})
	require.Equal(t, control.Ended{Logins: 1, Tokens: 1}, *got)
	<-live.Context().Done()
	_, err = s.open(t, "bob", cert)
	require.ErrorIs(t, err, proxy.ErrUnauthenticated, "what the other login was given counts no more")
	_, err = s.open(t, "bob", kept)
	require.NoError(t, err)
	for token, want := range map[string]int{token: 200, other: 401, hers: 200} {
		status, _ := s.do(t, token, "GET", "/v1/whoami", nil)
		require.Equal(t, want, status)
	}
	status, _ := s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob"})
	require.Equal(t, http.StatusUnauthorized, status)
	answer[control.Login](t, s, "", "POST", "/v1/login", control.Password{User: "bob", Password: chosen})
	require.WithinDuration(t, time.Now(), answer[control.Factors](t, s, token, "GET", "/v1/me/factors", nil).Password, time.Minute)

	require.Equal(t, []string{"bob password"}, s.factorEvents(t, audit.AdminFactor))
	require.Contains(t, s.factorEvents(t, audit.AdminRefused), "bob admin.factor")
	s.hides(t, chosen)
}

// factorEvents are users and actions of the record's events of a type.
func (s *site) factorEvents(t *testing.T, typ string) (list []string) {
	for _, e := range s.own(t) {
		if e.Type == typ {
			list = append(list, e.User+" "+e.Action)
		}
	}
	return list
}

// hides fails when one of some secrets is in what is kept or recorded.
func (s *site) hides(t *testing.T, secrets ...string) {
	t.Helper()
	var all []string
	for _, kind := range []string{localusers.Kind, totp.Kind, tokens.KindSession, identity.KindMember} {
		docs, err := s.docs.List(t.Context(), kind, "", 1000)
		require.NoError(t, err)
		for _, d := range docs {
			all = append(all, string(d.Body))
		}
	}
	for _, e := range s.own(t) {
		b, err := json.Marshal(e)
		require.NoError(t, err)
		all = append(all, string(b))
	}
	require.NotEmpty(t, all)
	for _, secret := range secrets {
		require.NotContains(t, strings.Join(all, "\n"), secret)
	}
}

// TestPasswordOfReset: an operator's new password in the file counts again, also when he then takes
// it back.
func TestPasswordOfReset(t *testing.T) {
	s := openSite(t)
	answer[control.Ended](t, s, s.login(t, "bob"), "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: "bob"}, New: chosen})
	before, ok := s.portal.Users.Lookup("bob")
	require.True(t, ok)
	after := before
	var err error
	after.Password, err = identity.NewVerifier("another")
	require.NoError(t, err)
	try := func(u identity.User, password string) error {
		users, err := identity.NewUsers([]identity.User{u})
		require.NoError(t, err)
		users.Owner = s.portal.Credentials
		_, err = users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "bob", Password: proxy.NewSecret(password)})
		return err
	}
	require.NoError(t, try(before, chosen))
	require.NoError(t, try(after, "another"))
	require.ErrorIs(t, try(after, chosen), proxy.ErrUnauthenticated)
	users, err := identity.NewUsers([]identity.User{after})
	require.NoError(t, err)
	dropped, err := s.portal.Credentials.Drop(t.Context(), users)
	require.NoError(t, err)
	require.Equal(t, []string{"bob"}, dropped)
	require.ErrorIs(t, try(before, chosen), proxy.ErrUnauthenticated)
	require.NoError(t, try(before, "bob"))
}

// TestDisabledWins: the file's disabled and expires win over what somebody has set up.
func TestDisabledWins(t *testing.T) {
	s := openSite(t)
	answer[control.Ended](t, s, s.login(t, "bob"), "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: "bob"}, New: chosen})
	for name, change := range map[string]func(*identity.User){
		"disabled": func(u *identity.User) { u.Disabled = true }, "expired": func(u *identity.User) { u.Expires = time.Now().Add(-time.Minute) },
	} {
		u, _ := s.portal.Users.Lookup("bob")
		change(&u)
		users, err := identity.NewUsers([]identity.User{u})
		require.NoError(t, err)
		users.Owner = s.portal.Credentials
		_, err = users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "bob", Password: proxy.NewSecret(chosen)})
		require.ErrorIs(t, err, proxy.ErrUnauthenticated, name)
		_, err = users.Refresh(t.Context(), &proxy.Identity{Subject: "bob", Method: proxy.MethodPassword})
		require.Error(t, err, name)
	}
}

// TestSecondFactor: with a second factor a password alone logs nobody in, each code counts once, and
// the factor is taken away by a code of it only.
func TestSecondFactor(t *testing.T) {
	s := openSite(t)
	token, other := s.login(t, "bob"), s.login(t, "bob")
	p := s.enrol(t, token, "bob")
	status, _ := s.do(t, other, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status, "logins by the password alone have ended")
	login := func(password, code string) (int, string) {
		return s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: password, Code: code})
	}
	fresh := p.code()
	alone, said := login("bob", "")
	require.Equal(t, http.StatusUnauthorized, alone)
	wrong, same := login("hunter2", fresh)
	require.Equal(t, alone, wrong)
	require.Equal(t, said, same)
	status, _ = login("bob", fresh)
	require.Equal(t, http.StatusOK, status, "a wrong password has not used the code")
	status, same = login("bob", fresh)
	require.Equal(t, alone, status, "the code was used")
	require.Equal(t, said, same)
	status, _ = login("bob", p.recovery[0])
	require.Equal(t, http.StatusOK, status)
	status, _ = login("bob", p.recovery[0])
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, 9, answer[control.Factors](t, s, token, "GET", "/v1/me/factors", nil).TOTP.RecoveryCodes)

	require.Equal(t, []string{"bob totp add", "bob totp confirm"}, s.factorEvents(t, audit.AdminFactor))
	s.hides(t, append(p.recovery, fresh)...)
}

// TestFactorIsKept: a second factor is set up by the password and taken away by a code of it, and a
// session that was stolen does neither.
func TestFactorIsKept(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	status, _ := s.do(t, token, "POST", "/v1/me/totp", control.Again{Password: "eve"})
	require.Equal(t, http.StatusForbidden, status, "a stolen session sets nothing up")
	p := s.enrol(t, token, "bob")
	status, _ = s.do(t, token, "POST", "/v1/me/totp", control.Again{Password: "bob", Code: p.code()})
	require.Equal(t, http.StatusConflict, status, "it is not replaced unseen")

	fresh := p.code()
	answer[control.ProvenAgain](t, s, token, "POST", "/v1/me/prove", control.Again{Code: fresh})
	for path, a := range map[string]control.Again{
		"/v1/me/totp/remove": {Password: "bob"}, "/v1/me/recovery-codes": {Password: "bob", Code: fresh},
	} {
		status, _ := s.do(t, token, "POST", path, a)
		require.Equal(t, http.StatusForbidden, status)
	}
	others := answer[control.RecoveryCodes](t, s, token, "POST", "/v1/me/recovery-codes", control.Again{Password: "bob", Code: p.code()})
	require.ErrorIs(t, s.portal.Credentials.Code(t.Context(), "bob", proxy.NewSecret(p.recovery[1])), totp.ErrWrong)
	last := p.code()
	answer[control.Ended](t, s, token, "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: "bob", Code: last}, New: chosen})
	answer[control.Done](t, s, token, "POST", "/v1/me/totp/remove", control.Again{Password: chosen, Code: others.Codes[0]})
	_, err := s.portal.Passwords.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "bob", Password: proxy.NewSecret(chosen)})
	require.NoError(t, err)
	require.Equal(t, []string{"bob totp add", "bob totp confirm", "bob totp add", "bob prove", "bob recovery codes", "bob password", "bob totp remove"}, s.factorEvents(t, audit.AdminFactor))
	s.hides(t, append(append(p.recovery, others.Codes...), chosen, fresh, last)...)
}

// TestCodeRace: of several logins at once with one code, one begins.
func TestCodeRace(t *testing.T) {
	s := openSite(t)
	p := s.enrol(t, s.login(t, "bob"), "bob")
	code := p.code()
	var wg sync.WaitGroup
	in := make(chan int, 8)
	for range cap(in) {
		wg.Go(func() {
			status, _ := s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob", Code: code})
			in <- status
		})
	}
	wg.Wait()
	close(in)
	right := 0
	for status := range in {
		if status == http.StatusOK {
			right++
		}
	}
	require.Equal(t, 1, right)
}

// TestCodeGuesses: after a few wrong codes the right one waits, too, wherever it is given.
func TestCodeGuesses(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	p := s.enrol(t, token, "bob")
	right := p.code()
	for range 5 {
		status, _ := s.do(t, token, "POST", "/v1/me/prove", control.Again{Code: "000000"})
		require.Equal(t, http.StatusForbidden, status)
	}
	status, _ := s.do(t, token, "POST", "/v1/me/prove", control.Again{Code: right})
	require.Equal(t, http.StatusForbidden, status)
	status, _ = s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob", Code: right})
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob", Code: p.code()})
	require.Equal(t, http.StatusOK, status, "it has waited")
}

// TestProve: the age of a login begins anew with a code, and certificates say so from then on.
func TestProve(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	_, cert, _ := s.certify(t, token)
	id, err := s.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: "bob", Certificates: []*x509.Certificate{cert}})
	require.NoError(t, err)
	require.Empty(t, id.Claims[identity.ClaimMethods])
	before := id.AuthTime

	answer[control.ProvenAgain](t, s, token, "POST", "/v1/me/prove", control.Again{Password: "bob"})
	p := s.enrol(t, token, "bob")
	_, cert, _ = s.certify(t, token)
	id, err = s.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: "bob", Certificates: []*x509.Certificate{cert}})
	require.NoError(t, err)
	require.Equal(t, "pwd otp mfa", id.Claims[identity.ClaimMethods], "the login that has set it up has proven both")
	for _, a := range []control.Again{{}, {Password: "bob"}, {Code: "1"}} {
		status, _ := s.do(t, token, "POST", "/v1/me/prove", a)
		require.Equal(t, http.StatusForbidden, status)
	}
	status, _ := s.do(t, token, "POST", "/v1/me/password", control.PasswordRequest{Again: control.Again{Password: "bob"}, New: chosen})
	require.Equal(t, http.StatusForbidden, status, "a password is changed by the second factor, too")
	got := answer[control.ProvenAgain](t, s, token, "POST", "/v1/me/prove", control.Again{Code: p.code()})
	require.Equal(t, "pwd otp mfa", got.Methods)
	_, cert, _ = s.certify(t, token)
	id, err = s.sources.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodCertificate, User: "bob", Certificates: []*x509.Certificate{cert}})
	require.NoError(t, err)
	require.Equal(t, "pwd otp mfa", id.Claims[identity.ClaimMethods])
	require.False(t, id.AuthTime.Before(before))
	require.WithinDuration(t, got.At, id.AuthTime, time.Second)
}

// TestOwnRoutesClosed: what a login was given, an agent, a page of another site and somebody at the
// socket change nothing about how a person proves herself.
func TestOwnRoutesClosed(t *testing.T) {
	s := openSite(t)
	token := s.login(t, "bob")
	_, _, certified := s.certify(t, token)
	secret := answer[control.NewToken](t, s, token, "POST", "/v1/tokens", control.TokenRequest{Label: "all", Seconds: 60}).Secret
	body := map[string]any{"password": "bob"}
	for _, route := range []string{"GET /v1/me/factors", "POST /v1/me/password", "POST /v1/me/totp", "POST /v1/me/totp/confirm", "POST /v1/me/totp/remove", "POST /v1/me/recovery-codes", "POST /v1/me/prove"} {
		method, path, _ := strings.Cut(route, " ")
		status, text := s.ask(t, certified, "", method, path, body)
		require.Equal(t, http.StatusForbidden, status, "a certificate: "+route+" "+text)
		status, _ = s.do(t, secret, method, path, body)
		require.Equal(t, http.StatusForbidden, status, "an access token: "+route)
		status, _ = s.do(t, "", method, path, body)
		require.Equal(t, http.StatusUnauthorized, status, route)
		known := s.handler.Authenticate
		s.handler.Authenticate = func(*http.Request) (*proxy.Identity, error) {
			return &proxy.Identity{Subject: "root", Method: proxy.MethodPeer}, nil
		}
		status, _ = s.do(t, "", method, path, body)
		require.Equal(t, http.StatusForbidden, status, "the socket: "+route)
		s.handler.Authenticate = known
		for _, site := range []string{"cross-site", "same-site"} {
			status, _ = s.ask(t, s.server.Client(), "", method, path, body, "Cookie", control.SessionCookie+"="+token, "Sec-Fetch-Site", site, "Origin", "https://evil.example.com")
			require.Equal(t, http.StatusUnauthorized, status, site+": "+route)
		}
	}
	status, _ := s.ask(t, s.server.Client(), "", "POST", "/v1/me/totp", body, "Cookie", control.SessionCookie+"="+token, "Content-Type", "text/plain")
	require.Equal(t, http.StatusBadRequest, status, "what a form of another site can send")
}

// TestResetFactors: an administrator takes the second factor of another, and her logins, away.
func TestResetFactors(t *testing.T) {
	s := openSite(t)
	ada, bob := s.login(t, "ada"), s.login(t, "bob")
	s.enrol(t, bob, "bob")
	s.enrol(t, ada, "ada")
	for _, c := range []struct {
		token   string
		request control.UserRequest
		want    int
	}{
		{bob, control.UserRequest{Subject: "ada", Reason: "why"}, http.StatusForbidden},
		{ada, control.UserRequest{Subject: "bob"}, http.StatusBadRequest},
		{ada, control.UserRequest{Subject: "ada", Reason: "lost"}, http.StatusForbidden},
	} {
		status, _ := s.do(t, c.token, "POST", "/v1/user/factors", c.request)
		require.Equal(t, c.want, status)
	}
	got := answer[control.FactorsReset](t, s, ada, "POST", "/v1/user/factors", control.UserRequest{Subject: "bob", Reason: "lost her phone"})
	require.Equal(t, control.FactorsReset{Factors: 1, LoggedOut: control.LoggedOut{Sessions: 1}}, *got)
	status, _ := s.do(t, bob, "GET", "/v1/whoami", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Nil(t, answer[control.Factors](t, s, s.login(t, "bob"), "GET", "/v1/me/factors", nil).TOTP)
	require.Contains(t, s.factorEvents(t, audit.AdminUser), "ada reset factors")
}

// TestSameRefusal: neither the answer nor its time tells who exists, who has a second factor, whose
// password is right, and which part was wrong.
func TestSameRefusal(t *testing.T) {
	s := openSite(t)
	s.enrol(t, s.login(t, "bob"), "bob")
	var first string
	for name, login := range map[string]control.Password{
		"nobody":                     {User: "nobody", Password: "x"},
		"nobody, with a code":        {User: "nobody", Password: "x", Code: "123456"},
		"wrong":                      {User: "eve", Password: "x"},
		"wrong, with a factor":       {User: "bob", Password: "x", Code: "123456"},
		"right, and no code":         {User: "bob", Password: "bob"},
		"right, and the code is not": {User: "bob", Password: "bob", Code: "123456"},
	} {
		begun := time.Now()
		status, text := s.do(t, "", "POST", "/v1/login", login)
		require.GreaterOrEqual(t, time.Since(begun), 290*time.Millisecond, name)
		require.Equal(t, http.StatusUnauthorized, status, name)
		if first == "" {
			first = text
		}
		require.Equal(t, first, text, name)
	}
	answer[control.Login](t, s, "", "POST", "/v1/login", control.Password{User: "eve", Password: "eve", Code: "123456"})
}

// slow proves somebody, and then lets something happen.
type slow struct {
	proxy.Authenticator
	then func()
}

func (s slow) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	id, err := s.Authenticator.Authenticate(ctx, p)
	s.then()
	return id, err
}

// TestLoginBetween: a login that was under way when its password was changed, or a second factor was
// set up, does not begin.
func TestLoginBetween(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *site){
		"the password is changed": func(t *testing.T, s *site) {
			bob, _ := s.portal.Users.Lookup("bob")
			require.NoError(t, s.portal.Credentials.Choose(t.Context(), bob, "", proxy.NewSecret(chosen)))
		},
		"a second factor is set up": func(t *testing.T, s *site) {
			address, err := s.portal.Credentials.Codes.Enroll(t.Context(), "bob", "bob")
			require.NoError(t, err)
			_, err = s.portal.Credentials.Confirm(t.Context(), "bob", identitytest.NewApp(t, address.Reveal()).Code(time.Now()))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t)
			s.portal.Passwords = slow{s.portal.Passwords, sync.OnceFunc(func() { change(t, s) })}
			status, _ := s.do(t, "", "POST", "/v1/login", control.Password{User: "bob", Password: "bob"})
			require.Equal(t, http.StatusUnauthorized, status)
			n, err := s.portal.Sessions.EndAll(t.Context(), "bob")
			require.NoError(t, err)
			require.Zero(t, n)
		})
	}
}
