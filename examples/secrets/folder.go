package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sallyport/sallyport/secrets"
)

// maxSecret bounds a secret's size, in bytes.
const maxSecret = 64 << 10

// folder is a [secrets.Provider] of sealed files. It is safe for concurrent use.
type folder struct {
	root *os.Root // so that no name leads out of it
	aead cipher.AEAD
}

// openFolder opens a folder of files that are sealed with the key in a file.
func openFolder(keyFile, dir string) (*folder, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("reading key %s: want 32 bytes in base64", keyFile)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	f := &folder{}
	if f.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f.root, err = os.OpenRoot(dir)
	return f, err
}

// seal keeps a secret under a name.
func (f *folder) seal(name string, secret []byte) error {
	if len(secret) > maxSecret {
		return fmt.Errorf("sealing %s: it is larger than %d bytes", name, maxSecret)
	}
	return f.root.WriteFile(name, f.aead.Seal(nil, nil, secret, []byte(name)), 0o600)
}

// Resolve returns the secret of that name. The file is read each time, so that a
// secret that was sealed anew is used from the next session on. Errors name the
// secret and hold nothing of it.
func (f *folder) Resolve(_ context.Context, ref secrets.Ref, _ secrets.Use) (*secrets.Value, error) {
	name := ref.Path
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sealed, err := io.ReadAll(io.LimitReader(file, maxSecret+int64(f.aead.Overhead())+1))
	if err != nil {
		return nil, err
	}
	secret, err := f.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("%s is not sealed with this key under this name", name)
	}
	return secrets.Text(string(secret)), nil
}
