package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
	"github.com/sallyport/sallyport/audit/text"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
)

// Commands about sessions that are open now.

func sessionsKillCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "kill ID", Short: "End an open session; its user is told why",
		Example:           example("sallyport sessions kill --reason \"left the company\" 01KXY8N2V5G6W7C8D9E0F1A2B3"),
		ValidArgsFunction: offers(c, openSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which the user is told; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "sessions kill --reason WHY ID; \"sallyport sessions ls --live\" lists the open ones")
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		s, err := gateway.Kill(ctx, args[0], *reason)
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "ended the session of %s at %s\n", visible(s.User), visible(s.Resource))
		return nil
	})
	return cmd
}

// listLive lists the open sessions.
func listLive(ctx context.Context, c *cli, gateway *client.Client, user, resource string, o *output) error {
	all, err := gateway.Sessions(ctx)
	if err != nil {
		return answered(err)
	}
	list := slices.DeleteFunc(all, func(s control.Session) bool {
		return user != "" && s.User != user || resource != "" && s.Resource != resource
	})
	return printList(
		c.out, o, "OpenSession", list,
		column[control.Session]{"SESSION", false, func(s control.Session) string { return s.ID }},
		column[control.Session]{"START", false, func(s control.Session) string { return s.Start.Format("2006-01-02T15:04:05") }},
		column[control.Session]{"USER", false, func(s control.Session) string { return s.User }},
		column[control.Session]{"FOR", true, func(s control.Session) string { return s.For }},
		column[control.Session]{"RESOURCE", false, func(s control.Session) string { return s.Resource }},
		column[control.Session]{"ACCOUNT", true, func(s control.Session) string { return s.Account }},
		column[control.Session]{"DATABASE", false, func(s control.Session) string { return s.Database }},
		column[control.Session]{"PROTOCOL", true, func(s control.Session) string { return s.Protocol }},
		column[control.Session]{"METHOD", true, func(s control.Session) string { return s.Method }},
		column[control.Session]{"FROM", false, func(s control.Session) string { return s.Remote }},
		column[control.Session]{"OPERATIONS", false, func(s control.Session) string { return fmt.Sprint(s.Operations) }},
		column[control.Session]{"WAITING", false, func(s control.Session) string { return fmt.Sprint(s.Waiting) }},
		column[control.Session]{"SECONDS", false, func(s control.Session) string { return fmt.Sprintf("%.0f", time.Since(s.Start).Seconds()) }},
	)
}

func sessionsWatchCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch ID", Short: "Show an open session's record as it is written",
		Example:           example("sallyport sessions watch --output terminal 01KXY8N2V5G6W7C8D9E0F1A2B3"),
		ValidArgsFunction: offers(c, openSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := outputFlag(f, "; json is an event per line, terminal what its terminal shows", "text", "json", "terminal")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "sessions watch needs a session; \"sallyport sessions ls --live\" lists the open ones")
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		var screen replay.Screen
		for event, err := range gateway.Watch(ctx, args[0]) {
			if ctx.Err() != nil {
				return nil // who watched has seen enough
			}
			if err != nil {
				return answered(err)
			}
			if err := writeWatched(c.out, event, output.format, &screen); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
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
