package git_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/runbook/git"
)

// The runbooks of a folder. A source with a URL and a Mirror has those of a repository, at the
// commit that was fetched last.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	const text = `apiVersion: sallyport/v1
kind: Runbook
metadata: {name: count-orders}
targets: {db: {types: [postgres]}}
steps:
  - {id: count, sql: {text: SELECT count(*) FROM orders}}
`
	if err := os.WriteFile(filepath.Join(dir, "count.yaml"), []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	source, err := git.Open(git.Config{Name: "ops", URL: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := source.Fetch(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	snapshot, err := source.Latest()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, book := range snapshot.List() {
		fmt.Println(book.Path, book.Name, book.Err)
	}
	// Output:
	// count.yaml count-orders <nil>
}
