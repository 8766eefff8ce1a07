package scram

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// maxKeys bounds what Keys remembers.
const maxKeys = 1024

// Keys remembers the keys that were derived from passwords, the dearest part of an exchange,
// for clients that log in again: see RFC 5802, section 5. It holds no passwords, and nothing
// by which one could be found but what it would take to guess it. The zero value is ready.
// It is safe for concurrent use.
type Keys struct {
	once sync.Once
	own  [sha256.Size]byte // which nobody else knows

	mu    sync.Mutex
	known map[[sha256.Size]byte]keys
}

// keys are what a client and a server prove that they know.
type keys struct{ client, server []byte } // read-only

func derive(password string, salt []byte, iterations int) (keys, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return keys{}, err
	}
	return keys{mac(salted, "Client Key"), mac(salted, "Server Key")}, nil
}

// of is derive; k may be nil.
func (k *Keys) of(password string, salt []byte, iterations int) (keys, error) {
	if k == nil {
		return derive(password, salt, iterations)
	}
	k.once.Do(func() { rand.Read(k.own[:]) })
	message := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(salt)+len(password)), uint64(iterations))
	message = append(binary.BigEndian.AppendUint64(message, uint64(len(salt))), salt...)
	name := [sha256.Size]byte(mac(k.own[:], string(append(message, password...))))
	k.mu.Lock()
	found, ok := k.known[name]
	k.mu.Unlock()
	if ok {
		return found, nil
	}
	made, err := derive(password, salt, iterations)
	if err != nil {
		return keys{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[[sha256.Size]byte]keys)
	}
	for other := range k.known { // any one
		if len(k.known) < maxKeys {
			break
		}
		delete(k.known, other)
	}
	k.known[name] = made
	return made, nil
}
