package web

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// app is an application as one request asks for it.
type app struct {
	resource *proxy.Resource
	settings *Settings
	host     string // as the client has named it, with a port where it named one
}

// origin is that of the application's pages.
func (a *app) origin() string { return "https://" + a.host }

// settingsOf are those of a resource.
func settingsOf(r *proxy.Resource) *Settings {
	if s, ok := r.Settings.(Settings); ok {
		return &s
	}
	return &Settings{}
}

// find returns the application of a request; nil where no name of one is asked for here.
func (h *Handler) find(r *http.Request) *app {
	host, port, err := splitHost(r.Host)
	if err != nil || h.Resources == nil {
		return nil
	}
	var found *proxy.Resource
	for _, res := range h.Resources() {
		if res.Type == h.Protocol() && (h.Resource == "" || res.Name == h.Resource) && h.named(res, host, port, r) {
			if found != nil {
				return nil // two have the name: neither is meant for certain
			}
			found = res
		}
	}
	if found == nil {
		return nil
	}
	name := host
	if strings.Contains(host, ":") {
		name = "[" + host + "]"
	}
	if port != "" && port != "443" {
		name = net.JoinHostPort(host, port)
	}
	return &app{found, settingsOf(found), name}
}

// named reports whether a resource has that name here.
func (h *Handler) named(res *proxy.Resource, host, port string, r *http.Request) bool {
	s := settingsOf(res)
	if port == "" {
		port = "443"
	}
	fits := func(want string) bool {
		if want != "" {
			return port == want
		}
		return slices.Contains(h.ports(res.Name, r), port)
	}
	for _, name := range s.Hosts {
		if n, p, err := splitHost(name); err == nil && n == host && fits(p) {
			return true
		}
	}
	if h.Domain != "" && host == strings.ToLower(res.Name+"."+h.Domain) {
		return fits("")
	}
	// A listener of its own, without a name, is for the machine itself.
	if h.Resource != "" && len(s.Hosts) == 0 && h.Domain == "" {
		ip := net.ParseIP(host)
		return (host == "localhost" || ip != nil && ip.IsLoopback()) && fits("")
	}
	return false
}

// ports are those at which a client finds this listener: its own, and what is said of it.
func (h *Handler) ports(resource string, r *http.Request) []string {
	var list []string
	if h.Ports != nil {
		list = h.Ports(resource)
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(at.String()); err == nil {
			list = append(slices.Clip(list), port)
		}
	}
	return list
}
