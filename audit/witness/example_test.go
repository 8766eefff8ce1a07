package witness_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/witness"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// The heads of a log are also in a file on another disk: who changes the log afterwards cannot
// change what was said there.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	heads := filepath.Join(dir, "heads")
	log, err := audit.Open(filepath.Join(dir, "log"), audit.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := log.Witness(&witness.File{Path: heads, Called: "other-disk"}, audit.FollowConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{}, log)
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Ask(context.Background(), proxytest.Statement("SELECT 1", proxy.EffectRead))
	s.Close(nil)
	if err := log.Close(); err != nil {
		fmt.Println(err)
		return
	}
	told, err := os.ReadFile(heads)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("heads were told:", len(told) > 0)
	// Output:
	// heads were told: true
}
