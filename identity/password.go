package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// passwordHash is an argon2id hash of a password (RFC 9106). It costs memory, which a
// SCRAM verifier does not, so that a stolen one is expensive to guess; but it proves only
// passwords that are sent as they are.
type passwordHash struct {
	memory, passes uint32 // memory in KiB
	lanes          uint8
	salt, sum      []byte
}

// Costs of hashes: those of new ones, and bounds on others.
const (
	hashMemory, hashPasses, hashLanes = 19 << 10, 2, 1

	maxHashMemory, maxHashPasses, maxHashLanes = 256 << 10, 16, 16
)

// hashing bounds the memory that hashes take at a time.
var hashing = make(chan struct{}, 4)

// unmatched is a hash of the usual cost that no password fits.
var unmatched = &passwordHash{hashMemory, hashPasses, hashLanes, make([]byte, 16), make([]byte, 32)}

// Hash is NewHash for passwords that others send: it waits for its turn, so that hashes take
// no more memory than is meant for them.
func Hash(ctx context.Context, password string) (string, error) {
	select {
	case hashing <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-hashing }()
	return NewHash(password), nil
}

// NewHash returns the argon2id hash of password, in the form
// "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH".
func NewHash(password string) string {
	h := passwordHash{memory: hashMemory, passes: hashPasses, lanes: hashLanes, salt: make([]byte, 16)}
	rand.Read(h.salt)
	h.sum = argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, 32)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, b64(h.salt), b64(h.sum))
}

var errHash = errors.New("not an argon2id hash of a bounded cost: want $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH")

// parseHash reads what NewHash writes, and what others write in this form.
func parseHash(s string) (*passwordHash, error) {
	parts := strings.Split(s, "$")
	if len(s) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errHash
	}
	h := &passwordHash{}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); n != 3 || err != nil || parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.passes, h.lanes) {
		return nil, errHash
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case err1 != nil, err2 != nil, len(h.salt) < 8, len(h.sum) < 16,
		h.lanes == 0, h.lanes > maxHashLanes, h.passes == 0, h.passes > maxHashPasses, h.memory < 8*uint32(h.lanes), h.memory > maxHashMemory:
		return nil, errHash
	}
	return h, nil
}

// matches reports whether password is the one that h was made of. It waits for its turn.
func (h *passwordHash) matches(ctx context.Context, password string) (bool, error) {
	select {
	case hashing <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-hashing }()
	got := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(got, h.sum) == 1, nil
}
