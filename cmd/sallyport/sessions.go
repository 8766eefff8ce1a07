package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/text"
	"github.com/sallyport/sallyport/internal/terminal"
)

const sessionVerbs = "ls | search [TEXT…] | show ID|FILE | play ID|FILE | export ID | watch ID | kill ID | erase ID | hold ID | release ID | adopt | rekey | reindex"

// sessions has commands of its own.
func sessions(ctx context.Context, c *cli, args []string) error {
	verbs := map[string]func(context.Context, *cli, []string) error{
		"ls": sessionsList, "search": sessionsSearch, "show": sessionsShow, "export": sessionsExport, "play": sessionsPlay, "watch": sessionsWatch, "kill": sessionsKill,
		"erase": sessionsErase, "hold": sessionsHold, "release": sessionsRelease, "adopt": sessionsAdopt, "rekey": sessionsRekey, "reindex": sessionsReindex,
	}
	if len(args) > 0 && wantsHelp(args[0]) {
		fmt.Fprintln(c.err, "sallyport sessions "+sessionVerbs+"; each says more with -h")
		return flag.ErrHelp
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		return fail(exitUsage, "sessions %s", sessionVerbs)
	}
	return verbs[args[0]](ctx, c, args[1:])
}

// auditFlags adds -c and -d, and returns what opens the log that they name.
func auditFlags(c *cli, f *flag.FlagSet) func() (*audit.Archive, error) {
	file := configFlag(f)
	dir := f.String("d", "", "audit log's `directory`; empty is that of the config file")
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
		if keys, err = cfg.AuditKeys(context.Background()); err != nil {
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

func sessionsShow(_ context.Context, c *cli, args []string) error {
	f := c.flags("sessions show")
	open := sessionFlags(c, f)
	output := f.String("o", "text", "`format`: text, or json with one event per line")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "sessions show needs a session or a bundle's file; \"sallyport sessions ls\" lists the sessions")
	}
	if *output != "text" && *output != "json" {
		return fail(exitUsage, "unknown format %q: want text or json", *output)
	}
	s, err := open(f.Arg(0))
	if err != nil {
		return err
	}
	for raw, err := range s.raw() {
		if err != nil {
			return notFound(err)
		}
		line := string(raw)
		if *output == "text" {
			e := &audit.Event{}
			if err := json.Unmarshal(raw, e); err != nil {
				return fmt.Errorf("session %s: %w", f.Arg(0), err)
			}
			line = text.Line(e)
		}
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	return nil
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

func sessionsExport(_ context.Context, c *cli, args []string) error {
	f := c.flags("sessions export")
	open := auditFlags(c, f)
	format := f.String("format", "bundle", "`format`: bundle, with the proof; cast, a terminal as asciicast v3; csv, recorded rows; original, what was not masked, for age")
	op := f.Uint64("op", 0, "the `operation` whose terminal or rows; 0 is the first that has some")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "sessions export needs a session; \"sallyport sessions ls\" lists them")
	}
	a, err := open()
	if err != nil {
		return err
	}
	id := f.Arg(0)
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
}
