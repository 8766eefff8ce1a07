package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
	"github.com/sallyport/sallyport/audit/timeline"
)

func sessionsPlayCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "play ID|FILE", Short: "Show a terminal as it looked, or what was asked",
		Example:           example("sallyport sessions play --speed 2 01KXY8N2V5G6W7C8D9E0F1A2B3", "sallyport sessions play --key key.pub bundle"),
		ValidArgsFunction: offers(c, recordedSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := sessionFlags(c, f)
	speed := f.Float64("speed", 1, "`times` faster; 0 does not wait, as when the output is not a terminal")
	idle := f.Duration("idle", 2*time.Second, "the longest pause; 0 keeps them all")
	from := f.Duration("from", 0, "begin this long after the terminal was opened")
	find := f.String("find", "", "begin where this `text` is shown")
	op := f.Uint64("op", 0, "the `operation` whose terminal or output is shown; 0 is the first that has one")
	timeline := f.Bool("timeline", false, "list what was asked, as for databases, rather than show a terminal")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "sessions play needs a session or a bundle's file; \"sallyport sessions ls\" lists the sessions")
		}
		if *speed < 0 || *from < 0 || *idle < 0 {
			return fail(exitUsage, "speed, idle and from cannot be negative")
		}
		s, err := open(args[0])
		if err != nil {
			return err
		}
		r, err := s.open()
		if err != nil {
			return notFound(err)
		}
		defer r.Close()
		shown, err := replay.First(r.From(time.Time{}, 0), *op, func(e *audit.Event) bool { return e.Stream != "rows" && e.Stream != "copy" })
		if err != nil {
			return err
		}
		if *timeline || shown == nil {
			if *op != 0 && !*timeline {
				return fail(exitNotFound, "operation %d has no recording to show", *op)
			}
			return printTimeline(c.out, r)
		}
		p := &replay.Player{Record: r, Op: shown.Op, Out: c.out, Speed: *speed, Idle: *idle, From: *from, Find: *find}
		err = playTerminal(ctx, c, p, shown)
		switch {
		case errors.Is(err, replay.ErrNotFound):
			return fail(exitNotFound, "%q is not shown after that", *find)
		case replay.IsQuit(err):
			return nil
		}
		return err
	})
	return cmd
}

// playTerminal plays with keys where there is somebody to press them.
func playTerminal(ctx context.Context, c *cli, p *replay.Player, shown *audit.Event) error {
	out, isFile := c.out.(*os.File)
	if !isFile || !term.IsTerminal(int(out.Fd())) {
		p.Speed = 0
		return p.Play(ctx)
	}
	if width, height, err := term.GetSize(int(out.Fd())); err == nil && (width < shown.Width || height < shown.Height) {
		fmt.Fprintf(c.err, "sallyport: this terminal is %d×%d, and that one was %d×%d\n", width, height, shown.Width, shown.Height)
	}
	in, isFile := c.in.(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) {
		defer io.WriteString(out, replay.Restore+"\r\n")
		return p.Play(ctx)
	}
	fmt.Fprintln(c.err, "space pauses, + and - change the speed, ← and → move by 10 s, n finds the next match, q ends")
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() {
		io.WriteString(out, replay.Restore+"\r\n")
		term.Restore(int(in.Fd()), state)
	}()
	keys := make(chan replay.Key, 16)
	go readKeys(in, keys) // ends with the program: a read of a terminal cannot be ended
	p.Keys = keys
	return p.Play(ctx)
}

// readKeys turns what is typed into keys.
func readKeys(in io.Reader, keys chan<- replay.Key) {
	b := make([]byte, 16)
	for {
		n, err := in.Read(b)
		if err != nil {
			return
		}
		if k := keyOf(string(b[:n])); k != 0 {
			keys <- k
		}
	}
}

func keyOf(typed string) replay.Key {
	switch typed {
	case " ":
		return replay.Pause
	case "+", "=":
		return replay.Faster
	case "-":
		return replay.Slower
	case "\x1b[C", "\x1bOC", "l":
		return replay.Forward
	case "\x1b[D", "\x1bOD", "h":
		return replay.Back
	case "n":
		return replay.NextMatch
	case "q", "\x03", "\x1b":
		return replay.Quit
	}
	return 0
}

// printTimeline lists what was asked in a session, when, how long it took and
// what came of it.
func printTimeline(w io.Writer, r *audit.Record) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "AT\tTOOK\tROWS\tMASKED\t  WHAT")
	for x, err := range timeline.Of(r.From(time.Time{}, 0)) {
		if err != nil {
			return err
		}
		var took, rows, masked string
		switch x.State {
		case timeline.Done:
			took, rows, masked = x.Took.Round(10*time.Microsecond).String(), count(x.Rows), count(x.MaskedValues())
		case timeline.Refused:
			took = "refused"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t  %s\n", offset(x.After), took, rows, masked, x)
	}
	return t.Flush()
}

func count(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func offset(d time.Duration) string {
	return fmt.Sprintf("%d:%02d:%06.3f", int(d.Hours()), int(d.Minutes())%60, d.Seconds()-60*float64(int(d.Minutes())))
}

func exportCast(c *cli, a *audit.Archive, id string, op uint64) error {
	r, err := a.Open(id)
	if err != nil {
		return notFound(err)
	}
	defer r.Close()
	shown, err := replay.First(r.From(time.Time{}, 0), op, func(e *audit.Event) bool { return e.Stream == "terminal" })
	if err != nil {
		return err
	}
	if shown == nil {
		return fail(exitNotFound, "session %s has no recording of a terminal", id)
	}
	title := ""
	for e, err := range r.From(time.Time{}, 0) {
		if err == nil {
			title = e.User + " at " + e.Resource
		}
		break
	}
	return replay.Cast(c.out, r.From(time.Time{}, 0), shown.Op, title)
}

func exportCSV(c *cli, a *audit.Archive, id string, op uint64) error {
	r, err := a.Open(id)
	if err != nil {
		return notFound(err)
	}
	defer r.Close()
	written, all, err := replay.CSV(c.out, r.From(time.Time{}, 0), op)
	if errors.Is(err, replay.ErrNotRecorded) {
		return fail(exitNotFound, "session %s has no recording of rows", id)
	}
	if err != nil {
		return err
	}
	if written < all {
		fmt.Fprintf(c.err, "sallyport: %d of %d rows are recorded\n", written, all)
	}
	return nil
}

// exportOriginal writes what was sealed of one stream before masking, an age
// file.
func exportOriginal(c *cli, a *audit.Archive, id string, op uint64) error {
	r, err := a.Open(id)
	if err != nil {
		return notFound(err)
	}
	defer r.Close()
	err = replay.Original(c.out, r.From(time.Time{}, 0), op)
	if errors.Is(err, replay.ErrNotRecorded) {
		return fail(exitNotFound, "session %s has no original", id)
	}
	return err
}
