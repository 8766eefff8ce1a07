package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// Password is the body of POST /v1/login.
type Password struct {
	User     string `json:"user"`
	Password string `json:"password"`
	// Code is one of the user's second factor, where she has set one up.
	Code string `json:"code,omitempty"`
	// Cookie has a browser keep the session as its cookie, which no script reads; the answer has no token then. It is for
	// pages of the gateway's own.
	Cookie bool `json:"cookie,omitempty"`
}

// Login is the answer to POST /v1/login: a session, whose secret is the bearer of what
// follows.
type Login struct {
	Token   string    `json:"token,omitempty"` // missing: the browser has it as its cookie
	Subject string    `json:"subject"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires"`
}

// login logs a local user in. What was wrong is not told.
func (h *Handler) login(c *call) error {
	p := c.portal
	if p.Passwords == nil || p.Sessions == nil || h.Gateway == nil {
		return NotFound("nobody logs in here by a password")
	}
	var req Password
	if err := c.body(&req); err != nil {
		return err
	}
	if req.Cookie {
		if err := c.cookieable(); err != nil {
			return err
		}
	}
	id, err := h.tryPassword(c, req.User, req.Password, req.Code)
	if err != nil {
		return err
	}
	secret, expires, err := Recorded{h, p.Sessions}.Start(withRemote(c.Request), id)
	if err != nil {
		return loginError(err)
	}
	// The password may have been changed since it was looked at, which ends the logins that
	// there were then.
	if p.Identities != nil {
		if _, err := p.now(c.Context(), id); err != nil {
			_, ended := p.Sessions.End(context.WithoutCancel(c.Context()), secret)
			return errors.Join(loginError(err), ended)
		}
	}
	out := Login{Token: secret.Reveal(), Subject: id.Subject, Name: id.Name, Expires: expires}
	if req.Cookie {
		out.Token = ""
		http.SetCookie(c.w, sessionCookie(secret.Reveal(), int(time.Until(expires).Seconds())))
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}

// cookieable returns why a login does not become a cookie: it is one of a page of another site, which would have her go on as
// somebody else, or the gateway has no pages.
func (c *call) cookieable() error {
	switch {
	case !c.portal.Browsers:
		return badRequest("cookie: the gateway has no pages to log in at; leave it out for a token")
	case c.TLS == nil:
		return badRequest("cookie: browsers keep it by TLS only")
	case fromHere(c.Request) != nil:
		return &Error{http.StatusForbidden, CodeForbidden, "the request does not come from a page of this gateway"}
	}
	return nil
}

// sessionCookie is what a browser is given; one without a value is taken away. It is sent along when somebody follows a link
// from elsewhere to the gateway, and then by the page's own requests only: see fromHere.
func sessionCookie(value string, seconds int) *http.Cookie {
	if value == "" {
		seconds = -1
	}
	return &http.Cookie{Name: SessionCookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: seconds}
}

// wrongLogin is said of everything that is wrong with a login.
const wrongLogin = "the user, the password or the code is not correct, or a code of a second factor is needed"

// evenly is what a refused password takes, or a multiple of it: what was computed and read until
// something was found wrong is not told by the time.
const evenly = 300 * time.Millisecond

func even(ctx context.Context, begun time.Time) {
	t := time.NewTimer(evenly - time.Since(begun)%evenly)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// loginError is why a login failed, as the API tells it: not which part was wrong.
func loginError(err error) error {
	if errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, proxy.ErrUnavailable) {
		return &Error{http.StatusUnauthorized, CodeUnauthenticated, wrongLogin}
	}
	return errUnchecked
}

type remoteKey struct{}

// withRemote is a request's context, which says where it came from.
func withRemote(r *http.Request) context.Context {
	return context.WithValue(r.Context(), remoteKey{}, r)
}

// event tells the gateway's observers of a login or of one that failed.
func (h *Handler) event(kind proxy.EventKind, r *http.Request, user string, id *proxy.Identity, err error) {
	e := proxy.Event{Kind: kind, Protocol: apiProtocol, User: user, Identity: id, Err: err}
	if r != nil {
		e.Remote = remote(r)
	}
	if h.Gateway != nil {
		h.Gateway.Report(e)
	}
}

// remote is where a request came from.
func remote(r *http.Request) net.Addr {
	if at := remoteAddr(r); at != nil {
		return at
	}
	return noAddr(r.RemoteAddr)
}

// noAddr is where a request came from that has no address of its own.
type noAddr string

func (a noAddr) Network() string { return "local" }
func (a noAddr) String() string  { return string(a) }

var _ net.Addr = noAddr("")

// LoginFailed records that a login at a provider failed. It is for oidc.Handler's Failed.
func (h *Handler) LoginFailed(r *http.Request, provider string, err error) {
	h.event(proxy.EventLoginFailed, r, provider, nil, err)
}

// Recorded are sessions whose beginnings and ends are on record. It is for oidc.Handler's
// Sessions.
type Recorded struct {
	Handler  *Handler
	Sessions *tokens.Sessions
}

// Start begins a session of who may log in now.
func (s Recorded) Start(ctx context.Context, id *proxy.Identity) (proxy.Secret, time.Time, error) {
	p := s.Handler.portal()
	r, _ := ctx.Value(remoteKey{}).(*http.Request)
	if p.Identities != nil {
		now, err := p.now(ctx, id) // such as of somebody who is disabled here
		if err != nil {
			s.Handler.event(proxy.EventLoginFailed, r, LoginName(id), nil, err)
			return proxy.Secret{}, time.Time{}, err
		}
		id = now
	}
	if p.Members != nil {
		if err := p.Members.Saw(ctx, id); err != nil {
			return proxy.Secret{}, time.Time{}, err
		}
	}
	secret, expires, err := s.Sessions.Start(ctx, id)
	if err != nil {
		return proxy.Secret{}, time.Time{}, err
	}
	s.Handler.event(proxy.EventLogin, r, LoginName(id), id, nil)
	return secret, expires, nil
}

// End ends what a secret proves, and revokes what its login was given.
func (s Recorded) End(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	id, err := s.Sessions.End(ctx, secret)
	if err != nil || id == nil {
		return id, err
	}
	r, _ := ctx.Value(remoteKey{}).(*http.Request)
	return id, s.Handler.ended(ctx, r, id)
}

// ended records that a login has ended, and revokes what it was given.
func (h *Handler) ended(ctx context.Context, r *http.Request, id *proxy.Identity) error {
	a := audit.Action{Type: audit.AdminLogout, By: id}
	if r != nil {
		a.Remote = r.RemoteAddr
	}
	err := h.record(a)
	if p, login := h.portal(), id.Claims[identity.ClaimLogin]; p.Certificates != nil && login != "" {
		err = errors.Join(err, p.Certificates.RevokeLogin(ctx, id.Subject, login, "you have logged out"))
	}
	return err
}

// secret is that of the caller's session, and whether it is a bearer's.
func (c *call) secret() (proxy.Secret, bool) {
	text, bearer := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		text = ""
		if cookie, err := c.Cookie(SessionCookie); err == nil {
			text = cookie.Value
		}
	}
	return proxy.NewSecret(text), bearer
}

// logout ends the caller's login: the session, what it was given, and the login at the
// provider. What has ended stays so when a later part fails.
func (h *Handler) logout(c *call) error {
	p := c.portal
	if c.means != byLogin || p.Sessions == nil {
		return badRequest("only a login can be ended: an access token is revoked")
	}
	secret, bearer := c.secret()
	if !bearer {
		http.SetCookie(c.w, sessionCookie("", 0))
	}
	id, err := p.Sessions.End(c.Context(), secret)
	if err != nil {
		return err
	}
	if id == nil {
		id = c.who // another request has ended it meanwhile
	}
	if err := h.ended(c.Context(), c.Request, id); err != nil {
		return err
	}
	if login := id.Claims[identity.ClaimLogin]; p.EndLogin != nil && login != "" && id.Claims[identity.ClaimIssuer] != "" {
		if err := p.EndLogin(c.Context(), login, "you have logged out"); err != nil {
			return fmt.Errorf("ending the login at the provider: %w", err)
		}
	}
	h.answer(c.w, http.StatusOK, Done{})
	return nil
}

// logoutAll ends all logins of the caller, wherever they are, and what these were given. Her access tokens go on.
func (h *Handler) logoutAll(c *call) error {
	if c.portal.Sessions == nil {
		return badRequest("only a login can be ended: an access token is revoked")
	}
	if err := h.record(audit.Action{Type: audit.AdminLogout, By: c.who, Reason: "everywhere", Remote: c.RemoteAddr}); err != nil {
		return err
	}
	if _, bearer := c.secret(); !bearer {
		http.SetCookie(c.w, sessionCookie("", 0))
	}
	out, err := h.endLogins(context.WithoutCancel(c.Context()), c.who.Subject, "you have logged out everywhere")
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, out)
	return nil
}
