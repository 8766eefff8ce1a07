package kit

import (
	"bytes"
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

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
)

// openAuthority reads the authority's keys, or makes them: one each for hosts and
// resources, whose public halves are in files of their own in dir.
func openAuthority(keys protocol.Keys, dir string) (*ssh.Authority, error) {
	a := &ssh.Authority{}
	for name, key := range map[string]*gossh.Signer{"hosts_ca": &a.Hosts, "resources_ca": &a.Resources} {
		signer, err := openKey(keys, name, newEd25519)
		if err != nil {
			return nil, err
		}
		*key = signer
		if err := publish(filepath.Join(dir, name+".pub"), gossh.MarshalAuthorizedKey(signer.PublicKey())); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// publish writes a file that everybody may read, unless it says that already.
func publish(file string, text []byte) error {
	if b, err := os.ReadFile(file); err == nil && bytes.Equal(b, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// hostKeys are the gateway's own, one of a kind: clients that know no Ed25519 have others.
var hostKeys = []struct {
	name string
	make func() (crypto.PrivateKey, error)
}{
	{"host_key", newEd25519},
	{"host_key_ecdsa", func() (crypto.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"host_key_rsa", func() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) }},
}

// openHostKeys reads the gateway's host keys, or makes them.
func openHostKeys(keys protocol.Keys) ([]gossh.Signer, error) {
	var list []gossh.Signer
	for _, k := range hostKeys {
		key, err := openKey(keys, k.name, k.make)
		if err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	return list, nil
}

func newEd25519() (crypto.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// openKey returns the key of that name as one that signs.
func openKey(keys protocol.Keys, name string, generate func() (crypto.PrivateKey, error)) (gossh.Signer, error) {
	private, err := keys(name, generate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return gossh.NewSignerFromKey(private)
}

// filesIn keeps keys in files of a folder.
func filesIn(dir string) protocol.Keys {
	return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		if err == nil {
			return gossh.ParseRawPrivateKey(b)
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
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		return private, os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
	}
}
