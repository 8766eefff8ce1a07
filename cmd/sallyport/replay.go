package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/gateway"
)

// replayed is what policy replay prints as JSON.
type replayed struct {
	Operations int       `json:"operations"`
	Skipped    int       `json:"skipped"`
	Denied     []example `json:"newly_denied"`
	Held       []example `json:"newly_held"`
	Allowed    []example `json:"newly_allowed"`
	Totals     struct {
		Denied  int `json:"newly_denied"`
		Held    int `json:"newly_held"`
		Allowed int `json:"newly_allowed"`
	} `json:"totals"`
}

type example struct {
	Session string `json:"session"`
	Time    string `json:"time"`
	User    string `json:"user"`
	Target  string `json:"target"`
	Text    string `json:"text"`
	Answer  string `json:"answer"`
}

func examples(c *gateway.Changes) []example {
	list := []example{}
	for _, x := range c.Examples {
		list = append(list, example{x.Session, x.Time, x.User, x.Resource, x.Text, describe(x.Answer)})
	}
	return list
}

// policyReplay judges what is on record by the config's rules, as they are now,
// and shows what would be answered otherwise.
func policyReplay(ctx context.Context, c *cli, args []string) error {
	f := c.flags("policy replay")
	file := configFlag(f)
	dir := f.String("d", "", "audit log's `directory`; empty is that of the config file")
	since := f.Duration("since", 30*24*time.Hour, "what happened within this `time`")
	output := f.String("o", "text", "`format`: text or json")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *output != "text" && *output != "json" {
		return fail(exitUsage, "unknown format %q: want text or json", *output)
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	a, err := openArchive(c, *file, *dir)
	if err != nil {
		return err
	}
	j, err := newJudge(c, cfg)
	if err != nil {
		return err
	}
	defer j.Close()
	r, err := j.Replay(ctx, a, time.Now().Add(-*since))
	if err != nil {
		return err
	}
	if *output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		out := replayed{Operations: r.Operations, Skipped: r.Skipped, Denied: examples(&r.Denied), Held: examples(&r.Held), Allowed: examples(&r.Allowed)}
		out.Totals.Denied, out.Totals.Held, out.Totals.Allowed = r.Denied.Total, r.Held.Total, r.Allowed.Total
		if err := enc.Encode(out); err != nil {
			return err
		}
	} else {
		printReplayed(c, r)
	}
	if r.Changed() > 0 {
		return fail(exitError, "")
	}
	return nil
}

func printReplayed(c *cli, r *gateway.Replayed) {
	fmt.Fprintf(c.out, "%d operations judged again, %d not: their resources are gone, or they were not recorded in full\n", r.Operations, r.Skipped)
	show := func(what string, changes *gateway.Changes) {
		fmt.Fprintf(c.out, "%d newly %s\n", changes.Total, what)
		for _, x := range examples(changes) {
			fmt.Fprintf(c.out, "  %s  %s at %s: %s\n    %s\n", x.Time, visible(x.User), visible(x.Target), visible(x.Text), x.Answer)
		}
	}
	show("denied", &r.Denied)
	show("held", &r.Held)
	show("allowed", &r.Allowed)
}
