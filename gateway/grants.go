package gateway

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// signer signs what becomes of requests with the key of the gateway's own log, and knows the logs of the other gateways on the store,
// which keep their public keys there, sealed: who only writes into the store is none of them.
type signer struct {
	log   *audit.Log
	state *state

	mu    sync.Mutex
	known map[string]string // public keys, by the log's name
}

// logName is the form of the name of a gateway's log.
var logName = regexp.MustCompile(`^sallyport-audit-[0-9a-f]{12}$`)

// errNoSigner says that no gateway on the store has a log of that name.
var errNoSigner = errors.New("no gateway on this store has signed it")

// newSigner tells the other gateways on the store of the log's public key.
func newSigner(ctx context.Context, log *audit.Log, s *state) (*signer, error) {
	kept, err := s.key(ctx, signerKey(log.Origin()), func() ([]byte, error) { return []byte(log.PublicKey()), nil })
	if err != nil {
		return nil, fmt.Errorf("keeping the public key of the audit log in the store: %w", err)
	}
	if string(kept) != log.PublicKey() {
		return nil, fmt.Errorf("the store has another public key than the audit log's for %s: is it another log of the same name?", log.Origin())
	}
	return &signer{log: log, state: s, known: map[string]string{log.Origin(): log.PublicKey()}}, nil
}

// signerKey is the name under which the public key of a log is kept.
func signerKey(origin string) string { return "log/" + origin }

// SignGrant implements [review.Signer].
func (s *signer) SignGrant(g *proxy.Grant) (string, error) { return s.log.SignGrant(g) }

// OpenGrant implements [review.Signer].
func (s *signer) OpenGrant(ctx context.Context, signed string) (*proxy.Grant, error) {
	origin, err := audit.GrantOrigin(signed)
	if err != nil {
		return nil, err
	}
	public, err := s.public(ctx, origin)
	if err != nil {
		return nil, err
	}
	return audit.OpenGrant(signed, public)
}

// public is the public key of a log.
func (s *signer) public(ctx context.Context, origin string) (string, error) {
	if !logName.MatchString(origin) {
		return "", errNoSigner
	}
	s.mu.Lock()
	public := s.known[origin]
	s.mu.Unlock()
	if public != "" {
		return public, nil
	}
	key, err := s.state.key(ctx, signerKey(origin), func() ([]byte, error) { return nil, errNoSigner })
	switch {
	case errors.Is(err, errNoSigner), errors.Is(err, identity.ErrSealed):
		return "", errNoSigner
	case err != nil:
		return "", fmt.Errorf("%w: %w", proxy.ErrUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[origin] = string(key)
	return string(key), nil
}
