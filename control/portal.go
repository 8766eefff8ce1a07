package control

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/link"
	"github.com/sallyport/sallyport/identity/local"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Portal is what people and programs of other machines come in by. A part that is nil is
// not there, and its addresses answer that nothing is found.
type Portal struct {
	// URL is where clients find the API: "https://gw.example.com:7443".
	URL string
	// Version is the gateway's, and MinClient the oldest one of a client that it still
	// understands, such as "v1.4.0". Empty: any.
	Version, MinClient string
	// Providers are where people log in, in the order in which they are offered.
	Providers []LoginProvider
	// Browsers says that there are pages of the gateway's own, by which local users log in, too: see Password.
	Browsers bool
	// Auth logs people in at the providers: an oidc.Handler, whose Sessions are Recorded.
	// It is served below /auth/.
	Auth http.Handler
	// Links are where clients wait for somebody who has logged in; see package link. Their
	// pages are served below link.Path.
	Links *link.Links
	// Apps are logins for applications that are served at hosts of their own. Their pages are
	// served below AppPath.
	Apps *Apps
	// Passwords proves local users by a password.
	Passwords proxy.Authenticator
	// Users are the definitions of local users, and Credentials keeps what they set up
	// themselves. Both are there, or none.
	Users       *identity.Users
	Credentials *local.Credentials
	// Sessions are those of people who have logged in. Its Refresher is Identities.
	Sessions *tokens.Sessions
	Tokens   *tokens.Tokens
	Members  *identity.Members
	// Certificates are given to those who have logged in.
	Certificates *ca.Users
	// Life is how long a certificate is valid; zero is DefaultLife. It ends with the login
	// in any case.
	Life time.Duration
	// Identities proves certificates, and says who an identity is now.
	Identities Identities
	// EndLogin ends a login at a provider, by its identifier in identity.ClaimLogin.
	EndLogin func(ctx context.Context, login, reason string) error
	// Runbooks are those of the gateway; nil: it has no sources of them.
	Runbooks Runbooks
	// EndLogins ends all logins of a subject at providers, also those that nobody has redeemed
	// yet, and returns how many these are.
	EndLogins func(ctx context.Context, subject, reason string) (int, error)
	// Authorities are those by which clients know the gateway.
	Authorities func() []*x509.Certificate
	// KnownHosts returns the keys by which SSH clients know it, in the form that they read.
	KnownHosts func() ([]byte, error)
	Resources  Resources
	// Rules answers what administrators ask about the rules. Nil: nothing does.
	Rules Rules
	// Access is what may be asked for. Nil: nothing.
	Access *Access
	// Configuration changes objects of the configuration.
	Configuration *Configuration
	// Clients are what people work with in a browser. Nil: nothing.
	Clients Clients
	// Measures returns what this gateway has measured. Nil: nothing.
	Measures Measures
	// Alerts are rules over events of the record. Nil: the gateway has no alerts.
	Alerts Alerts
	// Outbox tells people of requests and alerts.
	Outbox *review.Outbox
	// AIAgents are what AI agents come in by. Nil: they do not.
	AIAgents *AIAgents
}

// DefaultLife is how long a certificate is valid where nobody says otherwise.
const DefaultLife = 4 * time.Hour

// LoginProvider is an identity provider as clients see it.
type LoginProvider struct {
	Name   string `json:"name"`
	Device bool   `json:"device,omitempty"` // machines without a browser can log in there
}

// Identities proves somebody, and says who she is now. An identity.Sources is one.
type Identities interface {
	proxy.Authenticator
	proxy.Refresher
}

// Resources says what somebody may reach. It is safe for concurrent use.
type Resources interface {
	// Resources returns those that somebody may connect to, in the order of their names.
	Resources(ctx context.Context, who *proxy.Identity) ([]Resource, error)
	// Can returns what the gateway would answer, and does nothing. The error wraps
	// proxy.ErrNotFound where the question names what is not there.
	Can(ctx context.Context, who *proxy.Identity, q Question) (*Answer, error)
}

// Resource is one that the caller may connect to.
type Resource struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Address  string   `json:"address"` // "host:port" of the listener; without a host it is the API's
	User     string   `json:"user"`    // what to log in as there
	Database string   `json:"database,omitempty"`
	Accounts []string `json:"accounts,omitempty"` // those that the caller may use, where there are several
	// TLS says that clients have to connect by it.
	TLS bool `json:"tls,omitempty"`
	// Request says that access has to be asked for first.
	Request bool              `json:"request,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// ResourceList is the answer to GET /v1/resources.
type ResourceList struct {
	Resources []Resource `json:"resources"`
}

// Question is what may be asked before it is done.
type Question struct {
	Resource string `json:"resource"`
	Account  string `json:"account,omitempty"`
	Database string `json:"database,omitempty"`
	// Text is a statement or a command line; empty asks about connecting.
	Text string `json:"text,omitempty"`
}

// Answer is what the gateway would answer.
type Answer struct {
	Outcome   string   `json:"outcome"` // allow, warn, rewrite, hold or deny
	By        string   `json:"by,omitempty"`
	Cause     string   `json:"cause,omitempty"` // of a refusal: policy, guardrail …
	Message   string   `json:"message,omitempty"`
	Rule      string   `json:"rule,omitempty"`
	Rewritten string   `json:"rewritten,omitempty"` // what would run instead
	Notes     []string `json:"notes,omitempty"`     // such as which columns are masked
	// Columns are those of the notes that are masked.
	Columns []MaskedColumn `json:"columns,omitempty"`
}

// MaskedColumn is a column of a statement's result that is masked.
type MaskedColumn struct {
	Name  string `json:"name"`
	Class string `json:"class,omitempty"` // of its values, as they are taken to be
	Why   string `json:"why"`
}

// portal is that of the current revision; never nil.
func (h *Handler) portal() *Portal {
	if h.Portal != nil {
		if p := h.Portal(); p != nil {
			return p
		}
	}
	return &Portal{}
}
