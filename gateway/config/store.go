package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// Store says where the gateway keeps its state: logins, tokens, authorities.
type Store struct {
	Position
	// URL is a PostgreSQL database, postgres://USER@HOST:PORT/DATABASE; empty: a file in
	// the data directory.
	URL string `yaml:"url"`
	// Password is a reference; empty: none is needed.
	Password string `yaml:"password"`
	// Schema is where PostgreSQL has the tables; empty is "sallyport".
	Schema string `yaml:"schema"`
	// Poll does without NOTIFY, which poolers of transactions do not pass on.
	Poll bool `yaml:"poll"`
	// Key is a reference to what seals private keys and refresh tokens; empty: a file in
	// the data directory. OldKeys are those that have sealed before.
	Key     string   `yaml:"key"`
	OldKeys []string `yaml:"old_keys"`
}

func (f *File) validateStore(d *decoder) {
	s := f.Store
	if s.URL != "" {
		if err := sqlstore.CheckPostgres(s.URL, sqlstore.Options{Schema: s.Schema}); err != nil {
			d.problem(s.Line, "password: env:STORE_PASSWORD, where one is needed", "%v", err)
		}
		if s.Key == "" {
			d.problem(s.Line, "key: env:STORE_KEY, with 64 hexadecimal digits", "a store that gateways share needs a key that they share")
		}
	} else if s.Password != "" || s.Schema != "" || s.Poll {
		d.problem(s.Line, "give the url, or remove them", "store: password, schema and poll are for a PostgreSQL database")
	}
	if s.Key == "" && len(s.OldKeys) > 0 {
		d.problem(s.Line, "give the current one as key", "store.old_keys without store.key")
	}
	for _, ref := range append([]string{s.Password, s.Key}, s.OldKeys...) {
		if ref == "" {
			continue
		}
		if err := f.checkReference(ref); err != nil {
			d.problem(s.Line, "", "store: %v", err)
		}
	}
}

// storeFile and storeKeyFile are where the state and its key are, unless the file says
// otherwise.
const (
	storeFile    = "store.db"
	storeKeyFile = "store.key"
)

// StoreFile is where the state is kept when Store has no URL.
func (f *File) StoreFile() string { return filepath.Join(f.Data(), storeFile) }

// StoreKeys fetches the keys that seal what the store keeps, the current one first. The one of
// the data directory is made when neither it nor the store there exists. from is who follows
// references; nil opens the file's sources for this alone.
func (f *File) StoreKeys(ctx context.Context, from *Secrets) ([]store.Key, error) {
	if f.Store.Key == "" {
		file := filepath.Join(f.Data(), storeKeyFile)
		read := store.ReadOrMakeKey
		if _, err := os.Stat(f.StoreFile()); err == nil && f.Store.URL == "" {
			read = store.ReadKey // another one would open nothing of it
		}
		k, err := read(file)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: it seals what is in %s: restore it from a backup", err, f.StoreFile())
		}
		return []store.Key{k}, err
	}
	var keys []store.Key
	for _, ref := range append([]string{f.Store.Key}, f.Store.OldKeys...) {
		text, err := f.Secret(ctx, from, ref)
		if err != nil {
			return nil, fmt.Errorf("store key: %w", err)
		}
		k, err := store.ParseKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
