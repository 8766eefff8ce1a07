// Package secrets holds credential sources: where the gateway gets what it
// proves itself with to resources. A secret is named by a reference,
// "SCHEME:REST"; the scheme chooses the [Provider].
package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// Provider fetches secrets of one scheme. It is safe for concurrent use.
type Provider interface {
	// Fetch returns the secret that rest names. fresh says that no cached value
	// will do. release, when it is not nil, gives the secret back.
	Fetch(ctx context.Context, rest string, fresh bool) (s proxy.Secret, release func(), err error)
}

// Source is a proxy.CredentialSource that finds each account's secret by its
// reference.
type Source map[string]Provider

// Default returns the sources that need no other service: env and file.
func Default() Source { return Source{"env": Env{}, "file": File{}} }

// ErrEmpty says that a reference leads to nothing; an empty secret is never
// used.
var ErrEmpty = errors.New("the secret is empty")

// ErrNotKey says that a reference to a private key leads to something else, which is not
// used in its place.
var ErrNotKey = errors.New("the secret is not a private key: want PEM, which begins with -----BEGIN")

// Lease returns the account's credential. An account without a reference has a
// user name only.
func (s Source) Lease(ctx context.Context, t proxy.Target, fresh bool) (*proxy.Lease, error) {
	lease := &proxy.Lease{Credential: proxy.Credential{Username: t.Account.Username}}
	if t.Account.Secret == "" {
		return lease, nil
	}
	secret, release, err := s.Fetch(ctx, t.Account.Secret, fresh)
	if err != nil {
		return nil, err
	}
	lease.Release = release
	if t.Account.Key && !strings.HasPrefix(secret.Reveal(), "-----BEGIN ") {
		if release != nil {
			release()
		}
		return nil, ErrNotKey
	}
	if strings.HasPrefix(secret.Reveal(), "-----BEGIN ") {
		lease.PrivateKey = secret
	} else {
		lease.Password = secret
	}
	return lease, nil
}

// Fetch returns the secret of a reference.
func (s Source) Fetch(ctx context.Context, ref string, fresh bool) (proxy.Secret, func(), error) {
	scheme, rest, err := s.split(ref)
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	secret, release, err := s[scheme].Fetch(ctx, rest, fresh)
	if err == nil && secret.Empty() {
		if release != nil {
			release()
		}
		err = ErrEmpty
	}
	if err != nil {
		return proxy.Secret{}, nil, fmt.Errorf("secret from %s: %w", scheme, err)
	}
	return secret, release, nil
}

// Check reports whether ref is a reference that s can follow, without following
// it. The error does not show ref, which may be a secret written in its place.
func (s Source) Check(ref string) error {
	_, _, err := s.split(ref)
	return err
}

func (s Source) split(ref string) (scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	if !ok || rest == "" || s[scheme] == nil {
		return "", "", fmt.Errorf("not a reference to a secret: want one of %s", strings.Join(s.schemes(), ", "))
	}
	return scheme, rest, nil
}

func (s Source) schemes() []string {
	var list []string
	for scheme := range s {
		list = append(list, scheme+":…")
	}
	slices.Sort(list)
	return list
}

// Env fetches secrets from the environment: "env:NAME".
type Env struct{}

// Fetch returns the variable's value.
func (Env) Fetch(_ context.Context, name string, _ bool) (proxy.Secret, func(), error) {
	v, ok := os.LookupEnv(name)
	if !ok {
		return proxy.Secret{}, nil, fmt.Errorf("variable %s is not set", name)
	}
	return proxy.NewSecret(v), nil, nil
}

// File fetches secrets from files: "file:/run/secrets/db". One line break at the
// end is not part of the secret. The file is read at every lease, so a rotated
// secret is seen.
type File struct{}

// maxFile bounds a secret's size, in bytes.
const maxFile = 64 << 10

// Fetch returns the file's content.
func (File) Fetch(_ context.Context, path string, _ bool) (proxy.Secret, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	if len(b) > maxFile {
		return proxy.Secret{}, nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	text := string(b)
	if !strings.HasPrefix(text, "-----BEGIN ") {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	}
	return proxy.NewSecret(text), nil, nil
}
