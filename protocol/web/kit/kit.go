// Package kit assembles web applications with everything that belongs to them: handlers, the key
// that signs who asks, and how programs are told of an application.
package kit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strings"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/web"
	"github.com/sallyport/sallyport/proxy"
)

// Protocol returns web applications for an assembly.
func Protocol() protocol.Protocol {
	return protocol.Protocol{
		Name: "web", TLS: true, Anonymous: true,
		Kinds:    []proxy.Kind{proxy.KindConnect, proxy.KindRequest, proxy.KindUpgrade},
		Settings: func() any { return &web.Settings{} },
		Hosts:    hosts,
		Open:     open,
		Client:   client,
		Exec:     execute,
		Links:    links,
	}
}

func hosts(settings any) []string {
	s, ok := settings.(web.Settings)
	if !ok {
		return nil
	}
	return s.Hosts
}

func open(a protocol.Assembly) (*protocol.Service, error) {
	keys := a.Keys
	if keys == nil {
		keys = protocol.KeyFiles(a.Dir)
	}
	signer, shared := &web.Signer{KeyOf: keys}, &web.Shared{}
	s := &protocol.Service{
		Handler: func(resource string) (proxy.Handler, error) {
			if a.Gateway == nil {
				return nil, fmt.Errorf("serving %s: the assembly has no gateway", Protocol().Name)
			}
			h := &web.Handler{
				Resource: resource, TLS: a.TLS, Domain: a.Domain, Resources: a.Resources, KnowsCertificate: a.KnowsCertificate,
				Signer: signer, Log: a.Log, Shared: shared, Ports: a.Ports(Protocol().Name),
			}
			if a.Browsers != nil { // a nil of the one interface is not a nil of the other
				h.Logins = a.Browsers
			}
			if a.Bearers != nil {
				h.Bearers = a.Bearers
			}
			return h, nil
		},
		Operation: func(_ context.Context, t proxy.Target, text string) (proxy.Op, error) { return web.Operation(t, text) },
		Reach:     web.Reach,
		Clients:   protocol.Clients{Request: request},
		Close:     shared.Close,
	}
	return s, nil
}

// address is where browsers find an application. Its host names are the gateway's to know, so that the
// endpoint's host is taken: by the domain it is RESOURCE.DOMAIN.
func address(e protocol.Endpoint) *url.URL {
	u := &url.URL{Scheme: "https", Host: net.JoinHostPort(e.Host, e.Port), Path: "/"}
	if e.Port == "443" {
		u.Host = e.Host
	}
	return u
}

// client opens the application in the browser.
func client(e protocol.Endpoint) (*protocol.Command, error) {
	at := address(e).String()
	switch runtime.GOOS {
	case "darwin":
		return &protocol.Command{Program: "open", Args: append([]string{at}, e.Args...)}, nil
	case "windows":
		return &protocol.Command{Program: "rundll32", Args: []string{"url.dll,FileProtocolHandler", at}}, nil
	}
	return &protocol.Command{Program: "xdg-open", Args: []string{at}}, nil
}

// execute sends one request: "METHOD PATH", or a path alone.
func execute(e protocol.Endpoint, x protocol.Execution) (*protocol.Command, error) {
	if x.CSV || x.File != "" || x.Text == "" {
		return nil, errors.New("sending a request: want one such as \"GET /path\"")
	}
	method, path, ok := strings.Cut(x.Text, " ")
	if !ok {
		method, path = "GET", x.Text
	}
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("sending a request: got the path %q, want one that begins with /", path)
	}
	c := &protocol.Command{Program: "curl", Args: []string{"--disable", "--silent", "--show-error", "--fail-with-body", "--globoff", "--request", method}}
	if e.CA != "" {
		c.Args = append(c.Args, "--cacert", e.CA)
	}
	if e.Proof != nil {
		c.Args = append(c.Args, "--cert", e.Proof.Certificate, "--key", e.Proof.Key)
	}
	c.Args = append(append(c.Args, e.Args...), "--", strings.TrimSuffix(address(e).String(), "/")+path)
	return c, nil
}

// links are the application's address.
func links(e protocol.Endpoint) []protocol.Link {
	return []protocol.Link{{For: "url", Text: address(e).String()}}
}
