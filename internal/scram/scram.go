// Package scram is the arithmetic and the messages of SCRAM-SHA-256 and
// SCRAM-SHA-256-PLUS, for both ends, as PostgreSQL uses them: RFC 5802, RFC 7677
// and, for the binding to TLS, RFC 5929 (tls-server-end-point).
//
// Nothing here touches a connection: messages go in and come out as bytes, so
// that every step can be tested and fuzzed by itself.
package scram

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Names of the mechanisms.
const (
	Mechanism     = "SCRAM-SHA-256"
	MechanismPlus = "SCRAM-SHA-256-PLUS"
)

// Bounds on what a peer may send.
const (
	DefaultIterations = 4096 // as PostgreSQL
	MinIterations     = 4096
	MaxIterations     = 1_000_000
	maxMessage        = 4096
	maxNonce          = 1024
	maxSalt           = 1024
)

// Errors of an exchange.
var (
	// ErrProof says that the peer does not know the password.
	ErrProof = errors.New("scram: proof does not match")
	// ErrMessage says that the peer sent something that is not the protocol.
	ErrMessage = errors.New("scram: invalid message")
	// ErrBinding says that the exchange is not bound to this connection.
	ErrBinding = errors.New("scram: channel binding does not match")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMessage, what) }

// Verifier is what a server keeps in the place of a password.
type Verifier struct {
	Iterations int
	Salt       []byte
	StoredKey  [sha256.Size]byte
	ServerKey  [sha256.Size]byte
}

// NewVerifier makes a verifier of password with a random salt.
func NewVerifier(password string) (Verifier, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	return Derive(password, salt, DefaultIterations)
}

// Derive makes the verifier of password with the given salt. Passwords are
// taken as their bytes: for ASCII that is what SASLprep gives, and PostgreSQL
// does the same where SASLprep fails.
func Derive(password string, salt []byte, iterations int) (Verifier, error) {
	k, err := derive(password, salt, iterations)
	if err != nil {
		return Verifier{}, err
	}
	v := Verifier{Iterations: iterations, Salt: salt, StoredKey: sha256.Sum256(k.client)}
	copy(v.ServerKey[:], k.server)
	return v, nil
}

// Mock makes a verifier that nobody's password fits, always the same for a name
// under a key, so that unknown users cannot be told from known ones.
func Mock(key []byte, user string) Verifier {
	v := Verifier{Iterations: DefaultIterations, Salt: mac(key, "salt "+user)[:16]}
	copy(v.StoredKey[:], mac(key, "stored "+user))
	copy(v.ServerKey[:], mac(key, "server "+user))
	return v
}

// String returns the verifier in PostgreSQL's form,
// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>".
func (v Verifier) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", Mechanism, v.Iterations, b64(v.Salt), b64(v.StoredKey[:]), b64(v.ServerKey[:]))
}

// ParseVerifier reads the form that String writes.
func ParseVerifier(s string) (Verifier, error) {
	bad := errors.New("scram: not a SCRAM-SHA-256 verifier")
	parts := strings.Split(s, "$")
	if len(parts) != 3 || parts[0] != Mechanism {
		return Verifier{}, bad
	}
	iter, salt, ok1 := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	var v Verifier
	var err error
	if v.Iterations, err = strconv.Atoi(iter); err != nil || !ok1 || !ok2 || v.Iterations < 1 || v.Iterations > MaxIterations {
		return Verifier{}, bad
	}
	if v.Salt, err = base64.StdEncoding.DecodeString(salt); err != nil || len(v.Salt) == 0 || len(v.Salt) > maxSalt {
		return Verifier{}, bad
	}
	for _, k := range []struct {
		dst *[sha256.Size]byte
		s   string
	}{{&v.StoredKey, stored}, {&v.ServerKey, server}} {
		b, err := base64.StdEncoding.DecodeString(k.s)
		if err != nil || len(b) != sha256.Size {
			return Verifier{}, bad
		}
		copy(k.dst[:], b)
	}
	return v, nil
}

// Matches reports whether password is the one that v was made of.
func (v Verifier) Matches(password string) bool {
	got, err := Derive(password, v.Salt, v.Iterations)
	return err == nil && subtle.ConstantTimeCompare(got.StoredKey[:], v.StoredKey[:]) == 1
}

// EndPoint returns the tls-server-end-point binding of a certificate: its hash
// by the hash of its signature, SHA-256 in the place of MD5 and SHA-1 (RFC 5929,
// section 4.1). It returns nil for signatures that name no hash.
func EndPoint(cert *x509.Certificate) []byte {
	var h hash.Hash
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = sha512.New384()
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = sha512.New()
	case x509.PureEd25519, x509.UnknownSignatureAlgorithm:
		return nil
	default:
		h = sha256.New()
	}
	h.Write(cert.Raw)
	return h.Sum(nil)
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// attributes splits "a=…,b=…" strictly: each attribute is one letter, in the
// given order. Extensions may follow the last one.
func attributes(message, names string) ([]string, error) {
	parts := strings.Split(message, ",")
	if len(parts) < len(names) {
		return nil, malformed("attributes are missing")
	}
	values := make([]string, len(names))
	for i := range names {
		v, ok := strings.CutPrefix(parts[i], names[i:i+1]+"=")
		if !ok {
			return nil, malformed("attribute " + names[i:i+1] + " is missing")
		}
		values[i] = v
	}
	return values, nil
}

func validNonce(s string) bool {
	if s == "" || len(s) > maxNonce {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return true
}

func newNonce() string {
	b := make([]byte, 18)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}
