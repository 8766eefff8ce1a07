package secrets

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Provider resolves the references of one scheme. It is safe for concurrent use. Its errors hold
// nothing of a secret, and no text that a service has sent.
type Provider interface {
	// Resolve fetches what ref leads to. An error wraps ErrNotFound, ErrDenied or
	// ErrUnavailable where it is one of these.
	Resolve(ctx context.Context, ref Ref, use Use) (*Value, error)
}

// Leaser is a Provider some of whose references lead to credentials that are made for one use.
type Leaser interface {
	Provider
	// Leases reports whether ref leads to such a credential. It has a lease, or ends by itself.
	Leases(ref Ref) bool
	// Renew extends a lease by want, counted from now, or by as much as the service allows. It
	// returns when the lease ends.
	Renew(ctx context.Context, lease string, want time.Duration) (expires time.Time, err error)
	// Revoke ends a lease. It returns nil also when the lease has ended before.
	Revoke(ctx context.Context, lease string) error
}

// Use says what a secret is resolved for.
type Use struct {
	Identity *proxy.Identity // who asks; nil is the gateway itself
	Session  string
	Account  string // the user name that the resource's account has, if any
	// Fresh says that no cached value will do.
	Fresh bool
	// Refused is the value that the resource has just refused, when it is known.
	Refused proxy.Secret
}

// Value is what a reference leads to.
type Value struct {
	// Credential has the secret in one of Password, Token and PrivateKey. Its
	// Username is empty where the source does not say one.
	proxy.Credential
	// Version says which of several versions this is. It can be shown.
	Version string
	// Shared says that the value may be kept for a short time and given to other sessions.
	Shared bool
	// Expires is when the value ends; zero when it is not known to. It is not used from then on.
	Expires time.Time
	// Lease names the lease of a credential that was made for this use. It holds no secret.
	Lease string
	// Renewable says that the lease can be renewed.
	Renewable bool
}

// Text returns a value that is one text: a private key where it is PEM, and a password elsewhere.
func Text(text string) *Value {
	v := &Value{}
	if isKey(text) {
		v.PrivateKey = proxy.NewSecret(text)
	} else {
		v.Password = proxy.NewSecret(text)
	}
	return v
}

// secret is the value's one text.
func (v *Value) secret() proxy.Secret {
	switch {
	case !v.PrivateKey.Empty():
		return v.PrivateKey
	case !v.Password.Empty():
		return v.Password
	}
	return v.Token
}

// MaxSecret bounds a secret's size, in bytes.
const MaxSecret = 64 << 10

// Kinds of failures.
var (
	ErrNotFound    = errors.New("there is no such secret")
	ErrDenied      = errors.New("the gateway may not read the secret")
	ErrUnavailable = errors.New("the source of secrets cannot be reached")
	// ErrEmpty says that a reference leads to nothing; an empty secret is never used.
	ErrEmpty = errors.New("the secret is empty")
	// ErrTooLarge says that a secret has more than MaxSecret bytes.
	ErrTooLarge = errors.New("the secret is larger than 65536 bytes")
	// ErrType says that a reference leads to something that is not one text.
	ErrType = errors.New("the secret is not a text")
	// ErrNotKey says that a reference to a private key leads to something else, which is not
	// used in its place.
	ErrNotKey = errors.New("the secret is not a private key: want PEM, which begins with -----BEGIN")
	// ErrExpired says that a source gave what had ended already.
	ErrExpired = errors.New("the secret has expired")
)
