package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/audit"
)

// verify proves a bundle, or a whole log.
func verify(_ context.Context, c *cli, args []string) error {
	f := c.flags("verify")
	key := f.String("key", "", "`file` with the log's public key; empty is the one inside the log, which proves less")
	trusted := f.String("checkpoint", "", "`file` with a checkpoint that was kept elsewhere: the log must continue it")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "verify needs a bundle or an audit log's directory")
	}
	path := f.Arg(0)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitNotFound, "%v", err)
	}
	if err != nil {
		return err
	}
	if st.IsDir() {
		return verifyLog(c, path, *key, *trusted)
	}
	return verifyBundle(c, path, *key)
}

func verifyLog(c *cli, dir, key, trusted string) error {
	file := key
	if file == "" {
		file = filepath.Join(dir, "log", "key.pub")
	}
	public, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var old []byte
	if trusted != "" {
		if old, err = os.ReadFile(trusted); err != nil {
			return err
		}
	}
	r, err := audit.Verify(dir, string(bytes.TrimSpace(public)), old)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "proven: %d sealed records with %d events are whole, in order and as they were sealed\n", r.Sessions, r.Events)
	for _, p := range r.Problems {
		fmt.Fprintln(c.out, "NOT AS SEALED: "+p)
	}
	if n := len(r.Unproven); n > 0 {
		fmt.Fprintf(c.out, "not proven: %d records that are not sealed, being open or left by a stopped gateway\n", n)
	}
	if key == "" {
		fmt.Fprintln(c.out, "not proven: that the public key is this log's; give your own copy with -key")
	}
	if trusted == "" {
		fmt.Fprintln(c.out, "not proven: that the log was not set back to an earlier state; give a checkpoint kept elsewhere with -checkpoint")
	}
	if len(r.Problems) > 0 {
		return fail(exitError, "%d problems", len(r.Problems))
	}
	return nil
}

func verifyBundle(c *cli, path, key string) error {
	if key == "" {
		return fail(exitUsage, "a bundle is verified with the log's public key: -key FILE (log/key.pub in the audit log)")
	}
	public, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := audit.ReadBundle(f)
	if err != nil {
		return err
	}
	n, err := b.Verify(string(bytes.TrimSpace(public)))
	if err != nil {
		return fail(exitError, "NOT AS SEALED: %v", err)
	}
	fmt.Fprintf(c.out, "proven: session %s with %d events is whole, in order and as it was sealed\n", b.Session, n)
	fmt.Fprintln(c.out, "not proven: that the log it comes from lists every session that took place")
	return nil
}
