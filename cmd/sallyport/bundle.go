package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"regexp"

	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/audit"
)

// recorded is one session that can be read: of a log, or of a bundle that was proven.
type recorded struct {
	raw  func() iter.Seq2[[]byte, error]
	open func() (*audit.Record, error)
}

// identifier is the form of a session's identifier. Everything else names a file.
var identifier = regexp.MustCompile("^[0-9a-z]{26}$")

// sessionFlags adds the flags that say where a session is, and returns what finds the one
// that an argument names: by its identifier in the log, by a path in a bundle, which needs no
// log and no config file.
func sessionFlags(c *cli, f *pflag.FlagSet) func(name string) (*recorded, error) {
	open := auditFlags(c, f)
	key := f.String("key", "", "`file` with the log's public key, for a bundle; empty is the key in the bundle, which proves less")
	return func(name string) (*recorded, error) {
		if !identifier.MatchString(name) {
			return openBundle(c, name, *key)
		}
		if *key != "" {
			return nil, fail(exitUsage, "--key is for a bundle's file; \"sallyport verify --key FILE DIR\" proves a log")
		}
		a, err := open()
		if err != nil {
			return nil, err
		}
		return &recorded{
			func() iter.Seq2[[]byte, error] { return a.Raw(name) },
			func() (*audit.Record, error) { return a.Open(name) },
		}, nil
	}
}

// openBundle opens a bundle's session once it is proven. What is proven, and by which key, is
// told apart from the data.
func openBundle(c *cli, path, key string) (*recorded, error) {
	b, err := readBundle(path)
	if err != nil {
		return nil, err
	}
	public := b.Public
	switch {
	case key != "":
		if public, err = readPublicKey(key); err != nil {
			return nil, err
		}
	case public == "":
		return nil, fail(exitUsage, "the bundle does not hold the log's public key: give it with --key FILE (log/key.pub in the audit log)")
	}
	if err := proveBundle(c.err, b, public); err != nil {
		return nil, err
	}
	if key == "" {
		fmt.Fprintln(c.err, "not proven: that the public key in the bundle is the log's; give your own copy with --key")
	} else {
		fmt.Fprintln(c.err, "proven: by the public key in "+visible(key))
	}
	return &recorded{b.Raw, b.Open}, nil
}

func readBundle(path string) (*audit.Bundle, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitNotFound, "%q is neither a session's identifier nor a bundle's file: %v", path, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := audit.ReadBundle(f)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return b, nil
}

// proveBundle says on w that a bundle is as it was sealed, or returns why not.
func proveBundle(w io.Writer, b *audit.Bundle, public string) error {
	n, err := b.Verify(public)
	if err != nil {
		return fail(exitError, "NOT AS SEALED: %v", err)
	}
	fmt.Fprintf(w, "proven: session %s with %d events is whole, in order and as it was sealed\n", b.Session, n)
	return nil
}
