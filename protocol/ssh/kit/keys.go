package kit

import (
	"crypto/ed25519"
	"crypto/rand"
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
		signer, err := openKey(file)
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

// openKey reads a private key, or makes one.
func openKey(file string) (gossh.Signer, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return gossh.ParsePrivateKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
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
