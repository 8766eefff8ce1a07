package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Cookies of the gateway's at an application's host. Their prefix ties them to that host and to TLS, so
// that no sibling of it can set them.
const (
	cookiePrefix  = "__Host-gateway"
	sessionCookie = cookiePrefix + "-session"
	loginCookie   = cookiePrefix + "-login-" // what follows is the beginning of the challenge
	pagesCookie   = "__Host-session"         // of the gateway's own pages, which are at another host where people log in
)

// ownPath is where the gateway's own pages are at every application.
const ownPath = "/.gateway/"

// Bounds of logins that a browser has begun.
const (
	loginTime = 10 * time.Minute
	maxLogins = 8
)

func ownCookie(name string) bool { return strings.HasPrefix(name, cookiePrefix) || name == pagesCookie }

// serveOwn serves the gateway's own pages at an application.
func (h *Handler) serveOwn(x *exchange, path string) {
	w, r := x.w, x.r
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", pagePolicy)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch name := strings.TrimPrefix(path, ownPath); {
	case name == "jwks.json" && reading && h.Signer != nil:
		head.Set("Content-Type", "application/json")
		head.Set("Cache-Control", "public, max-age=3600")
		body, err := h.Signer.Keys()
		if err != nil {
			h.log().Error("web: the keys of assertions", "err", err)
			x.refuse(http.StatusServiceUnavailable, "The keys cannot be read now.", "")
			return
		}
		_, _ = w.Write(body) // the client is gone when this fails
	case name == "login" && reading:
		h.beginLogin(x, local(r.URL.Query().Get("return")))
	case name == "callback" && r.Method == http.MethodGet:
		h.endLogin(x)
	case name == "logout" && r.Method == http.MethodPost:
		h.logout(x)
	default:
		x.refuse(http.StatusNotFound, "The gateway has no such page.", "")
	}
}

// beginLogin sends a browser to the gateway's login. What the login has to be for is in a cookie that only
// this host reads, so that only the browser that has begun it ends it.
func (h *Handler) beginLogin(x *exchange, back string) {
	verifier, challenge := newVerifier()
	page := ""
	var err error
	if h.Logins != nil {
		page, err = h.Logins.Page(x.r.Context(), x.app.resource.Name, x.app.origin(), challenge)
	}
	switch {
	case err != nil:
		h.log().Error("web: a login cannot begin", "resource", x.app.resource.Name, "err", err)
		x.refuse(http.StatusServiceUnavailable, "The login does not work now.", "Try again in a minute.")
		return
	case page == "":
		x.refuse(http.StatusUnauthorized, "Nobody can log in with a browser at this gateway.", "Send an access token as a bearer, or show a client certificate.")
		return
	}
	var begun []*http.Cookie
	for _, c := range x.r.Cookies() {
		if strings.HasPrefix(c.Name, loginCookie) {
			begun = append(begun, c)
		}
	}
	if len(begun) >= maxLogins {
		for _, c := range begun {
			http.SetCookie(x.w, cookie(c.Name, "", -1))
		}
	}
	value := verifier + "." + base64.RawURLEncoding.EncodeToString([]byte(back))
	http.SetCookie(x.w, cookie(loginCookie+challenge[:16], value, int(loginTime.Seconds())))
	x.w.Header().Set("Cache-Control", "no-store")
	http.Redirect(x.w, x.r, page, http.StatusFound)
}

func newVerifier() (verifier, challenge string) {
	var b [32]byte
	rand.Read(b[:])
	verifier = base64.RawURLEncoding.EncodeToString(b[:])
	return verifier, Challenge(verifier)
}

// Challenge is what binds a code to a verifier.
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return hex.EncodeToString(sum[:])
}

// cookie is one of the gateway's: no script reads it, and it comes with what a person opens from
// elsewhere, but not with what pages of other sites send.
func cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: seconds}
}

// endLogin takes the code with which a browser comes back.
func (h *Handler) endLogin(x *exchange) {
	q := x.r.URL.Query()
	state, code := q.Get("state"), q.Get("code")
	c, verifier, back := begunBy(x.r, state)
	if c == nil {
		x.refuse(http.StatusForbidden, "This browser has not begun this login, or too long ago.", "Open the application again.")
		return
	}
	http.SetCookie(x.w, cookie(c.Name, "", -1))
	if h.Logins == nil {
		x.refuse(http.StatusUnauthorized, "Nobody can log in with a browser at this gateway.", "")
		return
	}
	secret, expires, err := h.Logins.Redeem(x.r.Context(), x.app.resource.Name, code, verifier)
	switch {
	case errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, proxy.ErrUnavailable):
		x.conn.Gateway().Report(proxy.Event{Kind: proxy.EventLoginFailed, Protocol: h.Protocol(), Remote: x.conn.RemoteAddr(), Err: err})
		x.refuse(http.StatusForbidden, "The login has expired, or was used already.", "Open the application again.")
		return
	case err != nil:
		h.log().Error("web: a login cannot end", "resource", x.app.resource.Name, "err", err)
		x.refuse(http.StatusServiceUnavailable, "The login does not work now.", "Open the application again.")
		return
	}
	http.SetCookie(x.w, cookie(sessionCookie, secret.Reveal(), max(int(time.Until(expires).Seconds()), 1)))
	x.w.Header().Set("Location", back)
	x.w.WriteHeader(http.StatusSeeOther)
}

// begunBy returns the cookie of a login that this browser has begun, its verifier, and where it leads.
func begunBy(r *http.Request, state string) (c *http.Cookie, verifier, back string) {
	if len(state) != sha256.Size*2 {
		return nil, "", ""
	}
	list := r.CookiesNamed(loginCookie + state[:16])
	if len(list) != 1 {
		return nil, "", ""
	}
	verifier, path, ok := strings.Cut(list[0].Value, ".")
	to, err := base64.RawURLEncoding.DecodeString(path)
	if !ok || err != nil || Challenge(verifier) != state {
		return nil, "", ""
	}
	return list[0], verifier, local(string(to))
}

// logout ends the browser's login at this application, and what it has open here.
func (h *Handler) logout(x *exchange) {
	p, err := x.shown()
	if err != nil || p == nil || p.cookie.Empty() {
		x.refuse(http.StatusUnauthorized, "This browser has not logged in here.", "")
		return
	}
	if err := foreign(x.r, x.app, false); err != nil {
		x.refuse(http.StatusForbidden, err.Error(), "")
		return
	}
	if err := h.Logins.End(x.r.Context(), x.app.resource.Name, p.cookie); err != nil {
		h.log().Error("web: a login cannot be ended", "resource", x.app.resource.Name, "err", err)
		x.refuse(http.StatusServiceUnavailable, "The logout does not work now.", "Try again in a minute.")
		return
	}
	h.shared.visits.End(p.key, errLoggedOut)
	http.SetCookie(x.w, cookie(sessionCookie, "", -1))
	x.refuse(http.StatusOK, "You have logged out of "+x.app.resource.Name+".", "")
}

var errLoggedOut = errors.New("you have logged out")

// unproven answers a request that does not show who sends it.
func (h *Handler) unproven(x *exchange, why string) {
	if x.known() {
		x.refuse(http.StatusUnauthorized, "The login of who sends this request has ended.", "")
		return
	}
	if navigates(x.r) && h.Logins != nil {
		back := "/"
		if x.r.Method == http.MethodGet {
			back = local(x.sent)
		}
		h.beginLogin(x, back)
		return
	}
	login := x.app.origin() + ownPath + "login"
	x.w.Header().Set("WWW-Authenticate", `Bearer realm="`+x.app.resource.Name+`", login="`+login+`"`)
	x.cors()
	if why == "" {
		why = "The gateway does not know who sends this request."
	}
	x.answer(answer{status: http.StatusUnauthorized, message: why, remedy: "Log in at " + login + ", or send an access token as a bearer.", login: login})
}

// cors lets pages that may use the application read what the gateway answers.
func (x *exchange) cors() {
	head := x.w.Header()
	head.Add("Vary", "Origin")
	origin := x.r.Header.Get("Origin")
	if origin == "" || origin != x.app.origin() && !x.app.friend(origin) {
		return
	}
	head.Set("Access-Control-Allow-Origin", origin)
	head.Set("Access-Control-Allow-Credentials", "true")
	head.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, X-Gateway-Request")
}
