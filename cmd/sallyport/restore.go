package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway/backup"
)

// restoreCommand proves a backup and puts it into an empty data directory.
func restoreCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore FILE", GroupID: operatorGroup, Short: "Prove a backup and put it into an empty data directory",
		Long:    "Nothing is put into its place before the backup was read to its end and proven. \"-\" as\nFILE is the standard input. See docs/backup.md.",
		Example: example("sallyport restore --identity key.txt --check gateway.age", "sallyport restore --identity key.txt --data-dir data gateway.age"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	identity := f.StringP("identity", "i", "", "`file` with the private key of age that opens the backup")
	passphrase := f.String("passphrase-file", "", "`file` with the passphrase that opens the backup; \"-\" is a line of the input")
	data := f.String("data-dir", "", "data `directory` to restore into: empty, or not there")
	config := f.String("config-dir", "", "`directory` to restore the config file and the files that it names into; empty leaves them out")
	key := f.String("key", "", "`file` with the audit log's public key, which the backup must be signed by; empty is the one in the backup, which proves less")
	check := f.Bool("check", false, "prove the backup as a restore does, in a temporary directory, and restore nothing")
	unproven := f.Bool("unproven", false, "restore also an audit log that is not as it was sealed")
	cmd.RunE = does(func(ctx context.Context, args []string) (err error) {
		switch {
		case len(args) == 0:
			return fail(exitUsage, "restore: name the backup's file, or \"-\" for the standard input")
		case *check == (*data != ""):
			return fail(exitUsage, "restore: give --data-dir DIR to restore into, or --check")
		case *passphrase == "-" && args[0] == "-":
			return fail(exitUsage, "restore: the backup and the passphrase cannot both come from the input")
		}
		keys, err := identities(c, *identity, *passphrase)
		if err != nil {
			return err
		}
		public := ""
		if *key != "" {
			if public, err = readPublicKey(*key); err != nil {
				return err
			}
		}
		from := c.in
		if args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			from = file
		}
		do, what := backup.Restore, "was restored into "+*data
		if *check {
			do, what = backup.Check, "is whole"
		}
		p, err := do(ctx, from, backup.Target{Data: *data, Config: *config, Keys: keys, Public: public, Unproven: *unproven, Version: buildVersion()})
		if err != nil {
			return err
		}
		printBackup(c.out, args[0], &p.Summary, what)
		printProvenLog(c, p)
		if !*check {
			printNext(c, p, *config)
		}
		return nil
	})
	return cmd
}

// identities are what opens a backup.
func identities(c *cli, file, passphraseFile string) ([]age.Identity, error) {
	if (file != "") == (passphraseFile != "") {
		return nil, fail(exitUsage, "restore: say what opens it: --identity FILE with a private key of age, or --passphrase-file FILE")
	}
	if passphraseFile != "" {
		text, err := c.prompter().secret(passphraseFile, "")
		if err != nil {
			return nil, unnamed("restore: --passphrase-file", err)
		}
		if text == "" {
			return nil, fail(exitUsage, "restore: the passphrase is empty")
		}
		id, err := age.NewScryptIdentity(text)
		if err != nil {
			return nil, err
		}
		id.SetMaxWorkFactor(maxWorkFactor)
		return []age.Identity{id}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, unnamed("restore: --identity", err)
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fail(exitUsage, "restore: --identity %s: %v: want a file as \"age-keygen\" writes one", file, err)
	}
	return ids, nil
}

func printBackup(w io.Writer, name string, s *backup.Summary, what string) {
	fmt.Fprintf(w, "%s %s: %s, %d bytes, of %s", visible(name), what, counted(s.Files, "file"), s.Bytes, s.Made.Format("2006-01-02 15:04:05 MST"))
	if s.Version != "" {
		fmt.Fprintf(w, ", by version %s", visible(s.Version))
	}
	fmt.Fprintln(w)
}

// printProvenLog says what is known of the audit log.
func printProvenLog(c *cli, p *backup.Proven) {
	switch {
	case p.Log == nil:
		fmt.Fprintln(c.err, "the records of ended sessions are not in the backup: put them back from a copy, each as ID.rec in the folder of its day, and run \"sallyport verify\"")
	case len(p.Log.Problems) > 0:
		fmt.Fprintf(c.err, "the audit log is not as it was sealed: %s; \"sallyport verify\" lists everything\n", visible(p.Log.Problems[0]))
	default:
		fmt.Fprintf(c.out, "proven: %s of the audit log, as they were sealed\n", counted(p.Log.Sessions, "session"))
	}
}

// printNext says what is left to do after a restore.
func printNext(c *cli, p *backup.Proven, config string) {
	if config != "" {
		fmt.Fprintf(c.out, "the configuration is in %s; its data_dir was %s: run \"sallyport check\" before the start\n", config, visible(p.DataDir))
	}
	for _, line := range p.Missing() {
		fmt.Fprintln(c.err, visible(line))
	}
	fmt.Fprintf(c.err, "what was revoked, erased or used up after %s counts again as it did then: look at it before you let users in\n", p.Made.Format("2006-01-02 15:04:05 MST"))
}
