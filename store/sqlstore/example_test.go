package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// What was written is there when the file is opened again; the schema is made when it is missing.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		s, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "store.db"), sqlstore.Options{})
		if err != nil {
			log.Fatal(err)
		}
		_, err = s.Write(ctx, store.Create(store.Document{Kind: "note", Name: "first", Body: []byte(`{}`)}))
		fmt.Println(err)
		if err := s.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// <nil>
	// store: create: note "first": got version 1, want no document: read it again
}
