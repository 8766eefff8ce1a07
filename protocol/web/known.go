package web

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Headers between a client that the assembly has inside of its own process, see [proxy.Client], and a
// Handler. The Handler takes them from such a client alone; an application neither gets nor sends them.
const (
	// TargetHeader says what a request is for; see Target.
	TargetHeader = "X-Gateway-Target"
	// AnswerHeader is in what the gateway answers in the place of the application, and says why; see the
	// constants of its values.
	AnswerHeader = "X-Gateway-Answer"
)

// Values of AnswerHeader.
const (
	AnswerRefused = "refused" // by the rules, or an approver
	AnswerUnsent  = "unsent"  // something does not work, and the application has not got the request
	AnswerAsked   = "asked"   // the application may have got the request
)

// Target is the value of TargetHeader for an account of a resource; empty is its first.
func Target(resource, account string) string {
	return url.PathEscape(resource) + "/" + url.PathEscape(account)
}

// known reports whether a client of the process's own sends a request.
func (x *exchange) known() bool { return x.conn != nil && x.conn.IsKnown() }

// named returns the application that a client of the process's own asks for, and the account; nil where there is none.
func (h *Handler) named(r *http.Request) (a *app, account string) {
	name, account, ok := strings.Cut(r.Header.Get(TargetHeader), "/")
	name, err := url.PathUnescape(name)
	account, aerr := url.PathUnescape(account)
	if !ok || err != nil || aerr != nil || h.Resources == nil {
		return nil, ""
	}
	for _, res := range h.Resources() {
		if res.Type == h.Protocol() && res.Name == name && (h.Resource == "" || h.Resource == name) {
			return &app{res, settingsOf(res), h.hostOf(res)}, account
		}
	}
	return nil, ""
}

// hostOf is the host by which people find an application, for a request that names none.
func (h *Handler) hostOf(r *proxy.Resource) string {
	if hosts := settingsOf(r).Hosts; len(hosts) > 0 {
		return strings.ToLower(hosts[0])
	}
	name := strings.ToLower(r.Name)
	if h.Domain != "" {
		name += "." + strings.ToLower(h.Domain)
		if h.Ports != nil {
			if ports := h.Ports(r.Name); len(ports) > 0 && ports[0] != "443" {
				name = net.JoinHostPort(name, ports[0])
			}
		}
	}
	if _, _, err := relay.SplitHost(name); err != nil {
		return "localhost" // the name of the resource is not one of a host
	}
	return name
}

// itself is the proof of a client that is known: she is asked about again.
func (x *exchange) itself() *proof {
	return &proof{key: fmt.Sprintf("known %p", x.conn), claims: "a client of the gateway's own", find: x.conn.Known}
}

// whose says in an answer of the gateway's, for a client of its own, why it is not the application's.
func (x *exchange) whose(head http.Header, status int) {
	if !x.known() {
		return
	}
	switch {
	case x.reached.Load():
		head.Set(AnswerHeader, AnswerAsked)
	case status >= http.StatusInternalServerError:
		head.Set(AnswerHeader, AnswerUnsent)
	default:
		head.Set(AnswerHeader, AnswerRefused)
	}
}
