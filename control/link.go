package control

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/proxy"
)

// visit is a request at the page of a login link.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	portal  *Portal
	id      string        // of the link
	client  *link.Waiting // nil: none waits there
	session proxy.Secret  // of the browser; empty: nobody has logged in
	person  link.Person
}

// linkPage is what the page of a login link shows.
type linkPage struct {
	Title, Message string        // the message is the first to be read
	Client         *link.Waiting // nil: nothing is said of it
	Browser        netip.Addr
	Far            bool // the client is at another address
	Who            string
	Login          []loginAt // where to log in
	Token          string    // of the form; empty: the page has no form
}

type loginAt struct{ Name, URL string }

var linkTemplate = template.Must(template.New("link").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title></head>
<body><main>
<h1>{{.Title}}</h1>
{{with .Message}}<p role="alert"><b>{{.}}</b></p>
{{end}}{{with .Client}}<p>A client waits that wants to connect:</p>
<dl>
<dt>to</dt><dd><b>{{.Resource}}</b>{{with .Login.Account}} as <bdi>{{.}}</bdi>{{end}} ({{.Protocol}})</dd>
<dt>as user</dt><dd><b><bdi>{{.Login.User}}</bdi></b></dd>
<dt>from the address</dt><dd><b>{{if .Address.IsValid}}{{.Address}}{{else}}not known{{end}}</b></dd>
</dl>
{{end}}{{if .Far}}<p role="alert"><b>This is not the address of this browser, which is {{.Browser}}.</b> If somebody sent you the link, do not go on: that person would act as you.</p>
{{end}}{{if .Login}}<p>Did you begin this? Then log in:</p>
<ul>{{range .Login}}<li><a href="{{.URL}}">Log in at {{.Name}}</a></li>{{end}}</ul>
{{end}}{{if .Token}}<p>You are <b>{{.Who}}</b>. The client will act as you.</p>
<form method="post" autocomplete="off">
<input type="hidden" name="token" value="{{.Token}}">
<p><label for="code">The code that your terminal shows</label><br>
<input id="code" name="code" size="14" maxlength="40" autocomplete="off" autocapitalize="characters" spellcheck="false" aria-describedby="hint"></p>
<p id="hint">If your terminal shows no code, or you have not begun this, refuse. Type no code that somebody else tells you.</p>
<button name="answer" value="yes">Connect</button>
<button name="answer" value="no">Refuse</button>
</form>
{{end}}</main></body></html>
`))

// showPage writes a page that runs nothing and sends its form to this host only.
func (h *Handler) showPage(w http.ResponseWriter, status int, p linkPage) {
	var b bytes.Buffer
	if err := linkTemplate.Execute(&b, p); err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone when this fails
}

// visit reads a request at a link's page. It has answered when it returns nil.
func (h *Handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"Referrer-Policy":         "no-referrer", "X-Frame-Options": "DENY",
	} {
		w.Header().Set(name, value)
	}
	v := &visit{Request: r, w: w, portal: h.portal(), id: r.PathValue("id")}
	if v.portal.Links == nil || r.TLS == nil || isPeer(r) {
		h.fail(w, NotFound("nobody logs in here by a link"))
		return nil
	}
	if d := h.limits.open.take(r.RemoteAddr, time.Now()); d > 0 {
		h.fail(w, wait(w, d))
		return nil
	}
	if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.person.Browser = at.Addr().Unmap()
	}
	err := h.fill(v)
	if err != nil {
		h.linkFailed(v, err)
		return nil
	}
	return v
}

// fill finds out which client waits, and who has logged in in the browser.
func (h *Handler) fill(v *visit) (err error) {
	if v.client, err = v.portal.Links.Find(v.Context(), v.id); err != nil {
		return err
	}
	c, err := v.Cookie(SessionCookie)
	if err != nil {
		return nil
	}
	who, err := v.portal.session(v.Context(), proxy.NewSecret(c.Value))
	if errors.Is(err, proxy.ErrUnauthenticated) {
		return nil // it has ended: she logs in again
	}
	if err != nil {
		return err
	}
	v.session = proxy.NewSecret(c.Value)
	v.person.Identity, v.person.Name = who, LoginName(who)
	return nil
}

// token ties a form to the browser's session and to the link: no page of another site can know it.
func (v *visit) token() string {
	m := hmac.New(sha256.New, []byte(v.session.Reveal()))
	m.Write([]byte("login link " + v.id))
	return hex.EncodeToString(m.Sum(nil))
}

// page is what is shown of a client that waits.
func (v *visit) page() linkPage {
	return linkPage{Title: "Log in a client", Client: v.client, Browser: v.person.Browser, Far: !v.client.Near(v.person.Browser)}
}

// showLink shows the client that waits at a link to who has logged in. Coming here from a page of
// another site, such as the provider's, changes nothing.
func (h *Handler) showLink(w http.ResponseWriter, r *http.Request) {
	if v := h.visit(w, r); v != nil {
		h.offer(v, http.StatusOK, "")
	}
}

// offer shows the form, or what is needed before.
func (h *Handler) offer(v *visit, status int, problem string) {
	p := v.page()
	p.Message = problem
	err := v.client.May(v.person)
	switch {
	case errors.Is(err, link.ErrElsewhere):
		h.linkFailed(v, err)
		return
	case v.person.Identity == nil:
		for _, provider := range v.portal.Providers {
			p.Login = append(p.Login, loginAt{provider.Name, "/auth/" + url.PathEscape(provider.Name) + "/login?" + url.Values{"return": {link.Path + v.id}}.Encode()})
		}
	case err != nil:
		h.linkFailed(v, err)
		return
	default:
		p.Token, p.Who = v.token(), v.who()
	}
	h.showPage(v.w, status, p)
}

func (v *visit) who() string {
	id := v.person.Identity
	if id.Name == "" || id.Name == id.Subject {
		return id.Subject
	}
	return id.Name + " (" + id.Subject + ")"
}

// answerLink takes the answer of who has logged in.
func (h *Handler) answerLink(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil { // it may be long in coming: who she is, is asked when it is there
		h.fail(w, badRequest("the form cannot be read"))
		return
	}
	v := h.visit(w, r)
	if v == nil {
		return
	}
	if err := fromHere(r); err != nil {
		h.linkFailed(v, err)
		return
	}
	if v.person.Identity == nil || !hmac.Equal([]byte(r.PostFormValue("token")), []byte(v.token())) {
		h.offer(v, http.StatusForbidden, "This answer did not count: your login has changed since the page was opened. Answer again.")
		return
	}
	if err := v.client.May(v.person); err != nil {
		h.linkFailed(v, err)
		return
	}
	if r.PostFormValue("answer") != "yes" {
		h.refuseLink(v)
		return
	}
	err := v.portal.Links.Confirm(r.Context(), v.id, r.PostFormValue("code"), v.person, func() error { return h.recordLink(v, "confirm") })
	switch {
	case errors.Is(err, link.ErrCode):
		h.linkEvent(v, err)
		if v.client, err = v.portal.Links.Find(r.Context(), v.id); err != nil {
			h.showPage(w, http.StatusForbidden, linkPage{Title: "Too many wrong codes", Message: "The client does not wait any more. Connect again for another link."})
			return
		}
		h.offer(v, http.StatusForbidden, fmt.Sprintf("This is not the code that the client shows. Further tries: %d", v.client.Left))
	case err != nil:
		h.linkFailed(v, err)
	default:
		h.showPage(w, http.StatusOK, linkPage{Title: "The client is logged in", Message: "Go on there. You may close this page."})
	}
}

func (h *Handler) refuseLink(v *visit) {
	err := h.recordLink(v, "refuse")
	if err == nil {
		err = v.portal.Links.Refuse(v.Context(), v.id, v.person)
	}
	if err != nil {
		h.linkFailed(v, err)
		return
	}
	h.showPage(v.w, http.StatusOK, linkPage{Title: "The client is refused", Message: "It does not wait any more. If you have not begun this, tell the gateway's administrator."})
}

// recordLink records an answer before it counts.
func (h *Handler) recordLink(v *visit, action string) error {
	c := v.client
	what := fmt.Sprintf("%s+%s by %s, from %s", c.Login.User, c.Resource, c.Protocol, c.Address)
	return h.record(audit.Action{Type: audit.AdminLink, Action: action, By: v.person.Identity, Reason: what, Remote: v.RemoteAddr})
}

// linkEvent records that nobody was let in.
func (h *Handler) linkEvent(v *visit, err error) {
	h.event(proxy.EventLoginFailed, v.Request, v.client.Login.User, v.person.Identity, fmt.Errorf("at a login link: %w", err))
}

// linkFailed says why the browser cannot answer here. What concerns a client that waits is on
// record.
func (h *Handler) linkFailed(v *visit, err error) {
	if v.client != nil && errors.Is(err, proxy.ErrUnauthenticated) && !errors.Is(err, link.ErrGone) {
		h.linkEvent(v, err)
	}
	p := linkPage{Title: "This cannot be confirmed here"}
	switch {
	case errors.Is(err, link.ErrGone):
		h.showPage(v.w, http.StatusNotFound, linkPage{Title: "No client waits here", Message: "The link has expired, was used or refused, or never was one. Connect again for another one."})
		return
	case errors.Is(err, link.ErrElsewhere):
		p = v.page()
		p.Title, p.Message = "This cannot be confirmed here", "Open the link in a browser at the client's address."
	case errors.Is(err, link.ErrOther):
		p = v.page()
		p.Title = "You are another user"
		p.Message = fmt.Sprintf("You are %s. Connect as %s+%s, or log in here as the user that the client names.", v.who(), v.person.Name, v.client.Resource)
	case errors.Is(err, link.ErrNoPerson):
		p.Message = "A login link is confirmed by a person who has logged in in the browser."
	case errors.Is(err, proxy.ErrUnauthenticated):
		p.Message = "The answer did not come from this page. Open the link again."
	default:
		h.log().Error("control: a login link", "err", err)
		h.showPage(v.w, http.StatusServiceUnavailable, linkPage{Title: "This cannot be confirmed now", Message: "Something that is needed does not answer. Open the link again."})
		return
	}
	h.showPage(v.w, http.StatusForbidden, p)
}
