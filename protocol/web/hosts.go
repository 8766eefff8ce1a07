package web

import (
	"net/http"

	"github.com/sallyport/sallyport/protocol/internal/relay"
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
	names := relay.Names{
		Protocol: h.Protocol(), Resource: h.Resource, Domain: h.Domain, Resources: h.Resources, Ports: h.Ports,
		Hosts: func(r *proxy.Resource) []string { return settingsOf(r).Hosts },
	}
	found, host := names.Find(r)
	if found == nil {
		return nil
	}
	return &app{found, settingsOf(found), host}
}
