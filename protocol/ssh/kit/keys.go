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

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
)

// authorities are two, so that what one signs is worth nothing for what the other is for.
type authorities struct{ hosts, resources protocol.Authority }

// openAuthorities reads the authorities' keys, or makes them.
func (k *Kit) openAuthorities(keys protocol.Keys) (*authorities, error) {
	a := &authorities{}
	for name, authority := range map[string]*protocol.Authority{"hosts": &a.hosts, "resources": &a.resources} {
		first := func() (crypto.PrivateKey, error) { return keys(name+"_ca", newEd25519) }
		var err error
		if k.config.Authorities != nil {
			*authority, err = k.config.Authorities(name, first)
		} else {
			*authority, err = fixed(first)
		}
		if err == nil {
			_, err = gossh.NewSignerFromSigner((*authority).Signer())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return a, nil
}

// signing are the keys that sign now. One that SSH does not know signs nothing.
func (a *authorities) signing() *ssh.Authority {
	signer := func(a protocol.Authority) gossh.Signer {
		s, err := gossh.NewSignerFromSigner(a.Signer())
		if err != nil {
			return nil
		}
		return s
	}
	return &ssh.Authority{Hosts: signer(a.hosts), Resources: signer(a.resources)}
}

// lines are the public keys of an authority, as files of SSH have them.
func lines(a protocol.Authority) ([]string, error) {
	var list []string
	for _, key := range a.PublicKeys() {
		public, err := gossh.NewPublicKey(key)
		if err != nil {
			return nil, err
		}
		list = append(list, string(gossh.MarshalAuthorizedKey(public)))
	}
	return list, nil
}

// oneKey is an authority whose key stays.
type oneKey struct{ key crypto.Signer }

func fixed(key func() (crypto.PrivateKey, error)) (protocol.Authority, error) {
	private, err := key()
	if err != nil {
		return nil, err
	}
	if p, ok := private.(*ed25519.PrivateKey); ok { // as a file of OpenSSH is read
		private = *p
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is not a key that signs")
	}
	return oneKey{signer}, nil
}

func (k oneKey) Signer() crypto.Signer          { return k.key }
func (k oneKey) PublicKeys() []crypto.PublicKey { return []crypto.PublicKey{k.key.Public()} }

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
