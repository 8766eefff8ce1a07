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

	"github.com/sallyport/sallyport/internal/newfile"
)

// KeyFiles keeps keys in files of a folder, which is made when there is the first one. A file is there whole or not at all, and of several
// programs that make one key at a time all get the same.
func KeyFiles(dir string) Keys {
	return func(name string, generate func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
		file := filepath.Join(dir, name)
		key, err := readKey(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
		private, err := generate()
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := writeKey(file, private); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return readKey(file)
	}
}

func readKey(file string) (crypto.PrivateKey, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("reading the key %s: it is not PEM", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", file, err)
	}
	return key, nil
}

// writeKey makes the file of a key; the error is fs.ErrExist where there is one.
func writeKey(file string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return newfile.Make(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
