package aws

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Keyring makes the keys that people sign with, and knows them again. Nothing is kept of a key: its session token is
// what proved the person, sealed, and its secret is derived from that token by a key that only gateways have. A person who sees a token, as in a
// presigned address, can neither sign with it nor read it. The zero value needs KeyOf; it must not be copied.
type Keyring struct {
	// KeyOf returns the private key that is kept under a name, for all gateways that share them.
	KeyOf func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error)

	mu     sync.Mutex
	seal   cipher.AEAD
	secret []byte
}

// Keys are what somebody signs with.
type Keys struct {
	ID      string
	Secret  proxy.Secret
	Token   string
	Expires time.Time
}

// issued is what a session token says.
type issued struct {
	resource string
	expires  time.Time
	kind     proofKind
	proof    []byte // a certificate, or an access token
}

// proofKind says what proved the person.
type proofKind byte

const (
	byCertificate proofKind = iota + 1
	byBearer
)

const (
	keyName   = "keys"
	idPrefix  = "SPGK"
	tokenForm = "SP1."
	// maxProof bounds what proves somebody.
	maxProof = 8 << 10
	maxName  = 255
)

var (
	errToken   = errors.New("the session token is missing, or is not one that this gateway gave out")
	errExpired = errors.New("the keys have expired")
	errKeyring = errors.New("the key that people's keys are made of cannot be read")
)

func (k *Keyring) open() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seal != nil {
		return nil
	}
	private, err := k.KeyOf(keyName, func() (crypto.PrivateKey, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	})
	if err != nil {
		return err
	}
	key, ok := private.(ed25519.PrivateKey)
	if !ok {
		return fmt.Errorf("the key of the gateway's keys for AWS: got %T, want one of Ed25519", private)
	}
	sealing, err := hkdf.Key(sha256.New, key.Seed(), nil, "sallyport aws session tokens", 32)
	if err != nil {
		return err
	}
	secret, err := hkdf.Key(sha256.New, key.Seed(), nil, "sallyport aws secret keys", 32)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	k.seal, k.secret = seal, secret
	return nil
}

// issue makes keys.
func (k *Keyring) issue(i *issued) (*Keys, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	if len(i.proof) > maxProof || len(i.resource) > maxName {
		return nil, fmt.Errorf("making keys: the proof has %d bytes, want up to %d; the resource's name has %d, want up to %d", len(i.proof), maxProof, len(i.resource), maxName)
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(i.expires.Unix()))
	plain = append(plain, byte(i.kind), byte(len(i.resource)))
	plain = append(append(plain, i.resource...), i.proof...)
	token := tokenForm + base64.RawURLEncoding.EncodeToString(k.seal.Seal(nil, nil, plain, nil))
	return &Keys{ID: keyID(token), Secret: proxy.NewSecret(k.secretOf(token)), Token: token, Expires: i.expires}, nil
}

// keyID is what a token's keys are called.
func keyID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return idPrefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10])
}

func (k *Keyring) secretOf(token string) string {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(token))
	return base64.StdEncoding.EncodeToString(h.Sum(nil)[:30])
}

// find returns what a token says that this gateway, or one that shares its keys, gave out, and the secret key that belongs to it.
func (k *Keyring) find(id, token string, now time.Time) (*issued, string, error) {
	if err := k.open(); err != nil {
		return nil, "", fmt.Errorf("%w: %w", errKeyring, err)
	}
	if len(token) < len(tokenForm) || token[:len(tokenForm)] != tokenForm || keyID(token) != id {
		return nil, "", errToken
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token[len(tokenForm):])
	if err != nil {
		return nil, "", errToken
	}
	plain, err := k.seal.Open(nil, nil, sealed, nil)
	if err != nil || len(plain) < 10 || len(plain) < 10+int(plain[9]) {
		return nil, "", errToken
	}
	n := 10 + int(plain[9])
	i := &issued{
		expires: time.Unix(int64(binary.BigEndian.Uint64(plain)), 0), kind: proofKind(plain[8]), resource: string(plain[10:n]), proof: plain[n:],
	}
	if !now.Before(i.expires) {
		return nil, "", errExpired
	}
	return i, k.secretOf(token), nil
}
