package tunnel

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
)

// Registry knows the agents of a server. It is safe for concurrent use.
type Registry interface {
	// Enrol uses up an enrolment token, and certifies the key of a request for the agent that the
	// token was made for. The error wraps ErrToken where the token does not count. from is where
	// the request comes from.
	Enrol(ctx context.Context, id, secret string, r *x509.CertificateRequest, from net.Addr) (Issued, error)
	// Known returns the name of the agent that a certificate was issued to. The chain of the
	// certificate was verified. The error wraps ErrRevoked where it does not count any more.
	Known(ctx context.Context, cert *x509.Certificate) (string, error)
	// Renew certifies another key for the agent of a certificate.
	Renew(ctx context.Context, cert *x509.Certificate, r *x509.CertificateRequest) (Issued, error)
}

// Issued is the certificate of an agent.
type Issued struct {
	Agent string
	Chain [][]byte // DER, the agent's first
	Roots [][]byte // what the agent knows gateways by
}

// Errors of a [Registry].
var (
	ErrToken   = errors.New("the enrolment token is not known, was used, or has expired")
	ErrRevoked = errors.New("the certificate of the agent does not count any more")
)

// Errors of dialing by an agent.
var (
	ErrNotConnected = errors.New("the agent is not connected to this gateway")
	ErrLost         = errors.New("the connection to the agent was lost")
)

// DialError is why an agent did not connect to a resource.
type DialError struct {
	Agent   string
	Address string
	Code    Code
	Text    string // the agent's, safe to show
}

// Error implements error.
func (e *DialError) Error() string {
	return "agent " + e.Agent + " did not connect to " + e.Address + ": " + e.Text
}

// codeOf returns what an agent is told of an error of the registry.
func codeOf(err error) why {
	switch {
	case errors.Is(err, ErrToken):
		return why{Code: CodeToken, Text: ErrToken.Error()}
	case errors.Is(err, ErrRevoked):
		return why{Code: CodeRevoked, Text: ErrRevoked.Error()}
	}
	return why{Code: CodeUnavailable, Text: "the gateway cannot find out at the moment"}
}
