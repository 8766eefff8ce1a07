package ca

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Purposes returns all that there are.
func Purposes() []Purpose {
	return []Purpose{ForUsers, ForServers, ForAgents, ForHosts, ForResources}
}

// ssh reports whether the purpose is SSH's alone.
func (p Purpose) ssh() bool { return p == ForHosts || p == ForResources }

// sshLife is how long SSH certificates of a key may come after another one signs: they are signed for each connection, by
// gateways that may not have heard of the other one while their store does not answer.
const sshLife = 24 * time.Hour

// Life is how long certificates of the purpose count at most.
func (p Purpose) Life() time.Duration {
	switch p {
	case ForServers:
		return serverLife
	case ForAgents:
		return AgentLife
	case ForHosts, ForResources:
		return sshLife
	}
	return MaxUserLife
}

// Announce is how long those who have to trust a key that is to sign may take to learn of it: gateways follow their store
// within seconds, programs that have logged in learn when their login is renewed, agents when their certificate is, and hosts
// when somebody copies the key there.
func (p Purpose) Announce() time.Duration {
	if p == ForUsers {
		return time.Minute
	}
	return AgentLife
}

// Key is one of an authority's keys that are trusted.
type Key struct {
	ID          string
	Fingerprint string    // of its certificate: SHA-256, in hexadecimal; of an authority for SSH, of its key, as ssh-keygen has it
	PublicKey   string    // of an authority for SSH: "ssh-ed25519 AAAA…"
	From        time.Time // when it begins to sign
	End         time.Time // when it is not trusted any more; zero: no other is announced
	Signs       bool      // now
}

// Keys are those that are trusted now, those to come too, the oldest first.
func (a *Authority) Keys() []Key {
	signing := a.signing()
	var list []Key
	for _, k := range a.trusted() {
		key := Key{ID: k.ID, From: k.From, End: k.End, Signs: k == signing}
		if k.cert == nil {
			key.Fingerprint = gossh.FingerprintSHA256(k.ssh.PublicKey())
			key.PublicKey = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(k.ssh.PublicKey())))
		} else {
			sum := sha256.Sum256(k.Cert)
			key.Fingerprint = hex.EncodeToString(sum[:])
		}
		list = append(list, key)
	}
	return list
}

// Signs reports whether a certificate is of the key that signs now.
func (a *Authority) Signs(leaf *x509.Certificate) bool {
	by := a.signing().cert
	return by != nil && leaf.CheckSignatureFrom(by) == nil
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
