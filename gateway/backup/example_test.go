package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/backup"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// A backup of a gateway is written for a key, and proven by it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "backup-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := ranIn(ctx, dir)

	key, err := age.GenerateX25519Identity()
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	written, err := backup.Write(ctx, &file, cfg, backup.Options{To: []age.Recipient{key.Recipient()}})
	if err != nil {
		log.Fatal(err)
	}
	proven, err := backup.Check(ctx, &file, backup.Target{Keys: []age.Identity{key}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(written.Files == proven.Files, len(proven.Log.Problems))
	// Output: true 0
}

// ranIn makes what a gateway leaves in a folder.
func ranIn(ctx context.Context, dir string) *config.File {
	name := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(name, []byte("data_dir: data\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	cfg, err := config.Load(name, config.Options{Secrets: secrets.Default()})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Mkdir(cfg.Data(), 0o700); err != nil {
		log.Fatal(err)
	}
	keys, err := cfg.StoreKeys(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	s, err := sqlstore.OpenSQLite(ctx, cfg.StoreFile(), sqlstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.OpenSealer(ctx, s, keys[0]); err != nil {
		log.Fatal(err)
	}
	l, err := audit.Open(filepath.Join(cfg.Data(), "audit"), audit.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, closing := range []func() error{s.Close, l.Close} {
		if err := closing(); err != nil {
			log.Fatal(err)
		}
	}
	return cfg
}
