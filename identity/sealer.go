package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// Sealer hides what must not be readable where it is kept: in a stolen copy of the
// documents, or in a browser's cookie.
type Sealer interface {
	// Seal returns plain so that only Open with the same purpose reads it. The purpose
	// says what it is and whose, such as "login 7f3a": what was sealed for one is worth
	// nothing as another.
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

type sealer struct{ aead cipher.AEAD }

// ErrSealed says that something was not sealed by this key for this purpose.
var ErrSealed = errors.New("this was sealed by another key or for another purpose")

// NewSealer returns a Sealer that uses AES-256 in Galois/Counter mode with a key of 32
// bytes. A nil key is one that nobody knows and that ends with the process.
func NewSealer(key []byte) (Sealer, error) {
	if key == nil {
		key = make([]byte, 32)
		rand.Read(key)
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("a key that seals has 32 bytes, got %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return sealer{aead}, nil
}

// Seal implements [Sealer].
func (s sealer) Seal(plain []byte, purpose string) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(purpose)), nil
}

// Open implements [Sealer].
func (s sealer) Open(sealed []byte, purpose string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
