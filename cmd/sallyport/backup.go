package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/gateway/backup"
	"github.com/sallyport/sallyport/internal/newfile"
)

// backupCommand writes what a gateway needs to come back into one encrypted file.
func backupCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup FILE", GroupID: operatorGroup, Short: "Write the gateway's state, keys, configuration and records into one encrypted file",
		Long:    "Writes a backup while the gateway runs, as its user or root. \"-\" as FILE is the standard\noutput. A store on PostgreSQL is not in it: run pg_dump first. See docs/backup.md.",
		Example: example("sallyport backup --to age1… /backup/gateway.age", "sallyport backup --passphrase-file pass --without-records gateway.age"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	file := configFlag(f)
	var to []string
	f.StringArrayVar(&to, "to", nil, "public `KEY` of age, or a file of such keys, that can open the backup; can be given several times")
	passphrase := f.String("passphrase-file", "", "`file` with the passphrase that opens the backup, instead of keys; \"-\" is a line of the input")
	lean := f.Bool("without-records", false, "leave out the records of ended sessions, such as when a bucket has copies; their keys and proofs are in the backup")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "backup: name the file to write, or \"-\" for the standard output")
		}
		recipients, err := recipients(c, to, *passphrase)
		if err != nil {
			return err
		}
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		var s *backup.Summary
		err = writeNew(c, "backup", args[0], func(w io.Writer) (err error) {
			s, err = backup.Write(ctx, w, cfg, backup.Options{To: recipients, WithoutRecords: *lean, Version: buildVersion()})
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.err, "%s: %s, %d bytes, %s on record; of the configuration:\n", visible(args[0]), counted(s.Files, "file"), s.Bytes, counted(s.Sessions, "ended session"))
		for _, name := range s.Configuration {
			fmt.Fprintln(c.err, "  "+visible(name))
		}
		for _, line := range s.Missing() {
			fmt.Fprintln(c.err, visible(line))
		}
		return nil
	})
	return cmd
}

// minPassphrase is how long a passphrase is at least, in bytes.
const minPassphrase = 12

// Work factors of scrypt for passphrases, as powers of two: that of new backups, and the most that a restore does. Each one more takes twice the
// time and memory; a file by somebody else can ask for any.
const (
	workFactor    = 18 // a second and 256 MiB
	maxWorkFactor = 20
)

// recipients are those who can open a backup.
func recipients(c *cli, keys []string, passphraseFile string) (list []age.Recipient, err error) {
	if (len(keys) > 0) == (passphraseFile != "") {
		return nil, fail(exitUsage, "backup: say who can open it: --to KEY, as \"age-keygen\" prints one, or --passphrase-file FILE")
	}
	if passphraseFile != "" {
		text, err := c.prompter().secret(passphraseFile, "")
		if err != nil {
			return nil, unnamed("backup: --passphrase-file", err)
		}
		if len(text) < minPassphrase {
			return nil, fail(exitUsage, "backup: the passphrase: got %d characters, want %d or more", len(text), minPassphrase)
		}
		r, err := age.NewScryptRecipient(text)
		if err != nil {
			return nil, err
		}
		r.SetWorkFactor(workFactor)
		return []age.Recipient{r}, nil
	}
	for _, key := range keys {
		text := []byte(key)
		if !strings.HasPrefix(key, "age1") {
			if text, err = os.ReadFile(key); err != nil {
				return nil, unnamed("backup: --to", err)
			}
		}
		some, err := age.ParseRecipients(bytes.NewReader(text))
		if err != nil {
			return nil, fail(exitUsage, "backup: --to: %v: want public keys of age, which begin with \"age1\"", err)
		}
		list = append(list, some...)
	}
	return list, nil
}

// unnamed says why the file that a flag names cannot be read, without its name: somebody may have given what is in
// the file, which is a secret.
func unnamed(flag string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fail(exitUsage, "%s: the file that it names cannot be read: %v; if you gave the key or passphrase itself, others on this machine may have seen it: make another", flag, p.Err)
	}
	return err
}

// writeNew has a new file written whole or not at all, which only its owner may read. "-" is the standard output.
func writeNew(c *cli, what, name string, write func(w io.Writer) error) (err error) {
	if name == "-" {
		if f, ok := c.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return fail(exitUsage, "%s: the standard output is a terminal: name a file, or pipe it on", what)
		}
		return write(c.out)
	}
	if _, err := os.Lstat(name); err == nil {
		return fail(exitUsage, "%s: %s is there already: name a new file", what, name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".sallyport-new-")
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	folder, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if err := newfile.Put(folder, filepath.Base(f.Name()), filepath.Base(name)); err != nil {
		return err
	}
	return newfile.Sync(folder, ".")
}
