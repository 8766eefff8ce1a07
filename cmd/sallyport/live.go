package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
	"github.com/sallyport/sallyport/audit/text"
	"github.com/sallyport/sallyport/control"
)

// Commands about sessions that are open now.

func sessionsKill(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions kill")
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which the user is told; required")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 || *reason == "" {
		return fail(exitUsage, "sessions kill -reason WHY ID; \"sallyport sessions ls --live\" lists the open ones")
	}
	gateway, err := open()
	if err != nil {
		return err
	}
	s, err := gateway.Kill(ctx, f.Arg(0), *reason)
	if err != nil {
		return answered(err)
	}
	fmt.Fprintf(c.out, "ended the session of %s at %s\n", visible(s.User), visible(s.Resource))
	return nil
}

// listLive lists the open sessions.
func listLive(ctx context.Context, c *cli, gateway *control.Client, user, resource, output string) error {
	all, err := gateway.Sessions(ctx)
	if err != nil {
		return answered(err)
	}
	list := []control.Session{}
	for _, s := range all {
		if (user == "" || s.User == user) && (resource == "" || s.Resource == resource) {
			list = append(list, s)
		}
	}
	if output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tSTART\tUSER\tRESOURCE\tDATABASE\tFROM\tOPERATIONS\tWAITING\tSECONDS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%.0f\n", s.ID, s.Start.Format("2006-01-02T15:04:05"),
			visible(s.User), visible(s.Resource), visible(s.Database), s.Remote, s.Operations, s.Waiting, time.Since(s.Start).Seconds())
	}
	return t.Flush()
}

func sessionsWatch(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions watch")
	open := controlFlags(c, f)
	output := f.String("o", "text", "`format`: text, or json with one event per line; terminal, what its terminal shows")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "sessions watch needs a session; \"sallyport sessions ls --live\" lists the open ones")
	}
	if *output != "text" && *output != "json" && *output != "terminal" {
		return fail(exitUsage, "unknown format %q: want text, json or terminal", *output)
	}
	gateway, err := open()
	if err != nil {
		return err
	}
	var screen replay.Screen
	for event, err := range gateway.Watch(ctx, f.Arg(0)) {
		if ctx.Err() != nil {
			return nil // who watched has seen enough
		}
		if err != nil {
			return answered(err)
		}
		if err := writeWatched(c.out, event, *output, &screen); err != nil {
			return err
		}
	}
	return nil
}

// writeWatched writes one event that is watched as JSON, as text, or what it draws on
// a terminal.
func writeWatched(w io.Writer, event json.RawMessage, output string, screen *replay.Screen) error {
	if output == "json" {
		_, err := fmt.Fprintf(w, "%s\n", event)
		return err
	}
	e := &audit.Event{}
	if err := json.Unmarshal(event, e); err != nil {
		return err
	}
	var err error
	switch {
	case output == "text":
		_, err = fmt.Fprintln(w, text.Line(e))
	case e.Type == audit.RecordingOutput && e.Stream == "terminal":
		_, err = w.Write(screen.Append(nil, e.Content()))
	}
	return err
}
