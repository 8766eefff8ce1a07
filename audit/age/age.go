// Package age seals what was not masked to a key of age (age-encryption.org), so
// that only its holder reads it.
package age

import (
	"errors"
	"io"

	"filippo.io/age"
)

// Recipient seals to one public key. It is for audit.Recording's Original.
type Recipient struct{ key *age.X25519Recipient }

// ParseRecipient reads a public key, "age1…".
func ParseRecipient(s string) (*Recipient, error) {
	key, err := age.ParseX25519Recipient(s)
	if err != nil {
		return nil, errors.New("not a public key of age") // what it is instead may be the private one
	}
	return &Recipient{key}, nil
}

// Seal returns what encrypts to the key and writes to w: an age file when it was
// closed.
func (r *Recipient) Seal(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, r.key) }
