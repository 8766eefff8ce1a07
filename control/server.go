package control

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/sallyport/sallyport/proxy"
)

// ClientHeader is how a client says which version it is.
const ClientHeader = "Sallyport-Client"

// Server is the answer to GET /v1/server.
type Server struct {
	API       string          `json:"api"` // "v1"
	URL       string          `json:"url,omitempty"`
	MinClient string          `json:"min_client,omitempty"`
	Providers []LoginProvider `json:"providers,omitempty"`
	Passwords bool            `json:"passwords,omitempty"` // local users log in by a password
	// Authorities are certificates in PEM, by which clients know the gateway.
	Authorities string `json:"authorities,omitempty"`
}

func (h *Handler) showServer(c *call) error {
	p := c.portal
	h.answer(c.w, http.StatusOK, Server{
		API: "v1", URL: p.URL, MinClient: p.MinClient, Providers: p.Providers, Passwords: p.Passwords != nil && p.Sessions != nil, Authorities: p.authorities(),
	})
	return nil
}

// authorities are the certificates of those by which clients know the gateway.
func (p *Portal) authorities() string {
	if p.Authorities == nil {
		return ""
	}
	var b bytes.Buffer
	for _, cert := range p.Authorities() {
		// A buffer takes everything.
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return b.String()
}

// outdated refuses clients that are older than the gateway understands. Who does not say
// what it is may be anything.
func outdated(r *http.Request, oldest string) error {
	version := r.Header.Get(ClientHeader)
	if oldest == "" || !semver.IsValid(version) || semver.Compare(version, oldest) >= 0 {
		return nil
	}
	return &Error{http.StatusUpgradeRequired, CodeOutdated, fmt.Sprintf("this client is %s, and the gateway needs %s or newer: update it", version, oldest)}
}

// KnownHosts is the answer to GET /v1/known-hosts.
type KnownHosts struct {
	Lines string `json:"lines"`
}

func (h *Handler) knownHosts(c *call) error {
	text, err := c.knownHosts()
	if err != nil {
		return err
	}
	h.answer(c.w, http.StatusOK, KnownHosts{text})
	return nil
}

// certAuthority begins the lines that name a resource.
const certAuthority = "@cert-authority "

// knownHosts are the lines about the gateway, and about what the caller may reach.
func (c *call) knownHosts() (string, error) {
	if c.portal.KnownHosts == nil {
		return "", nil
	}
	text, err := c.portal.KnownHosts()
	if err != nil {
		return "", err
	}
	reachable := make(map[string]bool)
	list, err := c.reachable()
	if err != nil {
		return "", err
	}
	for _, r := range list {
		reachable[r.Name] = true
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		rest, named := strings.CutPrefix(line, certAuthority)
		name, _, _ := strings.Cut(rest, " ")
		if !named || reachable[name] {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// Me is the answer to GET /v1/whoami.
type Me struct {
	Subject string `json:"subject"`
	Name    string `json:"name,omitempty"`
	// User is what to log in as at listeners.
	User        string       `json:"user"`
	Kind        string       `json:"kind"` // human, service or agent
	For         string       `json:"for,omitempty"`
	Groups      []string     `json:"groups,omitempty"`
	Method      string       `json:"method"` // how the caller has proven herself
	Expires     time.Time    `json:"expires,omitzero"`
	Permissions []Permission `json:"permissions,omitempty"`
	Version     string       `json:"version,omitempty"` // the gateway's
}

var kinds = map[proxy.IdentityKind]string{proxy.Human: "human", proxy.Service: "service", proxy.Agent: "agent"}

func (h *Handler) whoami(c *call) error {
	me := Me{
		Subject: c.who.Subject, Name: c.who.Name, User: LoginName(c.who), Kind: kinds[c.who.Kind], For: c.who.OnBehalfOf,
		Groups: c.who.Groups, Method: c.who.Method.String(), Version: c.portal.Version, Expires: c.who.Expires,
	}
	scoped, err := c.scoped()
	if err != nil {
		return err
	}
	for _, p := range Permissions() {
		if !scoped && c.who.Kind != proxy.Agent && h.Permit != nil && h.Permit(c.who, p) {
			me.Permissions = append(me.Permissions, p)
		}
	}
	h.answer(c.w, http.StatusOK, me)
	return nil
}
