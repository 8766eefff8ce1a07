package gateway

import (
	"crypto/tls"
	"net/http"

	"github.com/sallyport/sallyport/identity/scim"
)

// API returns what is served at the API's listener, for listeners of an assembly's own. They
// have to use TLS, and to ask for client certificates as tls.RequestClientCert does.
//
//	/scim/v2/  users and groups, from the company's directory
//	/          the API that commands talk to; see package control
func (g *Gateway) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/scim/v2/", g.serveSCIM)
	mux.Handle("/", g.control)
	return mux
}

// serveSCIM takes what the directory of the current revision sends.
func (g *Gateway) serveSCIM(w http.ResponseWriter, r *http.Request) {
	p := g.parts()
	if p.people.directory == nil {
		http.NotFound(w, r)
		return
	}
	h := &scim.Handler{
		Directory: p.people.directory, Authorize: scim.Bearer(p.config.Identity.SCIM.Hashes()...), URL: p.config.SCIMURL(), Log: g.log,
	}
	http.StripPrefix("/scim/v2", h).ServeHTTP(w, r)
}

// apiTLS is how clients of the API are met. Tickets are its own, so that no session of a database
// listener goes on here.
func (g *Gateway) apiTLS() *tls.Config {
	return &tls.Config{
		GetCertificate: g.gateway.Certificate, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"},
	}
}
