package ssh

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// KnownHosts keeps the host keys that resources showed when they were first
// reached. It is safe for concurrent use.
type KnownHosts interface {
	// Known returns the key of the resource, in SSH wire format; nil when it has
	// none yet.
	Known(ctx context.Context, resource string) ([]byte, error)
	// Remember keeps key unless the resource has one already, and returns the one
	// that it then has.
	Remember(ctx context.Context, resource string, key []byte) ([]byte, error)
}

// HostKeyError says that a resource showed a host key that it is not known by.
type HostKeyError struct {
	Resource string
	Shown    string   // SHA-256 fingerprint, or what kinds of keys it has
	Expected []string // fingerprints; empty when no key is known
	Reason   string   // what else is wrong; may be empty
}

// Error names both sides' fingerprints.
func (e *HostKeyError) Error() string {
	s := "host key verification failed for " + e.Resource + ": it showed " + e.Shown
	if len(e.Expected) > 0 {
		s += ", expected " + strings.Join(e.Expected, " or ")
	}
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// unknownHostError says that it cannot be told by which key a resource is known. Its text is for users; why is for the
// operator.
type unknownHostError struct {
	resource string
	err      error
}

func (e *unknownHostError) Error() string {
	return "the gateway cannot tell whether resource " + e.resource + " is the host that it knows"
}

func (e *unknownHostError) Unwrap() error { return e.err }

// hostKeys decides about the host key of one resource.
type hostKeys struct {
	ctx      context.Context
	resource string
	host     string
	known    KnownHosts // non-nil: the first key may be trusted
	pinned   []gossh.PublicKey
	cas      []gossh.PublicKey
	revoked  []gossh.PublicKey
	legacy   bool
	verified bool  // a key was found right
	failure  error // why one was found wrong
}

func (h *Handler) hostKeys(ctx context.Context, resource, address string, set *Settings) (*hostKeys, error) {
	k := &hostKeys{ctx: ctx, resource: resource, host: set.HostName, legacy: set.Legacy}
	var err error
	if k.pinned, err = parseKeys(set.HostKeys); err != nil {
		return nil, err
	}
	if k.cas, err = parseKeys(set.HostCAs); err != nil {
		return nil, err
	}
	if k.revoked, err = parseKeys(set.RevokedHostKeys); err != nil {
		return nil, err
	}
	if k.host == "" {
		k.host = address
		if host, _, err := net.SplitHostPort(address); err == nil {
			k.host = host
		}
	}
	if len(k.pinned)+len(k.cas) > 0 {
		return k, nil
	}
	if !set.TrustFirst || h.KnownHosts == nil {
		return nil, fmt.Errorf("no host key of %s is known, so the gateway cannot tell it from an impostor", resource)
	}
	known, err := h.KnownHosts.Known(ctx, resource)
	if err != nil {
		return nil, &unknownHostError{resource, err}
	}
	if known == nil {
		k.known = h.KnownHosts
		return k, nil
	}
	key, err := gossh.ParsePublicKey(known)
	if err != nil {
		return nil, fmt.Errorf("the key that %s is known by: %w", resource, err)
	}
	k.pinned = []gossh.PublicKey{key}
	return k, nil
}

func (k *hostKeys) algorithms() []string {
	return hostKeyAlgorithms(k.pinned, len(k.cas) > 0, k.known != nil, k.legacy)
}

// check is a gossh.HostKeyCallback.
func (k *hostKeys) check(_ string, _ net.Addr, key gossh.PublicKey) error {
	k.failure = k.judge(key)
	k.verified = k.failure == nil
	return k.failure
}

func (k *hostKeys) judge(key gossh.PublicKey) error {
	if cert, ok := key.(*gossh.Certificate); ok {
		return k.judgeCertificate(cert)
	}
	shown := key.Marshal()
	switch {
	case contains(k.revoked, shown):
		return k.wrong(key, "this key is revoked")
	case tooSmall(cryptoKey(key)) && !k.legacy:
		return k.wrong(key, "this key is too small to be safe")
	case contains(k.pinned, shown):
		return nil
	case k.known == nil:
		return k.wrong(key, "")
	}
	kept, err := k.known.Remember(k.ctx, k.resource, shown)
	if err != nil {
		return &unknownHostError{k.resource, err}
	}
	if !bytes.Equal(kept, shown) {
		return k.wrong(key, "another key was remembered at the same time")
	}
	return nil
}

func (k *hostKeys) judgeCertificate(cert *gossh.Certificate) error {
	switch {
	case contains(k.revoked, cert.SignatureKey.Marshal()):
		return k.wrong(cert.Key, "the certificate's authority is revoked")
	case contains(k.revoked, cert.Key.Marshal()):
		return k.wrong(cert.Key, "this key is revoked")
	case cert.CertType != gossh.HostCert:
		return k.wrong(cert.Key, "its certificate is not for hosts")
	case !contains(k.cas, cert.SignatureKey.Marshal()):
		return k.wrong(cert.Key, "its certificate is signed by another authority, "+gossh.FingerprintSHA256(cert.SignatureKey))
	case len(cert.ValidPrincipals) == 0:
		return k.wrong(cert.Key, "its certificate names no host")
	}
	checker := gossh.CertChecker{Clock: time.Now}
	if err := checker.CheckCert(k.host, cert); err != nil {
		return k.wrong(cert.Key, strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return nil
}

func (k *hostKeys) wrong(shown gossh.PublicKey, reason string) *HostKeyError {
	e := &HostKeyError{Resource: k.resource, Reason: reason}
	if shown != nil {
		e.Shown = gossh.FingerprintSHA256(shown)
	}
	for _, p := range k.pinned {
		e.Expected = append(e.Expected, gossh.FingerprintSHA256(p))
	}
	for _, ca := range k.cas {
		e.Expected = append(e.Expected, "a certificate of "+gossh.FingerprintSHA256(ca))
	}
	return e
}

// otherKind is the failure of a resource that has no key of the kinds that it is
// known by, so that none was shown. A certificate may be missing for a key that
// is there.
func (k *hostKeys) otherKind(offered []string) error {
	kinds := make([]string, 0, len(offered))
	for _, o := range offered[:min(len(offered), 8)] {
		kinds = append(kinds, printable(o[:min(len(o), 64)]))
	}
	e := k.wrong(nil, "the kinds of keys do not match")
	e.Shown = "no key of an expected kind, only " + strings.Join(kinds, ", ")
	return e
}

func contains(keys []gossh.PublicKey, wire []byte) bool {
	for _, k := range keys {
		if bytes.Equal(k.Marshal(), wire) {
			return true
		}
	}
	return false
}

func cryptoKey(key gossh.PublicKey) any {
	if k, ok := key.(gossh.CryptoPublicKey); ok {
		return k.CryptoPublicKey()
	}
	return nil
}

// tooSmall reports whether key is an RSA key below OpenSSH's own minimum for
// new ones.
func tooSmall(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() < 2048
}

var errNoAuthority = errors.New("the gateway has no authority that could sign certificates")
