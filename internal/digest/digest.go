// Package digest hashes lists of texts.
package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Of returns the SHA-256, in hexadecimal digits, of parts with the length of each before it, as
// eight bytes in big-endian order: no two lists of parts have the same.
func Of(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
