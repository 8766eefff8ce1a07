package proxy

import (
	"context"
	"log/slog"
)

// Secret holds a secret value and never prints it: every way of formatting or
// encoding it gives "[secret]". The zero Secret is empty.
type Secret struct{ value string }

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value. Call it where the value is put on the wire and
// nowhere else.
func (s Secret) Reveal() string { return s.value }

// Empty reports whether the secret is the empty string.
func (s Secret) Empty() bool { return s.value == "" }

const hidden = "[secret]"

// String returns "[secret]".
func (Secret) String() string { return hidden }

// GoString returns "[secret]".
func (Secret) GoString() string { return hidden }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns "[secret]".
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON returns "[secret]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// Credential is what the gateway proves itself with to a resource. The user
// never sees it.
type Credential struct {
	Username   string
	Password   Secret
	Token      Secret
	PrivateKey Secret // PEM
	// Certificate belongs to PrivateKey: an SSH certificate in authorized_keys
	// form or X.509 PEM. Empty when there is none.
	Certificate string
}

// Lease is a credential for as long as it is needed.
type Lease struct {
	Credential
	// Lost is closed when the resource will not accept the credential any more, as when it
	// could not be renewed: the session ends then. Nil: that does not happen.
	Lost <-chan struct{}
	// Release gives the credential back. Nil when there is nothing to give back.
	// It is called exactly once, also after a panic.
	Release func()
}

// LeaseRequest says what a credential is for.
type LeaseRequest struct {
	Target   Target    // authorised
	Identity *Identity // who asks; nil is the gateway itself
	Session  string    // its ID; empty when the gateway itself asks
	// Refused is what the resource has just refused, as happens after a rotation: no cached
	// value may be returned. Nil: nothing was refused.
	Refused *Lease
}

// CredentialSource leases credentials.
type CredentialSource interface {
	// Lease returns the credential that r asks for.
	Lease(ctx context.Context, r LeaseRequest) (*Lease, error)
}
