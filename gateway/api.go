package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/sallyport/sallyport/console"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/mcp"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/proxy"
)

// API returns what is served at the API's listener, for listeners of an assembly's own. They
// have to use TLS, and to ask for client certificates as tls.RequestClientCert does.
//
//	/scim/v2/  users and groups, from the company's directory
//	/slack/    what people decide in Slack
//	/teams/    what people decide in Teams
//	/jira/     webhooks of Jira, where people decide
//	/auth/     logins at identity providers
//	/link/     pages of login links
//	/app/      logins for applications that are served at hosts of their own
//	/mcp       AI agents, where the config file asks for it; see package mcp
//	/v1/       what commands and the console ask; see package control
//	/          the console, where the config file asks for it; see package console
func (g *Gateway) API() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/livez", g.Health())
	mux.Handle("/readyz", g.Health())
	mux.HandleFunc("/scim/v2/", g.serveSCIM)
	mux.HandleFunc("/slack/{name}", g.serveChannel("slack"))
	mux.HandleFunc("/teams/{name}", g.serveChannel("teams"))
	mux.HandleFunc("/jira/{name}", g.serveChannel("jira"))
	mux.Handle(mcp.Path, g.mcp)
	mux.Handle(mcp.MetadataPath, g.mcp)
	for _, path := range []string{"/v1/", "/auth/", link.Path, control.AppPath} {
		mux.Handle(path, g.control)
	}
	mux.HandleFunc("/", g.serveConsole)
	return mux
}

// serveConsole serves the console, where the current revision has one.
func (g *Gateway) serveConsole(w http.ResponseWriter, r *http.Request) {
	if g.console == nil || !g.parts().config.API.Console {
		g.control.ServeHTTP(w, r) // which says that nothing is there
		return
	}
	g.console.ServeHTTP(w, r)
}

// openConsole makes the console, where the program has its files.
func (g *Gateway) openConsole() (err error) {
	if !console.Built {
		return nil
	}
	g.console, err = console.Handler(console.Options{Known: func(r *http.Request) bool {
		_, err := r.Cookie(control.SessionCookie)
		return err == nil || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	}})
	return err
}

// serveSCIM takes what the directory of the current revision sends.
func (g *Gateway) serveSCIM(w http.ResponseWriter, r *http.Request) {
	p := g.parts().people
	if p.directory == nil {
		http.NotFound(w, r)
		return
	}
	p.scim.ServeHTTP(w, r)
}

// authorize has connections that send for the directory stay.
func authorize(sent func(*http.Request) error) func(*http.Request) error {
	return func(r *http.Request) error {
		if err := sent(r); err != nil {
			return err
		}
		control.Proven(r)
		return nil
	}
}

// portal is what people and programs of other machines come in by, in the current revision.
func (g *Gateway) portal() *control.Portal {
	p := g.parts()
	out := &control.Portal{
		URL: p.config.API.URL, Version: g.options.Version, Sessions: p.people.sessions, Tokens: g.proofs.tokens, Members: g.proofs.members, Certificates: g.proofs.certificates,
		Links: g.proofs.links, Apps: p.apps(g), Browsers: p.config.API.Console,
		Life: p.config.Identity.Sessions.Certificate, Authorities: g.clientRoots, KnownHosts: g.knownHosts, Resources: access{g.Explainer},
	}
	if len(p.config.Identity.Users) > 0 {
		out.Passwords = deciders{identities{g}} // a token is not a fresh proof of anybody
		out.Users, out.Credentials = p.users, g.proofs.local.Called(p.config.FactorIssuer())
	}
	out.Identities, out.Configuration, out.Access, out.Outbox, out.Clients, out.Rules = identities{g}, g.configuration(), g.access(), g.outbox, clients{g}, rules{g}
	out.Alerts, out.Measures = alerts{g}, g.measured
	out.Runbooks = g.runbooks.api()
	if m := p.config.MCP; m.Enabled {
		rows, bytes := m.Bounds()
		out.AIAgents = &control.AIAgents{URL: strings.TrimSuffix(p.config.API.URL, "/") + mcp.Path, Rows: rows, Bytes: bytes, Link: p.config.RequestURL}
	}
	if logins := p.people.logins; logins != nil {
		for _, provider := range logins.Providers {
			out.Providers = append(out.Providers, control.LoginProvider{Name: provider.Name(), Device: true})
		}
		out.Auth, out.EndLogin, out.EndLogins = p.people.auth, logins.End, logins.EndAll
	}
	return out
}

// identities prove somebody, and say who she is now, by the current revision.
type identities struct{ *Gateway }

func (i identities) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	a := i.parts().revision.Authenticator
	if a == nil {
		return nil, proxy.ErrUnauthenticated
	}
	return a.Authenticate(ctx, p)
}

func (i identities) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	a, ok := i.parts().revision.Authenticator.(proxy.Refresher)
	if !ok {
		return nil, errors.New("the assembly's authenticator does not tell who somebody is now: make it a proxy.Refresher")
	}
	return a.Refresh(ctx, id)
}

// clientRoots are those by which clients know the gateway; none where the config file names a
// certificate, which is of an authority that is not the gateway's.
func (g *Gateway) clientRoots() []*x509.Certificate {
	if cert, _, _ := g.parts().config.ClientFiles(); cert != "" {
		return nil
	}
	return g.authority.Certificates()
}

// knownHosts are the keys by which clients know the gateway, of the protocols that have such files.
func (g *Gateway) knownHosts() ([]byte, error) {
	var all bytes.Buffer
	for _, s := range g.opened() {
		for _, file := range s.Files {
			b, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue // nobody is served yet
			}
			if err != nil {
				return nil, err
			}
			all.Write(b)
		}
	}
	return all.Bytes(), nil
}

// apiTLS is how clients of the API are met. Tickets are its own, so that no session of a database
// listener goes on here.
func (g *Gateway) apiTLS() *tls.Config {
	return &tls.Config{
		GetCertificate: g.gateway.Certificate, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"},
	}
}
