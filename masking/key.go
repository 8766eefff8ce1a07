package masking

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/sallyport/sallyport/detect"
)

const leastKey = 16 // bytes

// keys are what a masker's key is for: one key a purpose, so that what one
// transform shows tells nothing about another's.
type keys struct {
	// id names the key in pseudonyms and tokens: 4 hex digits that say nothing
	// about it.
	id string
	// lasting says that the key was given, so that it outlives the process.
	lasting bool
	hash    sync.Pool // of *keyedHash
	format  cipher.Block
	tokens  tokenKeys
}

func newKeys(key []byte) (*keys, error) {
	k := &keys{lasting: key != nil}
	if key == nil {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("a key: %w", err)
		}
	}
	if len(key) < leastKey {
		return nil, errors.New("the key has fewer than 16 bytes")
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, key, nil, "sallyport masking "+purpose, 32)
	}
	var made [5][]byte
	for i, purpose := range []string{"id", "hash", "format", "token mac", "token text"} {
		var err error
		if made[i], err = derive(purpose); err != nil {
			return nil, fmt.Errorf("a key for %s: %w", purpose, err)
		}
	}
	k.id = hex.EncodeToString(made[0][:2])
	k.hash.New = func() any { return &keyedHash{mac: hmac.New(sha256.New, made[1])} }
	var err error
	if k.format, err = aes.NewCipher(made[2]); err != nil {
		return nil, err
	}
	k.tokens.mac = made[3]
	if k.tokens.block, err = aes.NewCipher(made[4]); err != nil {
		return nil, err
	}
	return k, nil
}

// keyedHash is HMAC-SHA-256 with its buffers.
type keyedHash struct {
	mac   hash.Hash
	in    []byte
	sum   []byte
	count byte // of further blocks
}

// of fills sum with the hash of a value of type t. Signs between letters and
// digits do not count, nor does case, so that one card number has one hash.
func (h *keyedHash) of(v []byte, t detect.Type) {
	h.in = append(append(h.in[:0], t...), 0)
	for _, c := range v {
		if isAlnum(c) || c >= 0x80 || t == detect.Email && (c == '@' || c == '.') {
			h.in = append(h.in, c|lowerBit(c))
		}
	}
	h.count = 0
	h.next()
}

// next replaces sum by further bytes of the same value.
func (h *keyedHash) next() {
	h.mac.Reset()
	h.mac.Write(h.in)
	if h.count > 0 {
		h.mac.Write([]byte{0, h.count})
	}
	h.count++
	h.sum = h.mac.Sum(h.sum[:0])
}

// hashed calls use with the keyed hash of v.
func (k *keys) hashed(v []byte, t detect.Type, use func(h *keyedHash)) {
	h := k.hash.Get().(*keyedHash)
	h.of(v, t)
	use(h)
	k.hash.Put(h)
}
