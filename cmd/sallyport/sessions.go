package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

const sessionVerbs = "ls | search [TEXT…] | show ID | play ID | export ID | watch ID | kill ID | erase ID | hold ID | release ID | rekey | reindex"

// sessions has commands of its own.
func sessions(ctx context.Context, c *cli, args []string) error {
	verbs := map[string]func(context.Context, *cli, []string) error{
		"ls": sessionsList, "search": sessionsSearch, "show": sessionsShow, "export": sessionsExport, "play": sessionsPlay, "watch": sessionsWatch, "kill": sessionsKill,
		"erase": sessionsErase, "hold": sessionsHold, "release": sessionsRelease, "rekey": sessionsRekey, "reindex": sessionsReindex,
	}
	if len(args) > 0 && (args[0] == "-h" || args[0] == "help") {
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
	open := auditFlags(c, f)
	output := f.String("o", "text", "`format`: text or json, a line an event")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "sessions show needs a session; \"sallyport sessions ls\" lists them")
	}
	if *output != "text" && *output != "json" {
		return fail(exitUsage, "unknown format %q: want text or json", *output)
	}
	a, err := open()
	if err != nil {
		return err
	}
	if *output == "json" {
		for raw, err := range a.Raw(f.Arg(0)) {
			if err != nil {
				return notFound(err)
			}
			if _, err := fmt.Fprintf(c.out, "%s\n", raw); err != nil {
				return err
			}
		}
		return nil
	}
	for e, err := range a.Events(f.Arg(0)) {
		if err != nil {
			return notFound(err)
		}
		printEvent(c.out, e)
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

// printEvent writes an event as a line for people.
func printEvent(w io.Writer, e *audit.Event) {
	clock := e.Time
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		clock = t.Format("15:04:05.000")
	}
	fmt.Fprintf(w, "%s  %-17s", clock, e.Type)
	part := func(format, value string) {
		if value != "" {
			fmt.Fprintf(w, "  "+format, visible(value))
		}
	}
	number := func(format string, n uint64) {
		if n != 0 {
			fmt.Fprintf(w, "  "+format, n)
		}
	}
	number("#%d", e.Op)
	part("%s", e.User)
	part("at %s", e.Resource)
	part("as %s", e.Account)
	part("from %s", e.Remote)
	if !strings.HasPrefix(e.Type, "session.") {
		part("session %s", e.Session)
	}
	part("%s", e.Action)
	part("%s", e.Kind)
	part("%s", e.Name)
	part("%s", e.Text)
	part("→ %s", e.Target)
	part("[%s]", e.Withheld)
	for _, a := range e.Args {
		if a == nil {
			part("%s", "NULL")
		} else {
			part("'%s'", *a)
		}
	}
	part("(%s)", e.Effects)
	part("%s", e.Stream)
	number("%d wide", uint64(e.Width))
	number("%d high", uint64(e.Height))
	part("%s", strings.Join(e.Columns, ", "))
	part("%s", e.Data)
	number("+ %d bytes of no text", uint64(len(e.Base64)))
	number("%d rows of values", uint64(len(e.Values)))
	number("%d bytes", e.Bytes)
	part("sha256 %s", e.SHA256)
	if e.Cut {
		part("%s", "cut")
	}
	number("%d events missing", e.Lost)
	if e.Verdict != "" && e.Verdict != "pass" && e.Verdict != "allow" {
		part("%s", e.Verdict)
		part("by %s", e.By)
	}
	part("rule %s", e.Rule)
	part("%s", e.Reason)
	part("%s", e.Tag)
	part("%s", e.Code)
	part("%s", e.Error)
	number("%d rows", e.Rows)
	number("%d B", e.BytesOut)
	number("%d µs", uint64(e.Micros))
	for _, typ := range slices.Sorted(maps.Keys(e.Masked)) {
		part("masked %s", fmt.Sprintf("%s ×%d", typ, e.Masked[typ]))
	}
	fmt.Fprintln(w)
}

// visible shows control characters rather than sending them to a terminal.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20:
			return '␀' + r
		case r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\ufffd'
		}
		return r
	}, s)
}

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
