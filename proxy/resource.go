package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"time"
)

// Resource is one thing that users reach through the gateway. It is read-only once a [Directory]
// returned it.
type Resource struct {
	Name     string
	Type     string // the protocol: "postgres", "mysql", "ssh", "web", "kubernetes", "tcp"
	Address  string // "host:port", or "unix:" and a socket's path
	Via      string // the name of what connects to it, see [Gateway.Via]; empty: the gateway's Dialer
	Labels   map[string]string
	TLS      TLS
	Database string // used when the client names none
	Accounts []Account
	// Own is the account of what the gateway does there by itself, such as reading a database's
	// catalog. No session can use it. The zero Own has the account of the session that it is done
	// for take its place.
	Own Account
	// Reserved are the names that no person's own account has, since they are the resource's: an
	// administrator's, say. See AccountUser.
	Reserved []string
	// Made is when it was made, which tells it from another that had its name before; zero: that is not known.
	Made time.Time
	// MaxSession ends sessions after this time; 0 means no limit.
	MaxSession time.Duration
	// Settings are the protocol's own, of the type that its package documents,
	// such as postgres.Settings. Nil is that type's zero value.
	Settings any
}

// Account is a role of the resource's own that sessions may use.
type Account struct {
	Name string // how clients call it; the first account is the default
	// Username is how the resource calls it; AccountUser is an account of each person's own, see [Resource.For].
	// Sessions have the name itself.
	Username string
	// Secret is a reference for the CredentialSource, such as "env:DB_PASSWORD".
	Secret string
	// Key says that Secret leads to a private key: anything else there is not used.
	Key bool
}

// equal reports whether two resources are the same to all who use them.
func (r *Resource) equal(o *Resource) bool {
	a, b := *r, *o
	a.TLS, b.TLS = TLS{}, TLS{}
	return r.TLS.equal(&o.TLS) && reflect.DeepEqual(a, b)
}

// Account returns the account of that name, the first one for "".
func (r *Resource) Account(name string) (Account, bool) {
	for i, a := range r.Accounts {
		if a.Name == name || name == "" && i == 0 {
			return a, true
		}
	}
	return Account{}, false
}

// TLSMode says how the connection to a resource is protected.
type TLSMode uint8

// TLS modes, as PostgreSQL names them. The zero mode is the strictest.
const (
	TLSVerifyFull TLSMode = iota // encrypted, chain and name verified
	TLSVerifyCA                  // encrypted, chain verified
	TLSRequire                   // encrypted, not verified
	TLSDisable                   // plain
)

// TLS is how the gateway protects the connection to a resource.
type TLS struct {
	Mode         TLSMode
	RootCAs      *x509.CertPool // nil is the system's
	ServerName   string         // empty is the address's host
	Certificates []tls.Certificate
}

func (t *TLS) equal(o *TLS) bool {
	return t.Mode == o.Mode && t.ServerName == o.ServerName && (t.RootCAs == o.RootCAs || t.RootCAs != nil && o.RootCAs != nil && t.RootCAs.Equal(o.RootCAs)) &&
		slices.EqualFunc(t.Certificates, o.Certificates, func(a, b tls.Certificate) bool {
			return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
		})
}

// Config returns the client configuration for a connection to address, or nil
// when the mode is TLSDisable.
func (t *TLS) Config(address string) *tls.Config {
	if t.Mode == TLSDisable {
		return nil
	}
	name := t.ServerName
	if name == "" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			name = host
		}
	}
	c := &tls.Config{ServerName: name, RootCAs: t.RootCAs, Certificates: t.Certificates, MinVersion: tls.VersionTLS12}
	switch t.Mode {
	case TLSVerifyFull:
	case TLSRequire:
		c.InsecureSkipVerify = true
	default: // TLSVerifyCA: the chain without the name
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			opts := x509.VerifyOptions{Roots: t.RootCAs, Intermediates: x509.NewCertPool()}
			for _, cert := range cs.PeerCertificates[1:] {
				opts.Intermediates.AddCert(cert)
			}
			_, err := cs.PeerCertificates[0].Verify(opts)
			return err
		}
	}
	return c
}

// Target is what an identity asks for. [Conn.Open] fills in defaults once; from
// then on it is exactly what is authorised and used upstream.
type Target struct {
	Resource *Resource
	Account  Account
	Database string
}

// String returns "resource/database as account", for messages and records.
func (t Target) String() string {
	s := "?"
	if t.Resource != nil {
		s = t.Resource.Name
	}
	if t.Database != "" {
		s += "/" + t.Database
	}
	if t.Account.Name != "" && t.Resource != nil && len(t.Resource.Accounts) > 1 {
		s += " as " + t.Account.Name
	}
	return s
}

// ErrNotFound is returned, perhaps wrapped, by a Directory that has no such
// resource.
var ErrNotFound = errors.New("no such resource")

// Directory knows the resources.
type Directory interface {
	Lookup(ctx context.Context, name string) (*Resource, error)
}

// Resources is a Directory of fixed resources.
type Resources []*Resource

// Lookup returns the resource of that name.
func (rs Resources) Lookup(_ context.Context, name string) (*Resource, error) {
	for _, r := range rs {
		if r.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
}

// Dialer opens connections to resources. *net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}
