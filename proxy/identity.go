package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

// IdentityKind says what sort of subject an identity is.
type IdentityKind uint8

// Kinds of identities.
const (
	Human IdentityKind = iota
	Service
	Agent // acts for the human in Identity.OnBehalfOf
)

var identityKindNames = [...]string{"human", "service", "agent"}

// IdentityKindNames returns the names of all kinds.
func IdentityKindNames() []string { return identityKindNames[:] }

// String returns the kind's stable lower-case name.
func (k IdentityKind) String() string {
	if int(k) < len(identityKindNames) {
		return identityKindNames[k]
	}
	return "unknown"
}

// ParseIdentityKind returns the kind of that name.
func ParseIdentityKind(name string) (IdentityKind, bool) {
	i := slices.Index(identityKindNames[:], name)
	return IdentityKind(max(i, 0)), i >= 0
}

// Identity is who is asking, as it was proven. It is read-only once it was
// returned by an [Authenticator].
type Identity struct {
	Subject    string // unique and stable
	Name       string // for people; Subject when empty
	Groups     []string
	Claims     map[string]string
	Kind       IdentityKind
	OnBehalfOf string // the human's subject, for an Agent
	// Delegated says of an Agent that its rights are those of its human, or less: what is said of
	// her, by her subject and her groups, is said of it.
	Delegated bool `json:",omitempty"`
	Method    Method
	AuthTime  time.Time
	Expires   time.Time // sessions end by then; zero is never
}

// Person returns the subject by which rules and directories know the identity: that of the human
// for a delegated agent, and the identity's own for everybody else.
func (id *Identity) Person() string {
	if id.Kind == Agent && id.Delegated {
		return id.OnBehalfOf
	}
	return id.Subject
}

// Human returns the identity of the human that a delegated agent acts for, as she would come herself; nil: id is not such an agent.
func (id *Identity) Human() *Identity {
	if id.Kind != Agent || !id.Delegated {
		return nil
	}
	her := *id
	her.Subject, her.Name, her.Kind, her.OnBehalfOf, her.Delegated = id.OnBehalfOf, id.OnBehalfOf, Human, "", false
	return &her
}

// In reports whether the identity belongs to group.
func (id *Identity) In(group string) bool { return slices.Contains(id.Groups, group) }

// Method is how an identity was proven.
type Method uint8

// Methods of proof.
const (
	MethodNone           Method = iota
	MethodPassword              // a password or access token, sent over an encrypted connection
	MethodSCRAM                 // SCRAM against a verifier that the Authenticator gave
	MethodChallenge             // another challenge–response against it, such as MySQL's
	MethodCertificate           // a TLS client certificate
	MethodPublicKey             // possession of an SSH key
	MethodSSHCertificate        // possession of an SSH key certified by our CA
	MethodOIDC                  // a login at an identity provider
	MethodInteractive           // keyboard-interactive
	MethodPeer                  // the operating system's word for who is at the other end of a local socket
	MethodLink                  // a login in the browser, at a link that the client was shown
)

var methodNames = [...]string{
	"none", "password", "scram", "challenge", "certificate", "publickey", "ssh-certificate", "oidc", "interactive", "peer", "link",
}

// String returns the method's stable lower-case name.
func (m Method) String() string {
	if int(m) < len(methodNames) {
		return methodNames[m]
	}
	return "none"
}

// MethodNames returns the names of all methods of proof.
func MethodNames() []string { return methodNames[1:] }

// ParseMethod returns the method of that name. "none" is not one.
func ParseMethod(name string) (Method, bool) {
	i := slices.Index(methodNames[:], name)
	return Method(max(i, 0)), i > 0
}

// Proof is what a handler has seen proven, or a secret for the Authenticator to
// check. Which fields are set depends on Method.
type Proof struct {
	Method Method
	User   string // the name that the client claims
	// Password: MethodPassword, to be checked by the Authenticator.
	Password Secret
	// Code: MethodPassword, a code of a second factor that came with the password; empty
	// when none did.
	Code Secret
	// Verifier: MethodSCRAM and MethodChallenge, the verifier against which the
	// handler has checked the client's proof.
	Verifier string
	// Certificates: MethodCertificate, the chain as the client sent it, leaf first;
	// possession of the leaf's key is proven, trust is for the Authenticator to
	// decide.
	Certificates []*x509.Certificate
	// PublicKey: MethodPublicKey and MethodSSHCertificate, in SSH wire format;
	// possession is proven, trust is for the Authenticator to decide.
	PublicKey []byte
	Remote    net.Addr
	Protocol  string
}

// ErrUnauthenticated is returned, perhaps wrapped, when a proof does not
// convince. It says no more, so that nothing can be learned from it.
var ErrUnauthenticated = errors.New("authentication failed")

// Authenticator turns a proof into an identity. Identity comes only from its
// return value.
type Authenticator interface {
	// Authenticate returns who the proof belongs to, or an error that wraps
	// ErrUnauthenticated. It takes the same time for unknown users as for wrong
	// passwords.
	Authenticate(ctx context.Context, p Proof) (*Identity, error)
}

// Refresher is implemented by authenticators that can tell who somebody that is
// logged in would be now.
type Refresher interface {
	// Refresh returns the identity that id's login would give now: id itself, or one of
	// the same subject with other groups and claims. An error says why the login would
	// fail, such as that the user is gone; the session then ends, and its client is shown the
	// error. See ErrUnavailable for the exception. It is asked when a revision takes an open session over.
	Refresh(ctx context.Context, id *Identity) (*Identity, error)
}

// ErrUnavailable is wrapped by errors of a [Refresher] that cannot tell now, such as while where
// it looks does not answer. The session goes on as it was, and is to be asked about again.
var ErrUnavailable = errors.New("who somebody is cannot be told now")

// VerifierSource is implemented by authenticators that know users' SCRAM
// verifiers, in PostgreSQL's form
// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>".
type VerifierSource interface {
	// Verifier returns the user's verifier. For users it does not know it returns
	// a made-up one that is always the same for that name, so that the exchange
	// runs and fails like any other. For users who may not be proven by a password it does
	// so too, with an error that wraps ErrUnauthenticated: why, for the record. ok is false when the
	// user can prove herself only by a password sent as it is.
	Verifier(ctx context.Context, user string) (verifier string, ok bool, err error)
}

// Login is a user name as clients send it: "alice", "alice+orders" or
// "alice+orders+reporting".
type Login struct {
	User, Resource, Account string
}

// ParseLogin splits a client's user name. Empty parts and further parts are an
// error.
func ParseLogin(name string) (Login, error) {
	parts := strings.Split(name, "+")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return Login{}, errors.New("user name is not of the form USER, USER+RESOURCE or USER+RESOURCE+ACCOUNT")
	}
	parts = append(parts, "", "")
	return Login{parts[0], parts[1], parts[2]}, nil
}
