package mysql

import (
	"crypto/sha256"
	"sync"

	"github.com/sallyport/sallyport/internal/scram"
)

// fast remembers passwords that were proven, so that a client which connects again needs
// not send its own as it is: what the server keeps for caching_sha2_password. An entry is
// good as long as the user's verifier is the one that the password was checked against. It
// is safe for concurrent use.
type fast struct {
	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	verifier string
	second   [sha256.Size]byte
}

// maxRemembered bounds the users that are remembered.
const maxRemembered = 4096

// note remembers a password that has proven user, if it is the one of her verifier.
func (f *fast) note(user, verifier, password string) {
	v, err := scram.ParseVerifier(verifier)
	if err != nil || !v.Matches(password) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.known[user]; !known && len(f.known) >= maxRemembered {
		for other := range f.known {
			delete(f.known, other)
			break
		}
	}
	if f.known == nil {
		f.known = make(map[string]remembered)
	}
	f.known[user] = remembered{verifier, doubled(password)}
}

// proves reports whether proof proves the password that is remembered for user and
// verifier.
func (f *fast) proves(user, verifier string, nonce, proof []byte) bool {
	f.mu.Lock()
	r, known := f.known[user]
	f.mu.Unlock()
	return known && r.verifier == verifier && provesCaching(proof, nonce, r.second)
}
