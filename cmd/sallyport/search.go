package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/audit"
)

// Commands that find sessions.

// listing is how found sessions are shown.
type listing struct {
	newest bool // a table without a limit has the newest only
	query  audit.Query
	since  *time.Duration
	until  *time.Duration
	output *string
}

// flags adds what both commands have.
func (l *listing) flags(f *flag.FlagSet) {
	f.StringVar(&l.query.User, "u", "", "only this `user`'s")
	f.StringVar(&l.query.Resource, "r", "", "only at this `resource`")
	l.since = f.Duration("since", 0, "only those that began within this `time`")
	l.until = f.Duration("until", 0, "only those that began at least this `time` ago")
	l.output = f.String("o", "table", "`format`: table or json")
}

// checked completes the query when the flags were read.
func (l *listing) checked() error {
	if *l.output != "table" && *l.output != "json" {
		return fail(exitUsage, "unknown format %q: want table or json", *l.output)
	}
	now := time.Now()
	if *l.since > 0 {
		l.query.Since = now.Add(-*l.since)
	}
	if *l.until > 0 {
		l.query.Until = now.Add(-*l.until)
	}
	return nil
}

func sessionsList(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions ls")
	open := auditFlags(c, f)
	var l listing
	l.flags(f)
	text := f.String("text", "", "only those in which this `text` was asked for or shown, in either case")
	socket := socketFlag(f)
	f.IntVar(&l.query.Limit, "limit", 0, "at most this `number`, the newest; 0 is all, or 100 in a table")
	live := f.Bool("live", false, "only those that are open, as the running gateway knows them")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := l.checked(); err != nil {
		return err
	}
	if *live {
		gateway, err := openControl(c, f.Lookup("c").Value.String(), *socket)
		if err != nil {
			return err
		}
		return listLive(ctx, c, gateway, l.query.User, l.query.Resource, *l.output)
	}
	l.query.Texts, l.newest = []string{*text}, true
	return l.show(ctx, c, open)
}

func sessionsSearch(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions search")
	open := auditFlags(c, f)
	var l listing
	l.flags(f)
	q := &l.query
	f.StringVar(&q.Group, "g", "", "only those of a member of this `group`")
	f.StringVar(&q.Account, "account", "", "only those as this `account`")
	f.StringVar(&q.Database, "database", "", "only those in this `database`")
	f.StringVar(&q.Protocol, "protocol", "", "only those of this `protocol`: postgres, ssh …")
	f.StringVar(&q.Kind, "kind", "", "only those with an operation of this `kind`: statement, exec, shell, file …")
	f.StringVar(&q.Verdict, "verdict", "", "only those with this `verdict`: deny, hold, rewrite …")
	f.StringVar(&q.Rule, "rule", "", "only those in which this `rule` decided")
	f.StringVar(&q.Effect, "effect", "", "only those with a statement of this `effect`: read, write, delete, drop …")
	f.StringVar(&q.Relation, "table", "", "only those with a statement on this `table` or view, with its schema or without")
	f.StringVar(&q.Fingerprint, "fingerprint", "", "only those with the statement of this `fingerprint`, whatever its literals")
	f.StringVar(&q.Masked, "masked", "", "only those in which values of this `type` were masked")
	f.IntVar(&q.Limit, "limit", 100, "at most this `number`, the newest; 0 is all")
	if err := parse(f, args, math.MaxInt); err != nil {
		return err
	}
	if i := slices.IndexFunc(f.Args(), func(s string) bool { return strings.HasPrefix(s, "-") }); i >= 0 && !slices.Contains(args, "--") {
		return fail(exitUsage, "%q: flags come before the texts; write a text that begins with - after --", f.Arg(i))
	}
	if err := l.checked(); err != nil {
		return err
	}
	q.Texts = f.Args()
	return l.show(ctx, c, open)
}

// newestInTable is how many sessions are listed when nobody says how many.
const newestInTable = 100

func (l *listing) show(ctx context.Context, c *cli, open func() (*audit.Archive, error)) error {
	a, err := open()
	if err != nil {
		return err
	}
	first := l.query.Limit == 0 && *l.output == "table" && l.newest
	if first {
		l.query.Limit = newestInTable
	}
	r, err := a.Search(ctx, l.query, indexing(c))
	if err != nil {
		return err
	}
	if first && len(r.Sessions) == newestInTable {
		fmt.Fprintf(c.err, "these are the newest %d; -limit N shows more, -o json all\n", newestInTable)
	}
	if r.Damaged > 0 {
		fmt.Fprintf(c.err, "sallyport: %d damaged segments of the index were ignored; they were made again from the records, or the records were read\n", r.Damaged)
	}
	if *l.output == "json" {
		if r.Sessions == nil {
			r.Sessions = []*audit.Summary{}
		}
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r.Sessions); err != nil {
			return err
		}
		return unread(c, r)
	}
	if err := sessionTable(c.out, r.Sessions); err != nil {
		return err
	}
	return unread(c, r)
}

// sessionTable shows sessions in 80 columns, where names are not long.
func sessionTable(w io.Writer, sessions []*audit.Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tSTART\tUSER\tRESOURCE\tASKED\tLASTED")
	for _, s := range sessions {
		start := s.Start
		if at, err := time.Parse(time.RFC3339Nano, s.Start); err == nil {
			start = at.UTC().Format("2006-01-02 15:04")
		}
		resource := s.Resource
		if s.Database != "" {
			resource += "/" + s.Database
		}
		asked := fmt.Sprint(s.Operations)
		if s.Refused > 0 {
			asked += fmt.Sprintf(", %d refused", s.Refused)
		}
		lasted := s.End
		if took := time.Duration(s.Seconds * float64(time.Second)).Round(100 * time.Millisecond); s.End == "ended" {
			lasted = took.String()
		} else if took > 0 {
			lasted = took.String() + ", " + s.End
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, start, visible(s.User), visible(resource), asked, visible(lasted))
	}
	return t.Flush()
}

// unread says which records could not be read, and fails then: they may be what was
// looked for.
func unread(c *cli, r *audit.Result) error {
	for _, u := range r.Unread {
		fmt.Fprintf(c.err, "sallyport: session %s: %s\n", u.ID, visible(strings.TrimPrefix(u.Err.Error(), "session "+u.ID+": ")))
	}
	if n := len(r.Unread); n > 0 {
		return fail(exitError, "%s missing or cannot be read whole", plural(n, "record is", "records are"))
	}
	return nil
}

// indexing shows how far the index is, where somebody looks on.
func indexing(c *cli) func(done, all int) {
	if f, ok := c.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(done, all int) {
		fmt.Fprintf(c.err, "\rindexing: %d of %d sessions", done, all)
		if done >= all {
			fmt.Fprintln(c.err)
		}
	}
}

func sessionsReindex(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions reindex")
	open := auditFlags(c, f)
	if err := parse(f, args, 0); err != nil {
		return err
	}
	a, err := open()
	if err != nil {
		return err
	}
	n := 0
	show := indexing(c)
	err = a.Reindex(ctx, func(done, all int) {
		if n = done; show != nil {
			show(done, all)
		}
	})
	fmt.Fprintf(c.out, "%d sealed records are indexed\n", n)
	return err
}
