package protocol

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyFiles keeps keys in files of a folder, which is made when there is the first one.
func KeyFiles(dir string) Keys {
	return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		if err == nil {
			block, _ := pem.Decode(b)
			if block == nil {
				return nil, fmt.Errorf("reading the key %s: it is not PEM", file)
			}
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		private, err := generate()
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		return private, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
}
