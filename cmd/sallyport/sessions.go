package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/text"
	"github.com/sallyport/sallyport/internal/terminal"
)

func sessionsCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "sessions", GroupID: recordsGroup, Short: "Read the recorded sessions; watch and end the open ones",
			Example: example("sallyport sessions ls --live", "sallyport sessions search --table customers"),
		},
		sessionsListCommand(c), sessionsSearchCommand(c), sessionsShowCommand(c), sessionsPlayCommand(c), sessionsExportCommand(c),
		sessionsWatchCommand(c), sessionsKillCommand(c), sessionsUndoCommand(c),
		sessionsEraseCommand(c), sessionsHoldCommand(c), sessionsReleaseCommand(c),
		sessionsAdoptCommand(c), sessionsRekeyCommand(c), sessionsReindexCommand(c),
	)
}

// auditFlags adds --config and --audit-dir, and returns what opens the log that they name.
func auditFlags(c *cli, f *pflag.FlagSet) func() (*audit.Archive, error) {
	file := configFlag(f)
	dir := auditDirFlag(f)
	return func() (*audit.Archive, error) { return openArchive(c, *file, *dir) }
}

// openArchive opens the log in dir by the key in it, or the config file's where
// dir is empty.
func openArchive(c *cli, file, dir string) (*audit.Archive, error) {
	var keys audit.Keys
	if dir == "" {
		cfg, err := load(c, file)
		if err != nil {
			return nil, err
		}
		if keys, err = cfg.AuditKeys(context.Background(), nil); err != nil {
			return nil, err
		}
		dir = filepath.Join(cfg.Data(), "audit")
	}
	a, err := audit.OpenArchiveWith(dir, keys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitNotFound, "there is no audit log in %s", dir)
	}
	return a, err
}

func sessionsShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID|FILE", Short: "Print every event of a session",
		Example:           example("sallyport sessions show 01KXY8N2V5G6W7C8D9E0F1A2B3", "sallyport sessions show --key key.pub bundle"),
		ValidArgsFunction: offers(c, recordedSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := sessionFlags(c, f)
	output := outputFlag(f, "; json is an event per line, as recorded", "text", "json")
	cmd.RunE = does(func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "sessions show needs a session or a bundle's file; \"sallyport sessions ls\" lists the sessions")
		}
		s, err := open(args[0])
		if err != nil {
			return err
		}
		for raw, err := range s.raw() {
			if err != nil {
				return notFound(err)
			}
			line := string(raw)
			if output.format == "text" {
				e := &audit.Event{}
				if err := json.Unmarshal(raw, e); err != nil {
					return fmt.Errorf("session %s: %w", args[0], err)
				}
				line = text.Line(e)
			}
			if _, err := fmt.Fprintln(c.out, line); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// notFound gives a missing session its exit code.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitNotFound, "%v", err)
	}
	return err
}

// visible shows control characters rather than sending them to a terminal.
func visible(s string) string { return terminal.Visible(s) }

func sessionsExportCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "export ID", Short: "Write a session as a bundle with its proof, as a recording, as rows",
		Example:           example("sallyport sessions export 01KXY8N2V5G6W7C8D9E0F1A2B3 > bundle"),
		ValidArgsFunction: offers(c, recordedSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	format := f.String("format", "bundle", "`format`: bundle, with the proof; cast, a terminal as asciicast v3; csv, recorded rows; original, what was not masked, for age")
	op := f.Uint64("op", 0, "the `operation` whose terminal or rows; 0 is the first that has some")
	cmd.RunE = does(func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "sessions export needs a session; \"sallyport sessions ls\" lists them")
		}
		a, err := open()
		if err != nil {
			return err
		}
		id := args[0]
		switch *format {
		case "bundle":
			b, err := a.Export(id)
			if err != nil {
				return notFound(err)
			}
			if b.Key != nil {
				fmt.Fprintln(c.err, "sallyport: the bundle holds the session's key in clear: everybody who has the bundle can read the session, also after it is erased here")
			}
			return json.NewEncoder(c.out).Encode(b)
		case "cast":
			return exportCast(c, a, id, *op)
		case "csv":
			return exportCSV(c, a, id, *op)
		case "original":
			return exportOriginal(c, a, id, *op)
		}
		return fail(exitUsage, "unknown format %q: want bundle, cast, csv or original", *format)
	})
	return cmd
}
