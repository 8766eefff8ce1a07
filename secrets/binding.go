package secrets

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Remote is implemented by providers whose references lead out of the gateway's host, to a
// service that decides what the gateway may read. All others are local.
type Remote interface {
	Provider
	// Remote does nothing: it marks the provider.
	Remote()
}

// Local reports whether ref leads to something of the gateway's own host, such as a file, a variable or
// a program. What does not come from the gateway's config file may not have such a
// reference: its author could read the host with it. References of an unknown form or
// scheme are local.
func (s Source) Local(ref string) bool {
	r, err := Parse(ref)
	if err != nil {
		return true
	}
	_, remote := s[r.Scheme].(Remote)
	return !remote
}

// ErrUnbound says that a secret is asked for at another place than it was bound to.
var ErrUnbound = errors.New("the secret is not bound to this use: bind it again to allow it")

// Binding says where a secret may be used: a reference, and the address and account
// that it was given for. An object that is kept outside of the config file has one, made by who is allowed
// to use the reference; an author who changes the address cannot send the secret elsewhere.
type Binding struct {
	Ref     string `json:"ref"`
	Address string `json:"address"` // "host:port", or "unix:" and a path
	Account string `json:"account"` // the user name at the resource
}

// Bind returns the binding of a reference to an address and an account.
func Bind(ref, address, account string) Binding {
	return Binding{Ref: ref, Address: canonical(address), Account: account}
}

// Check returns an error that wraps ErrUnbound and says what differs, when ref may not be
// used at that address for that account. The zero Binding allows nothing.
func (b Binding) Check(ref, address, account string) error {
	switch is := Bind(ref, address, account); {
	case b == Binding{}:
		return fmt.Errorf("%w: it has no binding", ErrUnbound)
	case is.Ref != b.Ref:
		return fmt.Errorf("%w: the reference differs", ErrUnbound)
	case is.Address != b.Address:
		return fmt.Errorf("%w: the address is %q, and was %q", ErrUnbound, is.Address, b.Address)
	case is.Account != b.Account:
		return fmt.Errorf("%w: the account is %q, and was %q", ErrUnbound, is.Account, b.Account)
	}
	return nil
}

// canonical writes addresses that are the same in the same way.
func canonical(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "unix:") {
		return address
	}
	if ip := net.ParseIP(host); ip != nil {
		host = ip.String()
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), port)
}
