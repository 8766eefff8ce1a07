package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRegoIsFollowed: a file counts as changed when something of its policy in Rego has changed that
// the policy is read from, in whatever way that was done.
func TestRegoIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	at := time.Now().Add(-time.Hour)
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path(name)), 0o700))
		require.NoError(t, os.WriteFile(path(name), []byte(text), 0o600))
		at = at.Add(time.Second) // as writing at different times has it
		require.NoError(t, os.Chtimes(path(name), at, at))
	}
	link := func(to, name string) {
		_ = os.Remove(path(name))
		require.NoError(t, os.Symlink(to, path(name)))
	}
	write("v1/access.rego", "package a")
	write("v2/access.rego", "package a")
	require.NoError(t, os.Chtimes(path("v2/access.rego"), at.Add(-time.Second), at.Add(-time.Second))) // alike in all but its folder
	link("v1", "current")
	write("mounted/..v1/access.rego", "package a")
	write("mounted/..v2/access.rego", "package b, longer")
	link("..v1", "mounted/..data")
	link("..data/access.rego", "mounted/access.rego")
	write("bundle.tar.gz", "a bundle")
	write("ops.pem", "a key")
	write("sallyport.yaml", good+"policy: {opa: {dirs: [current, mounted], bundles: [{file: bundle.tar.gz, keys: [{id: a, file: ops.pem, algorithm: ES256}]}]}}\n")
	for _, c := range []struct {
		name    string
		change  func()
		changed bool
	}{
		{"nothing", func() {}, false},
		{"a module", func() { write("v1/access.rego", "package b") }, true},
		{"a module that was added", func() { write("v1/more/more.rego", "package m") }, true},
		{"data", func() { write("v1/more/data.json", "{}") }, true},
		{"a module that is gone", func() { require.NoError(t, os.Remove(path("v1/more/more.rego"))) }, true},
		{"a text about it", func() { write("v1/README.md", "read me") }, false},
		{"an editor's file", func() { write("v1/.access.rego.swp", "…") }, false},
		{"a folder that a link leads to", func() { link("v2", "current") }, true},
		{"what a file's link leads to", func() { link("..v2", "mounted/..data") }, true},
		{"a bundle", func() { write("bundle.tar.gz", "a longer bundle") }, true},
		{"a key", func() { write("ops.pem", "another key") }, true},
		{"a folder that is gone", func() { require.NoError(t, os.Remove(path("current"))) }, true},
		{"the config file", func() { write("sallyport.yaml", good) }, true},
	} {
		f, err := Load(path("sallyport.yaml"), options())
		require.NoError(t, err, c.name)
		_, before, err := f.Changed()
		require.NoError(t, err)
		c.change()
		changed, stamp, err := f.Changed()
		require.NoError(t, err)
		require.Equal(t, c.changed, changed, c.name)
		require.Equal(t, c.changed, stamp != before, c.name)
	}
	f, err := Parse("x.yaml", []byte(strings.Replace(good, "access:", "policy: {opa: {dirs: [rules]}}\naccess:", 1)), options())
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(f.regoSource(nil).Dirs[0], "rules"))
	require.False(t, f.SameRego(&File{}))
}
