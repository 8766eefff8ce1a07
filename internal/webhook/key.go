// Package webhook signs messages as Standard Webhooks has it, and posts to endpoints that others choose.
package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// Key signs messages. Its zero value is not a key; [ParseKey] makes one.
type Key struct {
	secret  []byte
	private ed25519.PrivateKey
}

// Prefixes of keys, of Standard Webhooks.
const (
	prefixSecret  = "whsec_"
	prefixPrivate = "whsk_"
	prefixPublic  = "whpk_"
)

// ParseKey reads a shared secret of 24 to 64 bytes, "whsec_" and base64, for
// HMAC-SHA256 (v1), or an Ed25519 private key, "whsk_" and base64 of its seed or
// of seed and public key (v1a). The error does not show text.
func ParseKey(text string) (Key, error) {
	if rest, ok := strings.CutPrefix(text, prefixSecret); ok {
		b, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || len(b) < 24 || len(b) > 64 {
			return Key{}, errors.New("webhook: a secret is whsec_ and base64 of 24 to 64 bytes")
		}
		return Key{secret: b}, nil
	}
	if rest, ok := strings.CutPrefix(text, prefixPrivate); ok {
		b, err := base64.StdEncoding.DecodeString(rest)
		switch {
		case err == nil && len(b) == ed25519.SeedSize:
			return Key{private: ed25519.NewKeyFromSeed(b)}, nil
		case err == nil && len(b) == ed25519.PrivateKeySize:
			key := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
			if key.Equal(ed25519.PrivateKey(b)) {
				return Key{private: key}, nil
			}
		}
		return Key{}, errors.New("webhook: a private key is whsk_ and base64 of an Ed25519 key")
	}
	return Key{}, errors.New("webhook: a key begins with whsec_ or whsk_")
}

// Public returns what receivers verify with, "whpk_" and base64; empty for a
// shared secret.
func (k Key) Public() string {
	if k.private == nil {
		return ""
	}
	return prefixPublic + base64.StdEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
}

// String shows nothing of a key.
func (k Key) String() string { return "[key]" }

// GoString shows nothing of a key.
func (k Key) GoString() string { return "[key]" }

// Sign returns the signature header: one signature a key.
func Sign(keys []Key, id, seconds string, body []byte) string {
	content := make([]byte, 0, len(id)+len(seconds)+len(body)+2)
	content = append(append(content, id...), '.')
	content = append(append(content, seconds...), '.')
	content = append(content, body...)
	var list []string
	for _, k := range keys {
		if k.private != nil {
			list = append(list, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content)))
			continue
		}
		mac := hmac.New(sha256.New, k.secret)
		mac.Write(content)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " ")
}
