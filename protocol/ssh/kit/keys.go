package kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh"
)

// OpenAuthority reads the authority that is kept in dir, or makes one there: a key
// each for hosts, logins and resources, with its public half in a file of its own.
func OpenAuthority(dir string) (*ssh.Authority, error) {
	a := &ssh.Authority{}
	for name, key := range map[string]*gossh.Signer{"hosts_ca": &a.Hosts, "logins_ca": &a.Logins, "resources_ca": &a.Resources} {
		file := filepath.Join(dir, name)
		signer, err := openKey(file, newEd25519)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		*key = signer
		if _, err := os.Stat(file + ".pub"); errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(file+".pub", gossh.MarshalAuthorizedKey(signer.PublicKey()), 0o644); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// hostKeyFiles are the gateway's own host keys, one of a kind: clients that know no
// Ed25519 have others.
var hostKeyFiles = []struct {
	name string
	make func() (crypto.PrivateKey, error)
}{
	{"host_key", newEd25519},
	{"host_key_ecdsa", func() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"host_key_rsa", func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) }},
}

// openHostKeys reads the gateway's host keys that are kept in dir, or makes them there.
func openHostKeys(dir string) ([]gossh.Signer, error) {
	var keys []gossh.Signer
	for _, f := range hostKeyFiles {
		key, err := openKey(filepath.Join(dir, f.name), f.make)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newEd25519() (crypto.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// openKey reads a private key, or makes one.
func openKey(file string, generate func() (crypto.PrivateKey, error)) (gossh.Signer, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return gossh.ParsePrivateKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	private, err := generate()
	if err != nil {
		return nil, err
	}
	block, err := gossh.MarshalPrivateKey(private, "gateway")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return gossh.NewSignerFromKey(private)
}
