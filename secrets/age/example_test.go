package age_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/sallyport/sallyport/secrets"
	secretsage "github.com/sallyport/sallyport/secrets/age"
)

// A file in the repository has the password, and the machine of the gateway the key.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := encrypt(dir, `{"user": "app", "password": "correct horse"}`); err != nil {
		log.Fatal(err)
	}
	p, err := secretsage.New(secretsage.Config{Identity: secrets.FromFile(filepath.Join(dir, "key.txt")), Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	v, err := p.Resolve(context.Background(), secrets.Ref{Scheme: "age", Path: "db.age", Key: "password"}, secrets.Use{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Plain(), len(v.Plain().Reveal()))
	// Output: [secret] 13
}

// encrypt writes what age-keygen and age write.
func encrypt(dir, text string) error {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, key.Recipient())
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "db.age"), sealed.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.txt"), []byte(key.String()+"\n"), 0o600)
}
