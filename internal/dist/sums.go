package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sumsFile has the checksums of everything else, in the form that "sha256sum --check" reads.
const sumsFile = "SHA256SUMS"

// signedFor is the namespace of signatures by ssh-keygen, which says what a signature is about.
const signedFor = "file"

// sum writes the checksums of a folder's files into it.
func sum(dir string) error {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, e := range entries {
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(body), e.Name())
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(b.String()), 0o644)
}

// sign has ssh-keygen sign a file. It asks at the terminal for a passphrase or a touch of a security key, where
// the key wants one.
func (r *release) sign(ctx context.Context, path string) error {
	if r.key == "" {
		fmt.Fprintf(r.log, "not signed: %s names no key\n", keyVariable)
		return nil
	}
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-Y", "sign", "-n", signedFor, "-f", r.key, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, r.log, r.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ssh-keygen could not sign with the key %s: %w", r.key, err)
	}
	return nil
}
