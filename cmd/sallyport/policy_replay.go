package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
)

// replayed is what policy replay prints as JSON.
type replayed struct {
	Operations int       `json:"operations"`
	Skipped    int       `json:"skipped"`
	Denied     []changed `json:"newly_denied"`
	Held       []changed `json:"newly_held"`
	Allowed    []changed `json:"newly_allowed"`
	Totals     struct {
		Denied  int `json:"newly_denied"`
		Held    int `json:"newly_held"`
		Allowed int `json:"newly_allowed"`
	} `json:"totals"`
}

type changed struct {
	Session string `json:"session"`
	Time    string `json:"time"`
	User    string `json:"user"`
	Target  string `json:"target"`
	Text    string `json:"text"`
	Answer  string `json:"answer"`
}

func examples(c *gateway.Changes) []changed {
	list := []changed{}
	for _, x := range c.Examples {
		list = append(list, changed{x.Session, x.Time, x.User, x.Resource, x.Text, describe(x.Answer)})
	}
	return list
}

// policyReplayCommand judges what is on record by the config's rules, as they are now,
// and shows what would be answered otherwise.
func policyReplayCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay", Short: "Judge what is on record by the rules as they are now",
		Example: example("sallyport policy replay --config new.yaml --audit-dir data/audit --since 720h"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file := configFlag(f)
	dir := auditDirFlag(f)
	since := f.Duration("since", 30*24*time.Hour, "what happened within this `time`")
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
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
		if output.format != "text" {
			out := replayed{Operations: r.Operations, Skipped: r.Skipped, Denied: examples(&r.Denied), Held: examples(&r.Held), Allowed: examples(&r.Allowed)}
			out.Totals.Denied, out.Totals.Held, out.Totals.Allowed = r.Denied.Total, r.Held.Total, r.Allowed.Total
			if err := printObject(c.out, output, "PolicyReplay", out); err != nil {
				return err
			}
		} else {
			printReplayed(c, r)
		}
		if r.Changed() > 0 {
			return fail(exitError, "")
		}
		return nil
	})
	return cmd
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
