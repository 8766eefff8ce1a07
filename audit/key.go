package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	recordSuffix = ".rec"
	keySuffix    = ".key"
)

// sessionKeys keeps one key a session, each sealed by the log's own. Removing a
// session's key makes its content unreadable, and leaves the proof whole.
type sessionKeys struct{ master []byte }

// openKeys reads the log's key from file, or makes one there.
func openKeys(file string) (*sessionKeys, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		rand.Read(key)
		return &sessionKeys{key}, os.WriteFile(file, key, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%s is no key of 32 bytes", file)
	}
	return &sessionKeys{key}, nil
}

func (k *sessionKeys) store(file, id string, key []byte) error {
	aead, err := newAEAD(k.master)
	if err != nil {
		return err
	}
	n := make([]byte, aead.NonceSize())
	rand.Read(n)
	return os.WriteFile(file, aead.Seal(n, n, key, []byte(id)), 0o600)
}

// ErrErased says that a session's key was removed.
var ErrErased = errors.New("the session's content was erased")

func (k *sessionKeys) load(file, id string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrErased
	}
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(k.master)
	if err != nil {
		return nil, err
	}
	if len(b) < aead.NonceSize() {
		return nil, fmt.Errorf("%s is no session's key", file)
	}
	key, err := aead.Open(nil, b[:aead.NonceSize()], b[aead.NonceSize():], []byte(id))
	if err != nil {
		return nil, fmt.Errorf("%s does not open with this log's key", file)
	}
	return key, nil
}
