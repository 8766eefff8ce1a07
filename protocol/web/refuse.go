package web

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// pagePolicy lets a page of the gateway's do nothing.
const pagePolicy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// answer is what the gateway itself answers.
type answer struct {
	status  int
	message string
	remedy  string
	login   string // where to log in
	request string // the identifier of a request that waits
	link    string // where that is decided
	rule    string
}

var page = template.Must(template.New("answer").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">{{if .Again}}<meta http-equiv="refresh" content="5">{{end}}<title>{{.Title}}</title></head>
<body><main><h1>{{.Title}}</h1>
<p>{{.Message}}</p>
{{with .Remedy}}<p>{{.}}</p>
{{end}}{{with .Login}}<p><a href="{{.}}">Log in</a></p>
{{end}}{{with .Link}}<p>The request is decided at <a href="{{.}}">{{.}}</a>.</p>
{{end}}</main></body></html>
`))

// refuse answers with one sentence, and what to do.
func (x *exchange) refuse(status int, message, remedy string) {
	x.answer(answer{status: status, message: message, remedy: remedy})
}

// denied answers an operation that the chain refuses.
func (x *exchange) denied(v *proxy.Verdict) {
	status := http.StatusForbidden
	if v.Cause == proxy.CauseInternal {
		status = http.StatusServiceUnavailable
	}
	x.answer(answer{status: status, message: relay.Sentence(v.Message()), remedy: v.Remedy, rule: v.Rule})
}

// waits answers an operation that waits for an approval.
func (x *exchange) waits(p *proxy.Pending, what string) {
	a := answer{status: http.StatusAccepted, message: "This waits for an approval.", remedy: what}
	if p != nil {
		a.request, a.link = p.ID, p.Link
		if p.Message != "" {
			a.message = relay.Sentence(p.Message)
		}
	}
	if what == "" {
		a.remedy = "Send the request again when it is approved."
	}
	x.w.Header().Set("Retry-After", "5")
	x.answer(a)
}

// answer writes a, in the form that the client reads.
func (x *exchange) answer(a answer) {
	for _, text := range []*string{&a.message, &a.remedy, &a.rule} { // programs print them
		*text = terminal.Visible(*text)
	}
	head := x.w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	x.whose(head, a.status)
	if a.request != "" {
		head.Set("X-Gateway-Request", relay.Line(a.request))
	}
	if x.app != nil && head.Get("Access-Control-Allow-Origin") == "" {
		x.cors()
	}
	switch {
	case relay.IsGRPC(x.r.Header) && !x.known():
		head.Set("Content-Type", "application/grpc")
		head.Set("Grpc-Status", grpcStatus(a.status))
		head.Set("Grpc-Message", grpcText(a.message+" "+a.remedy))
		x.w.WriteHeader(http.StatusOK)
	case accepts(x.r, "text/html") && !x.known():
		var b bytes.Buffer
		err := page.Execute(&b, map[string]any{
			"Title": http.StatusText(a.status), "Message": a.message, "Remedy": a.remedy, "Login": a.login, "Link": safeLink(a.link),
			"Again": a.status == http.StatusAccepted && navigates(x.r),
		})
		if err != nil {
			x.h.log().Error("web: a page", "err", err)
		}
		head.Set("Content-Security-Policy", pagePolicy)
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Content-Type", "text/html; charset=utf-8")
		x.write(a.status, b.Bytes())
	default:
		body := struct {
			Error   string `json:"error"`
			Message string `json:"message"`
			Remedy  string `json:"remedy,omitempty"`
			Rule    string `json:"rule,omitempty"`
			Login   string `json:"login,omitempty"`
			Request string `json:"request,omitempty"`
			Link    string `json:"link,omitempty"`
		}{strings.ToLower(strings.ReplaceAll(http.StatusText(a.status), " ", "-")), a.message, a.remedy, a.rule, a.login, a.request, a.link}
		b, err := json.Marshal(body)
		if err != nil {
			x.h.log().Error("web: an answer", "err", err)
		}
		head.Set("Content-Type", "application/json")
		x.write(a.status, append(b, '\n'))
	}
}

func (x *exchange) write(status int, body []byte) {
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // the client is gone when this fails
	}
}

// safeLink is a link that may be followed; empty for anything else.
func safeLink(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return s
}

// grpcStatus is the code of gRPC for a status of HTTP.
func grpcStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "16" // unauthenticated
	case http.StatusForbidden, http.StatusMisdirectedRequest:
		return "7" // permission denied
	case http.StatusAccepted, http.StatusConflict:
		return "9" // failed precondition
	case http.StatusBadRequest, http.StatusMethodNotAllowed:
		return "3" // invalid argument
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return "8" // resource exhausted
	}
	return "14" // unavailable
}

// grpcText is a text as Grpc-Message carries it.
func grpcText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		}
	}
	return b.String()
}
