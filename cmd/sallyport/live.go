package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/replay"
	"github.com/sallyport/sallyport/control"
)

// Commands about sessions that are open now.

func sessionsKill(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions kill")
	open := controlFlags(c, f)
	reason := f.String("reason", "", "why, told to the `user`; needed")
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
	var s control.Session
	path := "/v1/sessions/" + url.PathEscape(f.Arg(0)) + "/kill"
	if err := gateway.call(ctx, http.MethodPost, path, control.KillRequest{Reason: *reason}, &s); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "ended the session of %s at %s\n", visible(s.User), visible(s.Resource))
	return nil
}

// listLive lists the open sessions.
func listLive(ctx context.Context, c *cli, gateway *controlClient, user, resource, output string) error {
	var all control.Sessions
	if err := gateway.call(ctx, http.MethodGet, "/v1/sessions", nil, &all); err != nil {
		return err
	}
	list := []control.Session{}
	for _, s := range all.Sessions {
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
	output := f.String("o", "text", "`format`: text or json, a line an event; terminal, what its terminal shows")
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
	r, err := gateway.open(ctx, http.MethodGet, "/v1/sessions/"+url.PathEscape(f.Arg(0))+"/watch", nil)
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewReader(r)
	var screen replay.Screen
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 || ctx.Err() != nil {
			return nil // it ended, or whoever watched has seen enough
		}
		if err != nil {
			return err
		}
		if *output == "json" {
			if _, err := c.out.Write(line); err != nil {
				return err
			}
			continue
		}
		e := &audit.Event{}
		if err := json.Unmarshal(line, e); err != nil {
			return err
		}
		switch {
		case *output == "text":
			printEvent(c.out, e)
		case e.Type == audit.RecordingOutput && e.Stream == "terminal":
			if _, err := c.out.Write(screen.Append(nil, e.Content())); err != nil {
				return err
			}
		}
	}
}
