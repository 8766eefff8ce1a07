package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Sessions turns logins into what browsers and the command line show from then on.
type Sessions interface {
	// Start returns a secret that proves the identity until it expires.
	Start(ctx context.Context, id *proxy.Identity) (secret proxy.Secret, expires time.Time, err error)
	// End ends what a secret proves, and returns its identity; nil when it proves nothing.
	End(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error)
}

// Handler logs browsers and command lines in. It is mounted under a prefix that is
// stripped, served by TLS only; limits on how often one address may ask belong before
// it. How many questions to a provider all of them cause is limited here. A Handler must not be
// copied.
//
//	GET  /PROVIDER/login?return=PATH     a browser begins
//	GET  /PROVIDER/cli?port=&state=&challenge=   a command line has its browser begin
//	                                     both with max_age=SECONDS, where the user has to have
//	                                     proven herself at the provider no longer ago
//	GET  /PROVIDER/callback              the provider's answer: its redirect URL
//	POST /confirm                        the user lets the command line in
//	POST /token                          the command line redeems its code: code, verifier
//	POST /PROVIDER/device, /PROVIDER/device/poll  a machine without a browser
//	POST /PROVIDER/workload              a program redeems its platform's token
//	POST /PROVIDER/backchannel           the provider ends a session
//	POST /logout                         a browser or a command line logs out
type Handler struct {
	Logins   *Logins
	Sessions Sessions
	// Sealer seals what browsers keep of a login that is not complete.
	Sealer identity.Sealer
	// Workloads are the programs that may log in, by provider.
	Workloads map[string][]Workload
	// Cookie names the cookie of browsers; empty is "__Host-session". Its name begins with
	// "__Host-", which ties it to this host and TLS.
	Cookie string
	// Failed is told of logins that were refused, for the record; nil tells nobody.
	Failed func(r *http.Request, provider string, err error)
	Log    *slog.Logger

	questions questions
}

const (
	attemptCookie = "__Host-login-"
	codeLife      = time.Minute
	kindCode      = "login-code"
	maxForm       = 64 << 10
)

// back is what a login does once it is known who it is.
type back struct {
	Path      string `json:"path,omitempty"`      // of a browser
	Port      int    `json:"port,omitempty"`      // of a command line
	State     string `json:"state,omitempty"`     // the command line's
	Challenge string `json:"challenge,omitempty"` // the command line's, of PKCE
}

func (h *Handler) cookie() string {
	if h.Cookie != "" {
		return h.Cookie
	}
	return "__Host-session"
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Frame-Options", "DENY")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name, rest, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/"), "/")
	route := r.Method + " " + rest
	if rest == "" {
		route, name = r.Method+" /"+name, ""
	}
	switch route {
	case "POST /token":
		h.token(w, r)
		return
	case "POST /confirm":
		h.confirm(w, r)
		return
	case "POST /logout":
		h.logout(w, r)
		return
	}
	p := h.Logins.Provider(name)
	if p == nil {
		http.NotFound(w, r)
		return
	}
	switch route {
	case "GET login":
		h.begin(w, r, p, back{Path: local(r.URL.Query().Get("return"))})
	case "GET cli":
		b, err := commandLine(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.begin(w, r, p, b)
	case "GET callback":
		h.callback(w, r, p)
	case "POST device":
		h.device(w, r, p)
	case "POST device/poll":
		h.poll(w, r, p)
	case "POST workload":
		h.workload(w, r, p)
	case "POST backchannel":
		h.backchannel(w, r, p)
	default:
		http.NotFound(w, r)
	}
}

// local returns a path of this host to go to; "/" for everything else.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}

// commandLine reads what a command line asks for: it waits for a code on a port of the
// browser's own machine.
func commandLine(q url.Values) (back, error) {
	port, err := strconv.Atoi(q.Get("port"))
	challenge, bad := base64.RawURLEncoding.DecodeString(q.Get("challenge"))
	switch {
	case err != nil || port < 1024 || port > 65535:
		return back{}, errors.New("port: want that of the waiting program, 1024 to 65535")
	case bad != nil || len(challenge) != sha256.Size:
		return back{}, errors.New("challenge: want the SHA-256 of the verifier, in URL-safe base64")
	case len(q.Get("state")) < 16 || len(q.Get("state")) > 128:
		return back{}, errors.New("state: want 16 to 128 bytes")
	}
	return back{Port: port, State: q.Get("state"), Challenge: q.Get("challenge")}, nil
}

// maxAge is how long ago the user may have proven herself at the provider, in seconds; 0 when
// that is not said.
func maxAge(q url.Values) (time.Duration, error) {
	if !q.Has("max_age") {
		return 0, nil
	}
	n, err := strconv.Atoi(q.Get("max_age"))
	if err != nil || n < 1 || n > 24*60*60 {
		return 0, errors.New("the greatest age of a proof: want 1 to 86400 seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// Code is the short text that a terminal shows, and the page that lets it in: the
// user compares them. It is made of the challenge.
func Code(challenge string) string {
	sum := sha256.Sum256([]byte("sallyport code " + challenge))
	text := strings.ToUpper(hex.EncodeToString(sum[:4]))
	return text[:4] + "-" + text[4:]
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request, p *Provider, b back) {
	age, err := maxAge(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	then, err := json.Marshal(b)
	if err == nil {
		var at, value string
		var a *Attempt
		if at, a, err = p.Begin(r.Context(), BeginOptions{Return: then, MaxAge: age}); err == nil {
			if value, err = a.Seal(h.Sealer); err == nil {
				h.set(w, attemptCookie+p.config.Name, value, attemptLife)
				http.Redirect(w, r, at, http.StatusFound)
				return
			}
		}
	}
	h.log(r, p.config.Name, err)
	http.Error(w, "the identity provider cannot be asked now", http.StatusBadGateway)
}

// set sets a cookie; one without a value is taken away. Lax: the provider sends the
// browser back, and a cookie that is strict would stay away.
func (h *Handler) set(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (h *Handler) log(r *http.Request, provider string, err error) {
	if h.Failed != nil {
		h.Failed(r, provider, err)
	}
	if h.Log != nil {
		h.Log.Warn("a login failed", "provider", provider, "remote", r.RemoteAddr, "err", err)
	}
}

// refuse answers without a reason: that is in the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, provider string, err error) {
	h.log(r, provider, err)
	if r.Context().Err() == nil && !errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, identity.ErrSealed) {
		http.Error(w, "the login could not be checked now", http.StatusBadGateway)
		return
	}
	http.Error(w, "the login failed: begin again", http.StatusForbidden)
}

func (h *Handler) callback(w http.ResponseWriter, r *http.Request, p *Provider) {
	name := attemptCookie + p.config.Name
	c, err := r.Cookie(name)
	if err != nil {
		h.refuse(w, r, p.config.Name, fmt.Errorf("%w: the login was not begun in this browser", proxy.ErrUnauthenticated))
		return
	}
	h.set(w, name, "", 0) // it counts once
	a, err := OpenAttempt(h.Sealer, c.Value)
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	if !h.questions.answer(p.config.Name, h.Logins.now()) {
		h.busy(w, r, p)
		return
	}
	l, err := p.Finish(r.Context(), a, r.URL.Query())
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	var b back
	if err := json.Unmarshal(a.Return, &b); err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	if b.Port != 0 {
		h.ask(w, r, p, l, b)
		return
	}
	id, err := h.Logins.Add(r.Context(), l)
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	secret, expires, err := h.session(r.Context(), id)
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	h.set(w, h.cookie(), secret.Reveal(), expires.Sub(h.Logins.now()))
	http.Redirect(w, r, b.Path, http.StatusSeeOther)
}

// code is what a command line redeems.
type code struct {
	Challenge string `json:"challenge"`
	Login     string `json:"login"`
}

// pending is a command line that waits for the user's word.
type pending struct {
	Login   string    `json:"login"`
	Back    back      `json:"back"`
	Expires time.Time `json:"expires"`
}

// ask has the user say that it is her own command line that logs in, so that no page
// that she opens can do it for her.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, p *Provider, l *Login, b back) {
	id, err := h.Logins.add(r.Context(), l, attemptLife+codeLife) // until it is redeemed
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	body, err := json.Marshal(pending{Login: id.Claims[identity.ClaimLogin], Back: b, Expires: h.Logins.now().Add(attemptLife)})
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	sealed, err := h.Sealer.Seal(body, "oidc confirmation")
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	h.set(w, attemptCookie+"confirm", base64.RawURLEncoding.EncodeToString(sealed), attemptLife)
	who := id.Name
	if who == "" {
		who = id.Subject
	}
	show(w, confirmPage, struct{ Who, Code string }{who, Code(b.Challenge)})
}

func (h *Handler) confirm(w http.ResponseWriter, r *http.Request) {
	if err := sameOrigin(r); err != nil {
		h.refuse(w, r, "", err)
		return
	}
	var q pending
	c, err := r.Cookie(attemptCookie + "confirm")
	if err == nil {
		var sealed, body []byte
		if sealed, err = base64.RawURLEncoding.DecodeString(c.Value); err == nil {
			if body, err = h.Sealer.Open(sealed, "oidc confirmation"); err == nil {
				err = json.Unmarshal(body, &q)
			}
		}
	}
	if err != nil || !h.Logins.now().Before(q.Expires) {
		h.refuse(w, r, "", fmt.Errorf("%w: nothing waits for this browser's word", proxy.ErrUnauthenticated))
		return
	}
	h.set(w, attemptCookie+"confirm", "", 0)
	if r.PostFormValue("answer") != "yes" {
		if err := h.Logins.End(r.Context(), q.Login, "the login was refused"); err != nil {
			h.refuse(w, r, "", err)
			return
		}
		h.home(w, r, q.Back, url.Values{"error": {"access_denied"}, "state": {q.Back.State}})
		return
	}
	secret := random()
	body, err := json.Marshal(code{Challenge: q.Back.Challenge, Login: q.Login})
	if err == nil {
		_, err = h.Logins.Documents.Write(r.Context(), kindCode, identity.Document{Name: hashed(secret), Body: body, Expires: h.Logins.now().Add(codeLife)})
	}
	if err != nil {
		h.refuse(w, r, "", err)
		return
	}
	h.home(w, r, q.Back, url.Values{"code": {secret}, "state": {q.Back.State}})
}

// home sends the browser to the program that waits on its machine.
func (h *Handler) home(w http.ResponseWriter, r *http.Request, b back, q url.Values) {
	http.Redirect(w, r, fmt.Sprintf("http://127.0.0.1:%d/callback?%s", b.Port, q.Encode()), http.StatusSeeOther)
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// sameOrigin refuses what another page has the browser send.
func sameOrigin(r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, err)
	}
	return nil
}

// Answer is what a command line is given.
type Answer struct {
	Token   string    `json:"token,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires,omitzero"`

	// Of a device login that is not complete.
	Device   string `json:"device,omitempty"` // to be sent back
	Code     string `json:"user_code,omitempty"`
	URL      string `json:"verification_uri,omitempty"`
	Complete string `json:"verification_uri_complete,omitempty"`
	Wait     int    `json:"interval,omitempty"` // seconds
}

func answer(w http.ResponseWriter, status int, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client is gone when this fails.
	_ = json.NewEncoder(w).Encode(a)
}

// session begins a session. A login ends when its session does not begin: nobody uses it.
func (h *Handler) session(ctx context.Context, id *proxy.Identity) (proxy.Secret, time.Time, error) {
	secret, expires, err := h.Sessions.Start(ctx, id)
	if login := id.Claims[identity.ClaimLogin]; err != nil && login != "" { // a program's has none
		err = errors.Join(err, h.Logins.End(context.WithoutCancel(ctx), login, "the login was refused"))
	}
	return secret, expires, err
}

// start answers with a session.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, provider string, id *proxy.Identity) {
	secret, expires, err := h.session(r.Context(), id)
	if err != nil {
		h.refuse(w, r, provider, err)
		return
	}
	answer(w, http.StatusOK, Answer{Token: secret.Reveal(), Subject: id.Subject, Name: id.Name, Expires: expires})
}

func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d, err := h.Logins.Documents.Get(ctx, kindCode, hashed(r.PostFormValue("code")))
	if err == nil {
		err = h.spend(ctx, d)
	}
	var c code
	if err == nil {
		err = json.Unmarshal(d.Body, &c)
	}
	if err != nil {
		h.refuse(w, r, "", fmt.Errorf("%w: the code: %w", proxy.ErrUnauthenticated, err))
		return
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("verifier")))
	if !h.Logins.now().Before(d.Expires) || subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.Challenge)) != 1 {
		err := h.Logins.End(ctx, c.Login, "the login was not redeemed by who began it")
		h.refuse(w, r, "", errors.Join(fmt.Errorf("%w: the code has expired, or was begun by another program", proxy.ErrUnauthenticated), err))
		return
	}
	id, err := h.Logins.settle(ctx, c.Login)
	if err != nil {
		h.refuse(w, r, "", fmt.Errorf("%w: the login: %w", proxy.ErrUnauthenticated, err))
		return
	}
	h.start(w, r, "", id)
}

// spend deletes a code: of several that redeem it, one succeeds.
func (h *Handler) spend(ctx context.Context, d identity.Document) error {
	d.Body = nil
	_, err := h.Logins.Documents.Write(ctx, kindCode, d)
	return err
}

func (h *Handler) device(w http.ResponseWriter, r *http.Request, p *Provider) {
	if !h.questions.device(p.config.Name, h.Logins.now()) {
		h.busy(w, r, p)
		return
	}
	d, err := p.Device(r.Context())
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	h.waiting(w, r, p, d, http.StatusOK)
}

func (h *Handler) waiting(w http.ResponseWriter, r *http.Request, p *Provider, d *Device, status int) {
	sealed, err := d.Seal(h.Sealer)
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	wait := int((d.Wait() + time.Second - 1) / time.Second)
	answer(w, status, Answer{Device: sealed, Code: d.UserCode, URL: d.URL, Complete: d.Complete, Expires: d.Expires, Wait: wait})
}

func (h *Handler) poll(w http.ResponseWriter, r *http.Request, p *Provider) {
	d, err := p.OpenDevice(h.Sealer, r.PostFormValue("device"))
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	if !h.questions.poll(d, h.Logins.now()) {
		h.waiting(w, r, p, d, http.StatusAccepted)
		return
	}
	l, err := d.Poll(r.Context())
	if errors.Is(err, ErrPending) {
		h.waiting(w, r, p, d, http.StatusAccepted)
		return
	}
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	id, err := h.Logins.Add(r.Context(), l)
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	h.start(w, r, p.config.Name, id)
}

func (h *Handler) workload(w http.ResponseWriter, r *http.Request, p *Provider) {
	id, err := p.Workload(r.Context(), r.PostFormValue("token"), h.Workloads[p.config.Name])
	if err != nil {
		h.refuse(w, r, p.config.Name, err)
		return
	}
	h.start(w, r, p.config.Name, id)
}

func (h *Handler) backchannel(w http.ResponseWriter, r *http.Request, p *Provider) {
	_, err := h.Logins.Logout(r.Context(), p.config.Name, r.PostFormValue("logout_token"))
	switch {
	case errors.Is(err, proxy.ErrUnauthenticated):
		h.log(r, p.config.Name, err)
		http.Error(w, "the logout token is not valid", http.StatusBadRequest)
	case err != nil:
		h.log(r, p.config.Name, err)
		http.Error(w, "the logout could not be done now", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// logout ends the session of a browser's cookie or of a command line's token, and the
// login that it came from.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if err := sameOrigin(r); err != nil {
			h.refuse(w, r, "", err)
			return
		}
		if c, err := r.Cookie(h.cookie()); err == nil {
			secret = c.Value
		}
	}
	id, err := h.Sessions.End(r.Context(), proxy.NewSecret(secret))
	if err == nil && id != nil && id.Claims[identity.ClaimLogin] != "" {
		err = h.Logins.End(r.Context(), id.Claims[identity.ClaimLogin], "you have logged out")
	}
	if err != nil {
		h.refuse(w, r, "", err)
		return
	}
	h.set(w, h.cookie(), "", 0)
	w.WriteHeader(http.StatusNoContent)
}
