package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"filippo.io/edwards25519"
)

// Names of the ways to prove a password.
const (
	pluginCaching = "caching_sha2_password"
	pluginSHA256  = "sha256_password"
	pluginNative  = "mysql_native_password"
	pluginClear   = "mysql_clear_password"
	pluginEd25519 = "client_ed25519"
)

func xor(dst, with []byte) []byte {
	subtle.XORBytes(dst, dst, with)
	return dst
}

// nativeProof is SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))).
func nativeProof(nonce []byte, password string) []byte {
	if password == "" {
		return nil
	}
	first := sha1.Sum([]byte(password))
	second := sha1.Sum(first[:])
	h := sha1.New()
	h.Write(nonce)
	h.Write(second[:])
	return xor(first[:], h.Sum(nil))
}

// cachingProof is SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce).
func cachingProof(nonce []byte, password string) []byte {
	if password == "" {
		return nil
	}
	first := sha256.Sum256([]byte(password))
	second := sha256.Sum256(first[:])
	return xor(first[:], cachingMask(nonce, second))
}

func cachingMask(nonce []byte, second [sha256.Size]byte) []byte {
	third := sha256.New()
	third.Write(second[:])
	third.Write(nonce)
	return third.Sum(nil)
}

// doubled is what a server keeps of a password to check cachingProofs of it.
func doubled(password string) [sha256.Size]byte {
	first := sha256.Sum256([]byte(password))
	return sha256.Sum256(first[:])
}

// provesCaching reports whether proof is a cachingProof of the password of which second is
// kept.
func provesCaching(proof, nonce []byte, second [sha256.Size]byte) bool {
	if len(proof) != sha256.Size {
		return false
	}
	first := xor(append([]byte(nil), proof...), cachingMask(nonce, second))
	hash := sha256.Sum256(first)
	return subtle.ConstantTimeCompare(hash[:], second[:]) == 1
}

// ed25519Proof is a signature of the nonce by the key that the password is the seed of.
func ed25519Proof(nonce []byte, password string) ([]byte, error) {
	h := sha512.Sum512([]byte(password))
	s, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		return nil, err
	}
	public := (&edwards25519.Point{}).ScalarBaseMult(s).Bytes()
	m := sha512.New()
	m.Write(h[32:])
	m.Write(nonce)
	r, err := edwards25519.NewScalar().SetUniformBytes(m.Sum(nil))
	if err != nil {
		return nil, err
	}
	point := (&edwards25519.Point{}).ScalarBaseMult(r).Bytes()
	m.Reset()
	m.Write(point)
	m.Write(public)
	m.Write(nonce)
	k, err := edwards25519.NewScalar().SetUniformBytes(m.Sum(nil))
	if err != nil {
		return nil, err
	}
	return append(point, k.MultiplyAdd(k, s, r).Bytes()...), nil
}

// sealedPassword is the password for the one who has the private key of the PEM in key.
func sealedPassword(nonce []byte, password string, key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the server's public key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the server's public key cannot be read")
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok || public.Size() < 256 {
		return nil, errors.New("the server's public key is not one of RSA with 2048 bits or more")
	}
	plain := append([]byte(password), 0)
	for i := range plain {
		plain[i] ^= nonce[i%len(nonce)]
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, plain, nil)
}
