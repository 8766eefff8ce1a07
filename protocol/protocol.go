// Package protocol declares what a protocol is to an assembly of a gateway: a
// value with a name, settings, the handlers of its listeners and the command line
// of its native client. An assembly is given a list of such values and has no
// other knowledge of protocols. The packages below bring them: builtin has all
// of this module.
package protocol

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Protocol is what an assembly knows of one protocol. Name and Open are needed.
// It must not change once an assembly has it.
type Protocol struct {
	// Name is the type of its resources, the key of its listener and what its
	// handlers return as Protocol: lower-case letters, digits and "-".
	Name string
	// DefaultPort is used for addresses without a port; 0: addresses need one.
	DefaultPort int
	// Dialect is that of its SQL, as in proxy.Facts; empty: it has no SQL.
	Dialect string
	// Kinds are the kinds of operations that its sessions ask about. A rule about
	// other kinds never applies to its resources.
	Kinds []proxy.Kind
	// Databases says that its resources have databases.
	Databases bool
	// Own says that the gateway does something at its resources by itself, such as reading a
	// catalog, for which they may have an account of its own; see proxy.Resource.Own.
	Own bool
	// TLS says that connections to its resources are protected as proxy.TLS says.
	// False: it protects them by its own means, and a resource has no choice.
	TLS bool
	// Keys says that accounts may prove themselves by a private key.
	Keys bool
	// Anonymous says that its resources may want no login: an account needs no user name.
	Anonymous bool
	// NoSecrets says that the gateway gives its resources no secret: an account has none.
	NoSecrets bool
	// Reserved are accounts that such resources have themselves, and that are nobody's own; see
	// proxy.AccountUser.
	Reserved []string
	// LoginLinks says that its clients can be shown a link at which somebody logs in: its
	// handlers call proxy.Conn.Link.
	LoginLinks bool
	// Settings returns a pointer to a new struct with the defaults of a resource's
	// settings. Its fields have the tags of YAML keys. proxy.Resource.Settings is
	// the struct, not the pointer. Nil: it has no settings.
	//
	// A pointer that is a [Validator] is asked whether the settings can work; one
	// that is a [ReadOnlySetter] is told of resources that are labelled read-only.
	Settings func() any
	// Hosts returns the names of its own by which clients reach a resource with these settings, with a port where that is
	// not the listener's. The gateway's certificate has them. Where Hosts is set, a resource without one is reached at
	// NAME.DOMAIN. Nil: clients come to the listener's address.
	Hosts func(settings any) []string
	// Allows returns why a resource with these settings runs nothing that a pattern
	// of a list of allowed commands is about; nil when it may. Nil: every pattern may
	// be of use.
	Allows func(settings any, pattern string) error
	// Open returns what serves the protocol in one assembly. An assembly calls it
	// once, when it has a listener of the protocol or a text to explain.
	Open func(a Assembly) (*Service, error)
	// Client returns the command line of the native client. Nil: none is known.
	Client func(e Endpoint) (*Command, error)
	// Exec returns the command line by which the native client runs one thing, without asking anybody. Nil: none is
	// known.
	Exec func(e Endpoint, x Execution) (*Command, error)
	// Connector returns what leads programs on the user's machine to an endpoint, where they have no way in of their own. password is empty where
	// the endpoint has a proof. waits is told, with the place where that is decided, when somebody has to approve a connection; it may be nil.
	// Nil: programs come to the listener by themselves.
	Connector func(e Endpoint, password proxy.Secret, waits func(message, link string)) (Connector, error)
	// Links returns how other programs are told of an endpoint. It may be nil.
	Links func(e Endpoint) []Link
}

// Validator is implemented by pointers to settings.
type Validator interface {
	// Validate reports everything about the settings that cannot work. Each part of
	// a joined error is one problem; one that begins with a key and a colon is about
	// that key. Errors hold no secrets.
	Validate() error
}

// ReadOnlySetter is implemented by pointers to settings of protocols whose servers
// can be told to refuse changes.
type ReadOnlySetter interface {
	// SetReadOnly has the server refuse changes, whatever else the settings say.
	SetReadOnly()
}

var name = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Check reports everything that is wrong with a list of protocols.
func Check(list []Protocol) error {
	var errs []error
	seen := make(map[string]bool)
	for i := range list {
		p := &list[i]
		if !name.MatchString(p.Name) {
			errs = append(errs, fmt.Errorf("protocol %d: the name %q is not lower-case letters, digits and \"-\"", i+1, p.Name))
		}
		if seen[p.Name] {
			errs = append(errs, fmt.Errorf("protocol %s is in the list twice", p.Name))
		}
		seen[p.Name] = true
		if p.Open == nil {
			errs = append(errs, fmt.Errorf("protocol %s has no Open", p.Name))
		}
		if p.DefaultPort < 0 || p.DefaultPort > 65535 {
			errs = append(errs, fmt.Errorf("protocol %s: the default port %d is not a port", p.Name, p.DefaultPort))
		}
	}
	return errors.Join(errs...)
}

// Asks reports whether sessions of the protocol ask about operations of one of
// the kinds.
func (p *Protocol) Asks(kinds ...proxy.Kind) bool {
	return slices.ContainsFunc(kinds, func(k proxy.Kind) bool { return slices.Contains(p.Kinds, k) })
}

// Listener is one place where a gateway listens.
type Listener struct {
	Protocol string
	Address  string // "host:port"
	Resource string // the one resource that is served there; empty when clients choose
}

// Assembly is what an assembly hands to a protocol. The zero value of each field
// is allowed; what is missing then is said there.
type Assembly struct {
	// Gateway is the one that handlers will serve in. Nil: nothing is served and
	// nothing is read from resources; texts can be explained without.
	Gateway *proxy.Gateway
	// Dir is the folder of the protocol's own files. The protocol makes it when it
	// first has something to keep.
	Dir string
	// Keys keeps the protocol's private keys, for all gateways that share them. Nil: they
	// are files in Dir.
	Keys Keys
	// Authorities opens an authority of that name by which the protocol signs certificates, for all gateways that share it. It begins
	// with the key that first returns. Nil: it has that one alone.
	Authorities func(name string, first func() (crypto.PrivateKey, error)) (Authority, error)
	// FirstSeen keeps what the protocol's resources showed when they were first reached, for
	// all gateways that share it. Nil: it is [FirstSeenFile] in Dir.
	FirstSeen FirstSeen
	// TLS protects connections with clients; nil: they have none.
	TLS *tls.Config
	// RequireTLS refuses clients without TLS.
	RequireTLS bool
	// Domain makes the TLS server name choose the resource: with
	// "gw.example.com", "orders.gw.example.com" is the resource "orders". Empty: it
	// does not.
	Domain string
	// Listeners returns all places where the gateway listens, for any protocol. They may
	// change while it runs. Nil: there are none.
	Listeners func() []Listener
	// Resources returns the gateway's resources, of all protocols. They may change
	// while it runs; the result and what it refers to is read-only. Nil: there are
	// none.
	Resources func() proxy.Resources
	// May reports whether id may connect to a target. It is asked to show users what
	// they can reach, and grants nothing. Nil: nobody may.
	May func(id *proxy.Identity, t proxy.Target) bool
	// KnowsKey reports whether a public key, in SSH wire format, could belong to a
	// user. It grants nothing. Nil: every key could.
	KnowsKey func(user string, key []byte) bool
	// KnowsCertificate reports whether a TLS client certificate could be a user's. It
	// grants nothing. Others are treated as if the client had shown none, since clients
	// show what they have. Nil: every certificate could.
	KnowsCertificate func(*x509.Certificate) bool
	// Browsers logs in people who come with a browser to a host name of a resource's own, and Bearers are the access
	// tokens that come without a user's name. Nil: nobody comes in that way.
	Browsers Browsers
	Bearers  Bearers
	// Log is told of what goes wrong; nil is slog.Default.
	Log *slog.Logger
}

// Ports returns a function that returns the ports of the listeners at which a resource of a protocol is reached.
func (a *Assembly) Ports(protocol string) func(resource string) []string {
	return func(resource string) (list []string) {
		if a.Listeners == nil {
			return nil
		}
		for _, l := range a.Listeners() {
			if l.Protocol != protocol || l.Resource != "" && l.Resource != resource {
				continue
			}
			if _, port, err := net.SplitHostPort(l.Address); err == nil {
				list = append(list, port)
			}
		}
		return list
	}
}

// Browsers are logins of people who come with a browser to a host name of a resource's own:
// they log in at a page of the gateway's, which leads back with a code. It is safe for
// concurrent use.
type Browsers interface {
	// Page returns the address of the page where somebody logs in for a resource. It leads to
	// /.gateway/callback of origin, "https://HOST:PORT", with a code, and with challenge as the state. It
	// is empty where nobody can log in.
	Page(ctx context.Context, resource, origin, challenge string) (string, error)
	// Redeem returns what proves the person of a code at the resource from then on, and until when. A code
	// is redeemed once, by the verifier whose SHA-256, in hexadecimals, was the challenge. The error wraps
	// [proxy.ErrUnauthenticated] where it is wrong.
	Redeem(ctx context.Context, resource, code, verifier string) (proxy.Secret, time.Time, error)
	// Find returns who that is now. The error wraps [proxy.ErrUnauthenticated] where the login
	// has ended.
	Find(ctx context.Context, resource string, secret proxy.Secret) (*proxy.Identity, error)
	// End ends what Redeem began.
	End(ctx context.Context, resource string, secret proxy.Secret) error
}

// Bearers are access tokens. It is safe for concurrent use.
type Bearers interface {
	// Is reports whether a text has the form of an access token.
	Is(text string) bool
	// Bearer returns who a token proves now.
	Bearer(ctx context.Context, secret proxy.Secret) (*proxy.Identity, error)
}

// FirstSeenFile is the file in a protocol's folder in which one gateway keeps what it has seen first.
const FirstSeenFile = "known_hosts"

// FirstSeen keeps what was seen first under a name, such as the key by which a resource proved itself when it was first
// reached. It is safe for concurrent use.
type FirstSeen interface {
	// Known returns what was seen first under a name; nil: nothing was yet. An error says that it is not known: what is
	// seen then counts for nothing.
	Known(ctx context.Context, name string) ([]byte, error)
	// Remember keeps what is seen under a name unless something was before, and returns what is known then. On an error it is
	// not kept, and counts for nothing.
	Remember(ctx context.Context, name string, seen []byte) ([]byte, error)
}

// Service is a protocol in one assembly. Handler and Operation are needed. It is
// safe for concurrent use.
type Service struct {
	// Handler returns the handler of one listener: for the one resource that is
	// served there, or for all when resource is empty. What handlers share, they
	// share in one Service.
	Handler func(resource string) (proxy.Handler, error)
	// Operation returns the operation that a text asks for at a target: a statement,
	// or a command line. Its facts are what handlers would find.
	Operation func(ctx context.Context, t proxy.Target, text string) (proxy.Op, error)
	// Further returns what sessions ask about besides op once op is allowed, such as
	// the files that a command copies. Op runs when all of it is allowed. Nil: there
	// is nothing more.
	Further func(op proxy.Op) []proxy.Op
	// Refuses returns the refusal of op by the settings of the target's resource, for
	// which no interceptor is asked; false when they do not refuse it. Nil: settings
	// refuse nothing that Operation returns.
	Refuses func(t proxy.Target, op proxy.Op) (proxy.Verdict, bool)

	// Reach logs in to the resource of a session as its account, and leaves: it asks for
	// nothing there, and keeps nothing. Nil: it cannot be tried.
	Reach func(ctx context.Context, s *proxy.Session) error

	// Clients are what the gateway opens for somebody who works in a browser, as a client of
	// the service's own handlers.
	Clients Clients

	// What follows is used by interceptors. Nil: the protocol has nothing like it.

	Sampler   Sampler
	Estimator Estimator
	Limiter   Limiter

	// Files are those that clients know the gateway by. They are there once the first
	// handler is.
	Files []string
	// Revised is called when the gateway's listeners, resources or authorities may have changed, once
	// there is a handler. Nil: the service keeps nothing that depends on them.
	Revised func() error
	// Close ends what the service does by itself, once no handler of it serves any
	// more. Nil: nothing is to be ended.
	Close func() error
}

// Sampler reads a few values of a relation's columns over connections of the
// gateway's own. It is safe for concurrent use.
type Sampler interface {
	// Sample calls each with the columns of a relation in the session's database, first
	// once with nil, then with values, as text, which may be cut off. Both are valid until
	// it returns.
	Sample(ctx context.Context, s *proxy.Session, schema, relation string, each func(c *proxy.SampledColumn, value []byte)) error
}

// Estimator asks resources what they expect of statements. It is safe for
// concurrent use.
type Estimator interface {
	// Estimate returns how many rows the session's resource expects a single
	// statement to return or to change, the larger of the two, and its cost in the
	// resource's own unit. It runs nothing. The error says why it cannot estimate;
	// it is shown to the user, and holds no data.
	Estimate(ctx context.Context, s *proxy.Session, st *proxy.Statement) (rows, cost float64, err error)
}

// Limiter adds a LIMIT to queries of one dialect. It is safe for concurrent use.
type Limiter interface {
	// Limit returns text with a LIMIT of n rows, in a slice of its own: certainly
	// the same query otherwise. It returns nil and no error for a text that is not a
	// query and returns no more rows than it changes. The error says why there can be
	// no LIMIT, and is shown to the user.
	Limit(text []byte, n int) ([]byte, error)
}

// Authority is the keys by which a protocol signs certificates: one takes the place of another while both are trusted. It is
// safe for concurrent use.
type Authority interface {
	// Signer returns the key that signs now.
	Signer() crypto.Signer
	// PublicKeys returns those whose signatures count now, and the one that is to sign next.
	PublicKeys() []crypto.PublicKey
}

// Keys returns the private key that is kept under a name. What generate returns is kept when there
// is none yet. It is safe for concurrent use.
type Keys func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error)

// Endpoint is a listener as a client sees it, and who logs in there.
type Endpoint struct {
	Resource   string // its name
	Host, Port string
	User       string // the whole login name, such as "alice+orders"
	Database   string // empty: the protocol has none, or the resource's own is used
	// Dir is the folder of the protocol's own files; see Assembly.
	Dir string
	// CA is a file of the certificates that clients trust; empty: it is not known.
	CA string
	// RequireTLS says that the gateway refuses clients without TLS.
	RequireTLS bool
	// Alias is the name of the gateway in the files of Dir that say which keys it has; empty
	// is its host and port.
	Alias string
	// Proof are files by which the user proves herself; nil: she types a password, or has
	// keys of her own.
	Proof *Proof
	// Args are passed on to the client.
	Args []string
}

// Proof are the names of files that a login has left on the user's machine.
type Proof struct {
	Certificate, Key string // for TLS, in PEM
	KeyDER           string // the same key in PKCS #8 and DER, as Java reads it
	SSHKey           string // in OpenSSH's form
	SSHCertificate   string
}

// Connector opens a connection to a resource as the user of an [Endpoint], and returns what the gateway says about it, for her. The texts of
// errors are for her, too. The connection goes on when ctx has ended.
type Connector func(ctx context.Context) (c net.Conn, note string, err error)

// Link is how a program other than the native client is told of an endpoint.
type Link struct {
	For  string // "url", "jdbc"
	Text string
}

// Execution is one thing that a native client runs: a statement, or a command.
type Execution struct {
	Text string // empty: what File holds
	File string // "-" is the client's input
	// CSV has rows come as CSV with a line of names, and NULL as Null. A protocol without rows has an error for it.
	CSV  bool
	Null string
}

// Command is the command line of a native client.
type Command struct {
	Program string   // to be found on the path
	Args    []string // without the program
	Env     []string // "NAME=value", added to the environment
}
