package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
)

func sessionsPlay(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions play")
	open := auditFlags(c, f)
	speed := f.Float64("speed", 1, "`times` faster; 0 does not wait, as when the output is no terminal")
	idle := f.Duration("idle", 2*time.Second, "the longest pause; 0 keeps them all")
	from := f.Duration("from", 0, "begin so long after the terminal was opened")
	find := f.String("find", "", "begin where this `text` is shown")
	op := f.Uint64("op", 0, "the `operation` whose terminal or output is shown; 0 is the first that has one")
	timeline := f.Bool("timeline", false, "list what was asked, as for databases, rather than show a terminal")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "sessions play needs a session; \"sallyport sessions ls\" lists them")
	}
	if *speed < 0 || *from < 0 || *idle < 0 {
		return fail(exitUsage, "speed, idle and from cannot be negative")
	}
	a, err := open()
	if err != nil {
		return err
	}
	r, err := a.Open(f.Arg(0))
	if err != nil {
		return notFound(err)
	}
	defer r.Close()
	shown, err := firstRecording(r, *op, func(e *audit.Event) bool { return e.Stream != "rows" && e.Stream != "copy" })
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
}

// firstRecording is the beginning of the first recording that fits, of operation
// op unless that is 0; nil when there is none. Recordings of terminals begin
// early: not the whole record is read where there is one.
func firstRecording(r *audit.Record, op uint64, fits func(e *audit.Event) bool) (*audit.Event, error) {
	for e, err := range r.From(time.Time{}, 0) {
		if err != nil {
			return nil, err
		}
		if e.Type == audit.RecordingStart && (op == 0 || e.Op == op) && fits(e) {
			return e, nil
		}
	}
	return nil, nil
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
	var begin time.Time
	started := map[uint64]*audit.Event{}
	for e, err := range r.From(time.Time{}, 0) {
		if err != nil {
			return err
		}
		at := e.When()
		if begin.IsZero() {
			begin = at
		}
		line := func(at time.Time, took, rows, masked, what string) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t  %s\n", offset(at.Sub(begin)), took, rows, masked, visible(what))
		}
		switch e.Type {
		case audit.SessionStart:
			line(at, "", "", "", fmt.Sprintf("%s at %s%s, from %s, at %s", e.User, e.Resource, prefixed("/", e.Database), e.Remote, e.Time))
		case audit.OperationStart:
			started[e.Op] = e
		case audit.OperationEnd:
			if s := started[e.Op]; s != nil {
				delete(started, e.Op)
				line(s.When(), took(e.Micros), count(e.Rows), masked(e.Masked), question(s)+failure(e))
			}
		case audit.OperationRefused:
			delete(started, e.Op)
			line(at, "refused", "", "", question(e)+": "+e.Reason+prefixed(", rule ", e.Rule))
		case audit.Degraded:
			line(at, "", "", "", fmt.Sprintf("the record could not be written for a while: %d events are missing", e.Lost))
		case audit.SessionEnd:
			line(at, "", "", "", "end"+prefixed(": ", e.Error))
		case audit.SessionRecovered:
			line(at, "", "", "", "the gateway stopped before the session ended")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(started)) {
		fmt.Fprintf(t, "%s\t\t\t\t  %s: did not end\n", offset(started[id].When().Sub(begin)), visible(question(started[id])))
	}
	return t.Flush()
}

func question(e *audit.Event) string {
	var parts []string
	for _, s := range []string{e.Name, e.Text, e.Target} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 || e.Kind != "statement" {
		parts = append([]string{e.Kind}, parts...)
	}
	return strings.Join(parts, " ")
}

func failure(e *audit.Event) string {
	return prefixed(": ", strings.TrimSpace(e.Code+" "+e.Error))
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func count(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func masked(types map[string]uint64) string {
	var n uint64
	for _, m := range types {
		n += m
	}
	return count(n)
}

func took(micros int64) string {
	return time.Duration(micros * int64(time.Microsecond)).Round(10 * time.Microsecond).String()
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
	shown, err := firstRecording(r, op, func(e *audit.Event) bool { return e.Stream == "terminal" })
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
	w := csv.NewWriter(c.out)
	var from *audit.Event
	var kept, all uint64
	for e, err := range r.From(time.Time{}, 0) {
		if err != nil {
			return err
		}
		rows := e.Stream == "rows" || e.Stream == "copy"
		switch {
		case !rows || op != 0 && e.Op != op || from != nil && e.Op != from.Op:
		case e.Type == audit.RecordingStart && from == nil:
			from = e
			w.Write(e.Columns)
		case e.Type == audit.RecordingStart: // another result of the same operation
			w.Write(e.Columns)
		case e.Type == audit.RecordingRows:
			kept += uint64(len(e.Values))
			for _, row := range e.Values {
				w.Write(cells(row))
			}
		case e.Type == audit.RecordingEnd:
			all += e.Rows
		}
	}
	if from == nil {
		return fail(exitNotFound, "session %s has no recording of rows", id)
	}
	if kept < all {
		fmt.Fprintf(c.err, "sallyport: %d of %d rows are recorded\n", kept, all)
	}
	w.Flush()
	return w.Error()
}

// cells are a row's values; NULL is empty, as COPY writes it.
func cells(row []*string) []string {
	out := make([]string, len(row))
	for i, v := range row {
		if v != nil {
			out[i] = *v
		}
	}
	return out
}

// exportOriginal writes what was sealed of one stream before masking, an age
// file.
func exportOriginal(c *cli, a *audit.Archive, id string, op uint64) error {
	r, err := a.Open(id)
	if err != nil {
		return notFound(err)
	}
	defer r.Close()
	var from *audit.Event
	for e, err := range r.From(time.Time{}, 0) {
		if err != nil {
			return err
		}
		if e.Type != audit.RecordingOriginal || op != 0 && e.Op != op {
			continue
		}
		if begins := bytes.HasPrefix(e.Base64, []byte("age-encryption.org/")); from == nil {
			from = e
		} else if begins && e.Op == from.Op && e.Stream == from.Stream {
			break // another result's, which is a file of its own
		}
		if e.Op == from.Op && e.Stream == from.Stream {
			if _, err := c.out.Write(e.Content()); err != nil {
				return err
			}
		}
	}
	if from == nil {
		return fail(exitNotFound, "session %s has no original", id)
	}
	return nil
}
