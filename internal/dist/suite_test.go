package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// TestSuiteRelease builds this repository's commit twice, the second time with an empty cache, another environment and from
// a copy in another folder: for Linux, with packages. It takes long: "make test-heavy" runs it.
func TestSuiteRelease(t *testing.T) {
	if os.Getenv("SALLYPORT_SUITES") == "" {
		t.Skip("SALLYPORT_SUITES is not set")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		testserver.Missing(t, "dpkg-deb")
	}
	root := filepath.Join(t.TempDir(), "repository")
	git(t, "../..", "clone", "--quiet", ".", root)
	r := release{source: root, packaged: true, key: signingKey(t), targets: []target{{"linux", "amd64"}, {"linux", "arm64"}}}
	dir := r.make(t, "")
	first := files(t, dir)
	r.source = filepath.Join(t.TempDir(), "another", "place")
	git(t, root, "clone", "--quiet", root, r.source)
	modules, err := output(t.Context(), "", nil, "go", "env", "GOMODCACHE")
	require.NoError(t, err)
	for name, value := range map[string]string{
		"GOCACHE": t.TempDir(), "GOMODCACHE": modules, "HOME": t.TempDir(), "USER": "somebody", "TZ": "Asia/Kathmandu", "LANG": "C",
		"GOAMD64": "v3", "GOFLAGS": "-tags=another", "CGO_ENABLED": "1", "SALLYPORT_CONFIG": "/nowhere/sallyport.yaml",
	} {
		t.Setenv(name, value)
	}
	same(t, first, files(t, r.make(t, "")))

	base := filepath.Join(dir, "sallyport_"+strings.TrimPrefix(filepath.Base(dir), "v")+"_linux_amd64")
	checkDeb(t, base+".deb")
	checkRPM(t, base+".rpm")
	unpacked := untar(t, first[filepath.Base(base)+".tar.gz"])
	checkBOM(t, first[filepath.Base(base)+".cdx.json"], unpacked[filepath.Base(base)+"/sallyport"])
	for _, name := range []string{"man/man1/sallyport.1", "man/man1/sallyport-serve.1", "docs/deploy.md", "deploy/systemd/sallyport.service"} {
		require.NotEmpty(t, unpacked[filepath.Base(base)+"/"+name], name)
	}
	checkSums(t, first)
	checkSignature(t, dir, r.key)
}

func checkDeb(t *testing.T, deb string) {
	t.Helper()
	out, err := output(t.Context(), "", nil, "dpkg-deb", "--info", deb)
	require.NoError(t, err)
	for _, want := range []string{"Package: sallyport", "Architecture: amd64", "postinst", "prerm"} {
		require.Contains(t, out, want)
	}
	into := t.TempDir()
	_, err = output(t.Context(), "", nil, "dpkg-deb", "--extract", deb, into)
	require.NoError(t, err)
	for _, name := range []string{
		"usr/bin/sallyport", "usr/lib/systemd/system/sallyport.service", "usr/lib/sysusers.d/sallyport.conf", "usr/share/man/man1/sallyport.1.gz",
		"usr/share/bash-completion/completions/sallyport", "usr/share/zsh/vendor-completions/_sallyport", "usr/share/doc/sallyport/copyright", "usr/share/doc/sallyport/" + noticesFile,
	} {
		require.FileExists(t, filepath.Join(into, name))
	}
	out, err = output(t.Context(), "", nil, filepath.Join(into, "usr/bin/sallyport"), "version")
	require.NoError(t, err)
	require.Contains(t, out, "linux/amd64")
}

func checkRPM(t *testing.T, rpm string) {
	t.Helper()
	b, err := os.ReadFile(rpm)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(b, []byte{0xed, 0xab, 0xee, 0xdb}), "it is not a package of rpm")
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Log("rpm is not installed, so that its view of the package is not seen")
		return
	}
	out, err := output(context.Background(), "", nil, "rpm", "-qpl", rpm)
	require.NoError(t, err)
	require.Contains(t, out, "/usr/bin/sallyport")
	require.Contains(t, out, "/usr/share/zsh/site-functions/_sallyport")
}
