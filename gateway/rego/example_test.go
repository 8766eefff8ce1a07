package rego_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
)

// An assembly reads config files that have policies in Rego, and runs their tests.
func Example() {
	c := gateway.Defaults()
	c.Rego = rego.Engine{}

	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	const text = `package sallyport

default decision := {"allow": false, "rule": "people", "reason": "only dba connects"}

decision := {"allow": true} if "dba" in input.identity.groups

test_dba if decision.allow with input as {"identity": {"groups": ["dba"]}}
`
	if err := os.WriteFile(filepath.Join(dir, "people.rego"), []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	results, err := c.Rego.Test(context.Background(), config.RegoSource{Rego: config.Rego{Dirs: []string{dir}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Name, r.Passed, r.Err)
	}
	// Output:
	// data.sallyport.test_dba true <nil>
}
