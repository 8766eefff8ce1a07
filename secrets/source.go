package secrets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Source has the provider of each scheme. It remembers nothing; a [Broker] does.
type Source map[string]Provider

// Default returns the sources that need no other service: env and file.
func Default() Source { return Source{"env": Env{}, "file": File{}} }

// Check reports whether ref is a reference that s can follow, without following
// it. The error does not show ref, which may be a secret written in its place.
func (s Source) Check(ref string) error {
	_, err := s.parse(ref)
	return err
}

func (s Source) parse(ref string) (Ref, error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	if !ok || rest == "" || s[scheme] == nil {
		return Ref{}, fmt.Errorf("not a reference to a secret: want one of %s", strings.Join(s.schemes(), ", "))
	}
	return Parse(ref)
}

// Resolve asks the provider of a reference that leads to no lease, and accepts only what can be used. It
// remembers nothing, and no session asks: it is for what is needed before there is a [Broker].
func (s Source) Resolve(ctx context.Context, ref string, fresh bool) (*Value, error) {
	r, err := s.parse(ref)
	if err != nil {
		return nil, err
	}
	o := &origin{provider: s[r.Scheme]}
	if o.leaser, _ = o.provider.(Leaser); o.leaser != nil && o.leaser.Leases(r) {
		return nil, fmt.Errorf("secret from %s: a lease needs a broker", r.Scheme)
	}
	if r, err = r.For(nil); err != nil {
		return nil, fmt.Errorf("secret from %s: %w", r.Scheme, err)
	}
	return o.resolve(ctx, r, Use{Fresh: fresh})
}

func (s Source) schemes() []string {
	var list []string
	for scheme := range s {
		list = append(list, scheme+":…")
	}
	slices.Sort(list)
	return list
}

// usable says why a value cannot be used, or nil.
func (v *Value) usable() error {
	secret := v.secret()
	switch {
	case secret.Empty():
		return ErrEmpty
	case len(secret.Reveal()) > MaxSecret:
		return ErrTooLarge
	case !v.Expires.IsZero() && !time.Now().Before(v.Expires):
		return ErrExpired
	}
	return nil
}

// credential is what v means for an account.
func (v *Value) credential(a proxy.Account) (proxy.Credential, error) {
	if a.Key && !isKey(v.PrivateKey.Reveal()) {
		return proxy.Credential{}, ErrNotKey
	}
	c := v.Credential
	if c.Username == "" {
		c.Username = a.Username
	}
	return c, nil
}

func isKey(text string) bool { return strings.HasPrefix(text, "-----BEGIN ") }

// use says what a session's credential is resolved for.
func use(r proxy.LeaseRequest) Use {
	u := Use{Identity: r.Identity, Session: r.Session, Account: r.Target.Account.Username}
	if r.Refused != nil {
		u.Fresh = true
		u.Refused = (&Value{Credential: r.Refused.Credential}).secret()
	}
	return u
}
