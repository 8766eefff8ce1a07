package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func holds(t *testing.T, unpacked map[string][]byte, folder string, want ...string) {
	t.Helper()
	var names, wanted []string
	for n := range unpacked {
		names = append(names, n)
	}
	for _, w := range want {
		if strings.HasPrefix(w, "deploy/systemd/") && runtime.GOOS != "linux" {
			continue
		}
		wanted = append(wanted, folder+"/"+w)
	}
	require.ElementsMatch(t, wanted, names)
}

func untar(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	require.Zero(t, z.Header.ModTime)
	found := make(map[string][]byte)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		require.Zero(t, h.Uid+h.Gid, h.Name)
		mode := int64(0o644)
		if path.Base(h.Name) == "sallyport" {
			mode = 0o755
		}
		require.Equal(t, mode, h.Mode, h.Name)
		found[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func unzip(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	found := make(map[string][]byte)
	for _, f := range z.File {
		r, err := f.Open()
		require.NoError(t, err)
		found[f.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
	return found
}

// checkSums checks that every file but the sums and their signature is among the sums, with its own.
func checkSums(t *testing.T, release map[string][]byte) {
	t.Helper()
	var want strings.Builder
	for line := range strings.Lines(string(release[sumsFile])) {
		_, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(release[name]), name)
		require.NotNil(t, release[name], name)
	}
	require.Equal(t, want.String(), string(release[sumsFile]))
	require.Equal(t, len(release)-2, strings.Count(want.String(), "\n"))
}

// checkSignature verifies the signature as docs/release.md says it, and that one changed byte is noticed.
func checkSignature(t *testing.T, dir, key string) {
	t.Helper()
	public, err := os.ReadFile(key + ".pub")
	require.NoError(t, err)
	signers := filepath.Join(t.TempDir(), "allowed_signers")
	require.NoError(t, os.WriteFile(signers, []byte("release@sallyport "+string(public)), 0o600))
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	require.NoError(t, err)
	verify := func(text []byte) error {
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", signers, "-I", "release@sallyport", "-n", "file", "-s", filepath.Join(dir, sumsFile+".sig"))
		cmd.Stdin = bytes.NewReader(text)
		return cmd.Run()
	}
	require.NoError(t, verify(sums))
	sums[0] ^= 1
	require.Error(t, verify(sums))
}

// checkBOM compares the list of what a program is made of with what the program itself says.
func checkBOM(t *testing.T, text, program []byte) {
	t.Helper()
	var list bom
	require.NoError(t, json.Unmarshal(text, &list))
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(program)), list.Metadata.Component.Hashes[0].Content)
	info, err := buildinfo.Read(bytes.NewReader(program))
	require.NoError(t, err)
	require.Equal(t, info.Main.Version, list.Metadata.Component.Version)
	refs := map[string]bool{list.Metadata.Component.Ref: true}
	sums := make(map[string]string)
	for _, c := range list.Components {
		require.False(t, refs[c.Ref], "%s is listed twice", c.Ref)
		refs[c.Ref] = true
		if len(c.Properties) > 0 {
			sums[c.Name+"@"+c.Version] = c.Properties[0].Value
		}
	}
	require.Equal(t, len(info.Deps), len(sums))
	for _, m := range info.Deps {
		require.Equal(t, m.Sum, sums[m.Path+"@"+m.Version], m.Path)
		require.NotEmpty(t, m.Sum)
	}
	require.True(t, refs["pkg:golang/stdlib@"+strings.TrimPrefix(info.GoVersion, "go")])
	require.True(t, refs["pkg:golang/golang.org/x/mod@"+needed(t)])
	npm := 0
	for ref := range refs {
		if strings.HasPrefix(ref, "pkg:npm/") {
			npm++
		}
	}
	require.GreaterOrEqual(t, npm, 2)
	needed := make(map[string]bool)
	for _, d := range list.Dependencies {
		require.True(t, refs[d.Ref], d.Ref)
		for _, on := range d.DependsOn {
			require.True(t, refs[on], on)
			needed[on] = true
		}
	}
	for ref := range refs {
		require.True(t, needed[ref] || ref == list.Metadata.Component.Ref, "nothing needs %s", ref)
	}
}
