package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/audit"
)

// Commands that find sessions.

// listing is how found sessions are shown.
type listing struct {
	newest bool // a table without a limit has the newest only
	query  audit.Query
	since  *time.Duration
	until  *time.Duration
	output *output
}

// flags adds what both commands have.
func (l *listing) flags(f *pflag.FlagSet) {
	f.StringVarP(&l.query.User, "user", "u", "", "only this `user`'s")
	f.StringVarP(&l.query.Resource, "resource", "r", "", "only at this `resource`")
	l.since = f.Duration("since", 0, "only those that began within this `time`")
	l.until = f.Duration("until", 0, "only those that began at least this `time` ago")
	l.output = listFlags(f)
}

// complete completes the query when the flags were read.
func (l *listing) complete() {
	now := time.Now()
	if *l.since > 0 {
		l.query.Since = now.Add(-*l.since)
	}
	if *l.until > 0 {
		l.query.Until = now.Add(-*l.until)
	}
}

func sessionsListCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List sessions, the newest last",
		Example: example("sallyport sessions ls --user alice --since 24h", "sallyport sessions ls --live"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	var l listing
	l.flags(f)
	text := f.String("text", "", "only those in which this `text` was asked for or shown, in either case")
	socket, profile := socketFlag(f), profileFlag(f)
	f.IntVar(&l.query.Limit, "limit", 0, "at most this `number`, the newest; 0 is all, or 100 in a table")
	live := f.Bool("live", false, "only those that are open, as the running gateway knows them")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		l.complete()
		p, err := byProfile(cmd.Flag("config").Value.String(), *profile)
		if err != nil && *socket == "" {
			return err
		}
		if *live || p != nil { // the log is the gateway's; the API shows what is open
			gateway, err := openControl(c, cmd.Flag("config").Value.String(), *socket, *profile)
			if err != nil {
				return err
			}
			return listLive(ctx, c, gateway, l.query.User, l.query.Resource, l.output)
		}
		l.query.Texts, l.newest = []string{*text}, true
		return l.show(ctx, c, open)
	})
	return cmd
}

func sessionsSearchCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "search [TEXT...]", Short: "Find sessions by what was touched, said, masked or refused",
		Example: example("sallyport sessions search --table customers --effect delete --since 720h"),
		Args:    cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	var l listing
	l.flags(f)
	q := &l.query
	f.StringVarP(&q.Group, "group", "g", "", "only those of a member of this `group`")
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
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		l.complete()
		q.Texts = args
		return l.show(ctx, c, open)
	})
	return cmd
}

// newestInTable is how many sessions are listed when nobody says how many.
const newestInTable = 100

func (l *listing) show(ctx context.Context, c *cli, open func() (*audit.Archive, error)) error {
	a, err := open()
	if err != nil {
		return err
	}
	first := l.query.Limit == 0 && l.newest && (l.output.format == "table" || l.output.format == "wide")
	if first {
		l.query.Limit = newestInTable
	}
	tell, end := c.progress("indexing sessions")
	r, err := a.Search(ctx, l.query, tell)
	end()
	if err != nil {
		return err
	}
	if first && len(r.Sessions) == newestInTable {
		fmt.Fprintf(c.err, "these are the newest %d; --limit N shows more, --output json all\n", newestInTable)
	}
	if r.Damaged > 0 {
		fmt.Fprintf(c.err, "sallyport: %d damaged segments of the index were ignored; they were made again from the records, or the records were read\n", r.Damaged)
	}
	if err := printSessions(c.out, l.output, r.Sessions); err != nil {
		return err
	}
	return unread(c, r)
}

// printSessions prints recorded sessions: as a table in 80 columns, where names are not
// long.
func printSessions(w io.Writer, o *output, sessions []*audit.Summary) error {
	return printList(
		w, o, "Session", sessions,
		column[*audit.Summary]{"SESSION", false, func(s *audit.Summary) string { return s.ID }},
		column[*audit.Summary]{"START", false, func(s *audit.Summary) string {
			if at := s.Began(); !at.IsZero() {
				return at.UTC().Format("2006-01-02 15:04")
			}
			return s.Start
		}},
		column[*audit.Summary]{"USER", false, func(s *audit.Summary) string { return s.User }},
		column[*audit.Summary]{"RESOURCE", false, func(s *audit.Summary) string {
			if s.Database != "" {
				return s.Resource + "/" + s.Database
			}
			return s.Resource
		}},
		column[*audit.Summary]{"ACCOUNT", true, func(s *audit.Summary) string { return s.Account }},
		column[*audit.Summary]{"PROTOCOL", true, func(s *audit.Summary) string { return s.Protocol }},
		column[*audit.Summary]{"FROM", true, func(s *audit.Summary) string { return s.Remote }},
		column[*audit.Summary]{"ASKED", false, func(s *audit.Summary) string {
			if s.Refused > 0 {
				return fmt.Sprintf("%d, %d refused", s.Operations, s.Refused)
			}
			return fmt.Sprint(s.Operations)
		}},
		column[*audit.Summary]{"LASTED", false, lasted},
	)
}

// lasted says how long a session was open, and how it ended.
func lasted(s *audit.Summary) string {
	took := time.Duration(s.Seconds * float64(time.Second)).Round(100 * time.Millisecond)
	switch {
	case s.End == "ended":
		return took.String()
	case took > 0:
		return took.String() + ", " + s.End
	}
	return s.End
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

func sessionsReindexCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "reindex", Short: "Make the index of the records again",
		Example: example("sallyport sessions reindex"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		a, err := open()
		if err != nil {
			return err
		}
		n := 0
		tell, end := c.progress("indexing sessions")
		err = a.Reindex(ctx, func(done, all int) {
			if n = done; tell != nil {
				tell(done, all)
			}
		})
		end()
		fmt.Fprintf(c.out, "%d sealed records are indexed\n", n)
		return err
	})
	return cmd
}
