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

// Lease returns the account's credential, for as long as its source lets it live: nothing renews it.
// An account without a reference has a user name only.
func (s Source) Lease(ctx context.Context, r proxy.LeaseRequest) (*proxy.Lease, error) {
	account := r.Target.Account
	if account.Secret == "" {
		return &proxy.Lease{Credential: proxy.Credential{Username: account.Username}}, nil
	}
	ref, err := s.parse(account.Secret)
	if err != nil {
		return nil, err
	}
	v, err := s.resolve(ctx, ref, use(r))
	if err != nil {
		return nil, err
	}
	release := s.release(ref, v)
	credential, err := v.credential(account)
	if err != nil {
		if release != nil {
			release()
		}
		return nil, err
	}
	return &proxy.Lease{Credential: credential, Release: release}, nil
}

// Fetch returns the secret of a reference that is not an account's. release, when it is not nil, gives
// it back.
func (s Source) Fetch(ctx context.Context, ref string, fresh bool) (secret proxy.Secret, release func(), err error) {
	r, err := s.parse(ref)
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	v, err := s.resolve(ctx, r, Use{Fresh: fresh})
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	return v.secret(), s.release(r, v), nil
}

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

// resolve asks the provider, and accepts only what can be used.
func (s Source) resolve(ctx context.Context, ref Ref, u Use) (*Value, error) {
	named, err := ref.For(u.Identity)
	if err != nil {
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	v, err := s[ref.Scheme].Resolve(ctx, named, u)
	if err != nil {
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	if err := v.usable(); err != nil {
		if release := s.release(ref, v); release != nil {
			release()
		}
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	return v, nil
}

// release returns what revokes the lease of v, or nil. Its service ends a lease that could not be
// revoked in its own time.
func (s Source) release(ref Ref, v *Value) func() {
	l, ok := s[ref.Scheme].(Leaser)
	if !ok || v.Lease == "" {
		return nil
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
		defer cancel()
		_ = l.Revoke(ctx, v.Lease)
	}
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
