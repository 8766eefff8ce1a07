package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
)

// AppPath is where people log in for applications that are served at hosts of their own.
const AppPath = "/app/"

// Apps are the logins of browsers at applications that are served at hosts of their own. It is
// safe for concurrent use.
type Apps struct {
	// Sessions prove people at single applications.
	Sessions *tokens.Apps
	// Sealer seals what a browser is sent here with: nobody else makes such an address, so that
	// none leads to another host.
	Sealer identity.Sealer
	// URL is where the gateway's pages are; empty: nobody logs in there.
	URL string
	Now func() time.Time
}

// ticket is what a browser is sent to the login with.
type ticket struct {
	App       string    `json:"app"`
	Origin    string    `json:"origin"`
	Challenge string    `json:"challenge"`
	Expires   time.Time `json:"expires"`
}

const (
	ticketPurpose = "login for an application"
	ticketLife    = 10 * time.Minute
)

func (a *Apps) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Page returns the address where somebody logs in for an application at origin; empty where nobody
// does.
func (a *Apps) Page(_ context.Context, app, origin, challenge string) (string, error) {
	if a.URL == "" {
		return "", nil
	}
	b, err := json.Marshal(ticket{app, origin, challenge, a.now().Add(ticketLife)})
	if err != nil {
		return "", err
	}
	sealed, err := a.Sealer.Seal(b, ticketPurpose)
	if err != nil {
		return "", err
	}
	return a.URL + appPage(base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// Redeem returns what proves the person of a code at the application from then on.
func (a *Apps) Redeem(ctx context.Context, app, code, verifier string) (proxy.Secret, time.Time, error) {
	return a.Sessions.Redeem(ctx, app, code, verifier)
}

// Find returns who a secret proves at an application now.
func (a *Apps) Find(ctx context.Context, app string, secret proxy.Secret) (*proxy.Identity, error) {
	return a.Sessions.Find(ctx, app, secret)
}

// End has a secret prove nobody any more.
func (a *Apps) End(ctx context.Context, app string, secret proxy.Secret) error {
	return a.Sessions.End(ctx, app, secret)
}

// open reads a ticket.
func (a *Apps) open(text string) (*ticket, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > 4096 {
		return nil, false
	}
	if b, err = a.Sealer.Open(b, ticketPurpose); err != nil {
		return nil, false
	}
	t := &ticket{}
	if json.Unmarshal(b, t) != nil || !a.now().Before(t.Expires) {
		return nil, false
	}
	return t, true
}

func appPage(ticket string) string { return AppPath + "?" + url.Values{"ticket": {ticket}}.Encode() }

// appLogin is what the page of a login for an application shows.
type appLogin struct {
	Title, Message string // the message is the first to be read
	App, Host      string
	Login          []loginAt
	Ticket         string // of the form; empty: local users do not log in here
}

var appTemplate = template.Must(template.New("app").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title></head>
<body><main>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert"><b>{{.}}</b></p>
{{end}}{{if .App}}<p>You are about to open <b>{{.App}}</b> at <b>{{.Host}}</b>.</p>
{{end}}{{if .Login}}<ul>{{range .Login}}<li><a href="{{.URL}}">Log in at {{.Name}}</a></li>{{end}}</ul>
{{end}}{{if .Ticket}}<form method="post" action="` + AppPath + `">
<input type="hidden" name="ticket" value="{{.Ticket}}">
<p><label for="user">User</label><br>
<input id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="200" required></p>
<p><label for="password">Password</label><br>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1000" required></p>
<p><label for="code">Code of your second factor, where you have one</label><br>
<input id="code" name="code" autocomplete="one-time-code" maxlength="40"></p>
<button>Log in</button>
</form>
{{end}}</main></body></html>
`))

// showApp writes a page that runs nothing, and sends its form to this host, which leads on to the application.
func (h *Handler) showApp(w http.ResponseWriter, status int, t *ticket, p appLogin) {
	action := "'self'"
	if t != nil {
		action += " " + t.Origin
		if u, err := url.Parse(t.Origin); err == nil {
			p.App, p.Host = t.App, u.Host
		}
	}
	var b bytes.Buffer
	if err := appTemplate.Execute(&b, p); err != nil {
		h.fail(w, err)
		return
	}
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; form-action " + action + "; frame-ancestors 'none'; base-uri 'none'",
		"Referrer-Policy":         "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
	} {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone when this fails
}

// begunApp reads the ticket of a request. It has answered when it returns nil.
func (h *Handler) begunApp(w http.ResponseWriter, r *http.Request, text string) (*Portal, *ticket) {
	p := h.portal()
	if p.Apps == nil || p.Sessions == nil || r.TLS == nil || isPeer(r) {
		h.fail(w, NotFound("nobody logs in here for applications"))
		return nil, nil
	}
	if d := h.limits.open.take(r.RemoteAddr, time.Now()); d > 0 {
		h.fail(w, wait(w, d))
		return nil, nil
	}
	t, ok := p.Apps.open(text)
	if !ok {
		h.showApp(w, http.StatusForbidden, nil, appLogin{Title: "This login has expired", Message: "Open the application again."})
		return nil, nil
	}
	return p, t
}

// enterApp sends a browser that has logged in back to the application, and offers others a login.
func (h *Handler) enterApp(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("ticket")
	p, t := h.begunApp(w, r, text)
	if t == nil {
		return
	}
	if c, err := r.Cookie(SessionCookie); err == nil {
		err := h.leaveForApp(w, r, p, t, proxy.NewSecret(c.Value))
		switch {
		case err == nil:
			return
		case !errors.Is(err, proxy.ErrUnauthenticated) || errors.Is(err, proxy.ErrUnavailable):
			h.log().Error("control: a login for an application", "err", err)
			h.showApp(w, http.StatusServiceUnavailable, t, appLogin{Title: "The login does not work now", Message: "Something that is needed does not answer. Open the application again."})
			return
		}
	}
	h.offerApp(w, http.StatusOK, p, t, text, "")
}

// leaveForApp leads back to the application, with a code that only the browser can redeem that has begun
// the login.
func (h *Handler) leaveForApp(w http.ResponseWriter, r *http.Request, p *Portal, t *ticket, session proxy.Secret) error {
	code, err := p.Apps.Sessions.Code(r.Context(), session, t.App, t.Challenge)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, t.Origin+"/.gateway/callback?"+url.Values{"code": {code}, "state": {t.Challenge}}.Encode(), http.StatusSeeOther)
	return nil
}

func (h *Handler) offerApp(w http.ResponseWriter, status int, p *Portal, t *ticket, text, problem string) {
	page := appLogin{Title: "Log in", Message: problem}
	for _, provider := range p.Providers {
		page.Login = append(page.Login, loginAt{provider.Name, "/auth/" + url.PathEscape(provider.Name) + "/login?" + url.Values{"return": {appPage(text)}}.Encode()})
	}
	if p.Passwords != nil {
		page.Ticket = text
	}
	if page.Login == nil && page.Ticket == "" {
		page.Message = "Nobody can log in here: the gateway's configuration has neither an identity provider nor local users."
	}
	h.showApp(w, status, t, page)
}

// loginForApp logs a local user in.
func (h *Handler) loginForApp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		h.fail(w, badRequest("the form cannot be read"))
		return
	}
	text := r.PostFormValue("ticket")
	p, t := h.begunApp(w, r, text)
	if t == nil {
		return
	}
	if err := fromHere(r); err != nil || p.Passwords == nil || h.Gateway == nil {
		h.offerApp(w, http.StatusForbidden, p, t, text, "The login did not come from this page. Log in again.")
		return
	}
	c := &call{Request: r, w: w, portal: p}
	id, err := h.tryPassword(c, r.PostFormValue("user"), r.PostFormValue("password"), r.PostFormValue("code"))
	if err == nil {
		err = h.startForApp(c, t, id)
	}
	if err == nil {
		return
	}
	var known *Error
	if !errors.As(err, &known) {
		h.log().Error("control: a login for an application", "err", err)
		known = errUnchecked
	}
	h.offerApp(w, known.Status, p, t, text, known.Message)
}

// startForApp begins a session of who has proven herself, and leads back to the application.
func (h *Handler) startForApp(c *call, t *ticket, id *proxy.Identity) error {
	secret, expires, err := Recorded{h, c.portal.Sessions}.Start(withRemote(c.Request), id)
	if err != nil {
		return loginError(err)
	}
	// The answer is written by what follows, which looks at her again: what she is may have changed while the password
	// was looked at.
	http.SetCookie(c.w, sessionCookie(secret.Reveal(), int(time.Until(expires).Seconds())))
	if err := h.leaveForApp(c.w, c.Request, c.portal, t, secret); err != nil {
		c.w.Header().Del("Set-Cookie")
		_, ended := c.portal.Sessions.End(context.WithoutCancel(c.Context()), secret)
		return errors.Join(loginError(err), ended)
	}
	return nil
}
