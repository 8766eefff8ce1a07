package ca

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Purposes returns all that there are.
func Purposes() []Purpose { return []Purpose{ForUsers, ForServers, ForAgents} }

// Life is how long certificates of the purpose count at most.
func (p Purpose) Life() time.Duration {
	switch p {
	case ForServers:
		return serverLife
	case ForAgents:
		return AgentLife
	}
	return MaxUserLife
}

// Announce is how long those who have to trust a key that is to sign may take to learn of it: gateways follow their store
// within seconds, programs that have logged in learn when their login is renewed, and agents when their certificate is.
func (p Purpose) Announce() time.Duration {
	if p == ForUsers {
		return time.Minute
	}
	return AgentLife
}

// Key is one of an authority's keys that are trusted.
type Key struct {
	ID          string
	Fingerprint string    // of its certificate: SHA-256, in hexadecimal
	From        time.Time // when it begins to sign
	End         time.Time // when it is not trusted any more; zero: no other is announced
	Signs       bool      // now
}

// Keys are those that are trusted now, those to come too, the oldest first.
func (a *Authority) Keys() []Key {
	signing := a.signing()
	var list []Key
	for _, k := range a.trusted() {
		sum := sha256.Sum256(k.Cert)
		list = append(list, Key{ID: k.ID, Fingerprint: hex.EncodeToString(sum[:]), From: k.From, End: k.End, Signs: k == signing})
	}
	return list
}

// Signs reports whether a certificate is of the key that signs now.
func (a *Authority) Signs(leaf *x509.Certificate) bool {
	return leaf.CheckSignatureFrom(a.signing().cert) == nil
}

// Purpose returns what the authority signs for.
func (a *Authority) Purpose() Purpose { return a.purpose }

// ParsePurpose returns the purpose of a name.
func ParsePurpose(name string) (Purpose, error) {
	if p := Purpose(name); slices.Contains(Purposes(), p) {
		return p, nil
	}
	return "", fmt.Errorf("an authority for %q is not known: want one of %q", name, Purposes())
}
