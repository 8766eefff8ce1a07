package tokens

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
)

// Prefixes of secrets: what finds secrets in repositories and logs finds these by
// PREFIX, 32 letters or digits, and a checksum of 8 hexadecimal digits.
const (
	Prefix        = "sp_"
	SessionPrefix = "sps_"
	AgentPrefix   = "spg_"
)

const (
	randomBytes = 20 // 32 letters
	randomChars = 32
	sumChars    = 8
	idChars     = 16
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// Pattern finds secrets in text.
func Pattern() *regexp.Regexp { return regexp.MustCompile(`\bsp[ags]?_[a-z2-7]{32}[0-9a-f]{8}\b`) }

func checksum(s string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(s))) }

// newSecret returns a new secret.
func newSecret(prefix string) string {
	b := make([]byte, randomBytes)
	rand.Read(b)
	s := prefix + strings.ToLower(letters.EncodeToString(b))
	return s + checksum(s)
}

// IsSecret reports whether a text has the form of a secret with that prefix. Its checksum
// tells a mistyped one, and saves a look-up.
func IsSecret(prefix, s string) bool {
	n := len(prefix) + randomChars
	return len(s) == n+sumChars && strings.HasPrefix(s, prefix) && s[n:] == checksum(s[:n])
}

// identify returns a secret's public identifier: it is made of the secret, so that no
// index leads from one to the other, and says nothing about it.
func identify(secret string) string {
	sum := sha256.Sum256([]byte("sallyport secret identifier " + secret))
	return strings.ToLower(letters.EncodeToString(sum[:]))[:idChars]
}

// hash is what is kept of a secret. Secrets are random, so one round is enough.
func hash(secret string) string {
	sum := sha256.Sum256([]byte("sallyport secret " + secret))
	return hex.EncodeToString(sum[:])
}
