package web

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Signer signs assertions of who asks, as JSON Web Tokens by ES256. Its key changes every
// KeyTime; applications find the keys of the time before, of now and of the next at
// /.gateway/jwks.json. It is safe for concurrent use, also by several gateways on the same
// keys.
type Signer struct {
	// KeyOf returns the private key that is kept under a name, which generate makes when there is
	// none yet.
	KeyOf func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error)
	Now   func() time.Time // nil: time.Now

	mu   sync.Mutex
	keys map[int64]*signingKey
}

// Times of assertions.
const (
	// KeyTime is how long one key signs.
	KeyTime = 30 * 24 * time.Hour
	// AssertionTime is how long an assertion is valid.
	AssertionTime = time.Minute
)

type signingKey struct {
	*ecdsa.PrivateKey
	id string
}

func (s *Signer) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// key returns the key of a period.
func (s *Signer) key(period int64) (*signingKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[period]; k != nil {
		return k, nil
	}
	private, err := s.KeyOf(fmt.Sprintf("assertion_%d", period), func() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	if err != nil {
		return nil, err
	}
	k, ok := private.(*ecdsa.PrivateKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("the key that signs assertions is not one of ES256")
	}
	x, y, err := coordinates(k)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(x + "." + y))
	for old := range s.keys {
		if old < period-1 {
			delete(s.keys, old)
		}
	}
	if s.keys == nil {
		s.keys = make(map[int64]*signingKey)
	}
	s.keys[period] = &signingKey{k, hex.EncodeToString(sum[:8])}
	return s.keys[period], nil
}

func coordinates(k *ecdsa.PrivateKey) (x, y string, err error) {
	b, err := k.PublicKey.Bytes() // 4, and both coordinates
	if err != nil || len(b) != 65 {
		return "", "", errors.New("the key that signs assertions cannot be shown")
	}
	return raw64(b[1:33]), raw64(b[33:]), nil
}

func raw64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *Signer) period() int64 { return s.now().Unix() / int64(KeyTime/time.Second) }

// Keys returns the public keys as a JSON Web Key Set.
func (s *Signer) Keys() ([]byte, error) {
	type jwk struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		Alg string `json:"alg"`
		Use string `json:"use"`
		Kid string `json:"kid"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	now := s.period()
	for p := now - 1; p <= now+1; p++ {
		k, err := s.key(p)
		if err != nil {
			return nil, err
		}
		x, y, err := coordinates(k.PrivateKey)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk{"EC", "P-256", "ES256", "sig", k.id, x, y})
	}
	return json.Marshal(set)
}

// claims are those of an assertion.
type claims struct {
	Issuer     string   `json:"iss"` // the application's origin and "/.gateway"
	Audience   string   `json:"aud"` // the resource's name
	Subject    string   `json:"sub"`
	Name       string   `json:"name,omitempty"`
	Email      string   `json:"email,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Kind       string   `json:"kind"`
	OnBehalfOf string   `json:"on_behalf_of,omitempty"`
	Session    string   `json:"sid"`
	ID         string   `json:"jti"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf"`
	Expires    int64    `json:"exp"`
	// What was asked, so that the assertion of one request is not that of another.
	Method string `json:"htm"`
	Path   string `json:"htp"`
}

// sign returns an assertion for a request.
func (s *Signer) sign(x *exchange) (string, error) {
	k, err := s.key(s.period())
	if err != nil {
		return "", err
	}
	session := x.visit.Session()
	id, now := current(session).Identity, s.now()
	c := claims{
		Issuer: x.app.origin() + "/.gateway", Audience: x.app.resource.Name, Subject: id.Subject, Name: id.Name, Email: id.Claims["email"], Groups: id.Groups,
		Kind: id.Kind.String(), OnBehalfOf: id.OnBehalfOf, Session: session.ID, ID: fmt.Sprintf("%s/%d", session.ID, x.op.ID),
		IssuedAt: now.Unix(), NotBefore: now.Unix() - 5, Expires: now.Add(AssertionTime).Unix(), Method: x.r.Method, Path: x.path,
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := raw64([]byte(`{"alg":"ES256","typ":"JWT","kid":"`+k.id+`"}`)) + "." + raw64(body)
	sum := sha256.Sum256([]byte(text))
	r, sv, err := ecdsa.Sign(rand.Reader, k.PrivateKey, sum[:])
	if err != nil {
		return "", err
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	sv.FillBytes(sig[32:])
	return text + "." + raw64(sig[:]), nil
}

// current is a session as the newest revision shows it: who it is of may have other groups now.
func current(s *proxy.Session) *proxy.Session {
	if now := s.Gateway().Session(s.ID); now != nil {
		return now
	}
	return s
}
