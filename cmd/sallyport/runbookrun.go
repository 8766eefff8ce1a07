package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/runbook"
)

// Commands that run runbooks, and that ask for what they run by.

// pairsOf reads words of the form NAME=VALUE.
func pairsOf(verb, flag string, list []string) (map[string]string, error) {
	out := make(map[string]string)
	for _, word := range list {
		name, value, ok := strings.Cut(word, "=")
		if _, twice := out[name]; !ok || name == "" || twice {
			return nil, fail(exitUsage, "runbooks %s --%s: got %q, want NAME=VALUE, each name once", verb, flag, word)
		}
		out[name] = value
	}
	return out, nil
}

func runbooksRunCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run SOURCE/NAME", Short: "Run a runbook, once you have seen what it does",
		Long:    "It shows the plan, and asks before it runs anything that may change something. With --dry-run what only reads is run, and databases are asked what they would do otherwise.",
		Example: example("sallyport runbooks run main/refund-order --param order_id=4711", "sallyport runbooks run main/refund-order --param order_id=4711 --dry-run", "sallyport runbooks run main/restart --target host=vm1 --plan 5f2c…"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	open, wanted := controlFlags(c, f), runFlags(f)
	dry := f.Bool("dry-run", false, "change nothing, and show what would happen")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		q, err := wanted(args, "run")
		if err != nil {
			return err
		}
		q.Dry = *dry
		api, err := open()
		if err != nil {
			return err
		}
		return runRunbook(ctx, c, api, q)
	})
	return cmd
}

func runbooksGrantCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "grant SOURCE/NAME", Short: "Ask for an approval of further runs, within bounds",
		Long: "Those who approve runs of the runbook approve a number of them, of the same commit, at the same targets, for a time. Parameters have the values that are given, or any within --within. Nothing runs now. " +
			"\"sallyport requests ls\" lists what was approved, and \"sallyport requests cancel\" or \"revoke\" takes it back.",
		Example: example("sallyport runbooks grant main/restart --param service=web --runs 20 --for 24h"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	open, wanted := controlFlags(c, f), runFlags(f)
	within := f.StringArray("within", nil, "a `NAME=BOUND`: * for any value, 1..100 for a range, a,b for these values; for each parameter that may differ")
	runs := f.Int64("runs", 1, "how many runs, a `number`")
	length := f.Duration("for", time.Hour, "for how long, a `time` from the approval on")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		q, err := wanted(args, "grant")
		if err != nil {
			return err
		}
		q.Standing = &control.StandingRequest{Runs: *runs, Seconds: int64(*length / time.Second)}
		if q.Standing.Within, err = pairsOf("grant", "within", *within); err != nil {
			return err
		}
		api, err := open()
		if err != nil {
			return err
		}
		return runRunbook(ctx, c, api, q)
	})
	return cmd
}

// runFlags adds the flags that say what is to run, and returns what reads them.
func runFlags(f *pflag.FlagSet) func(args []string, verb string) (control.RunRequest, error) {
	params := f.StringArray("param", nil, "a `NAME=VALUE`; for each parameter")
	files := f.StringArray("param-file", nil, "a `NAME=FILE` whose text is the value; for each parameter")
	targets := f.StringArray("target", nil, "a `GROUP=RESOURCE`, several by commas; for each group of targets")
	plan := f.String("plan", "", "run only this plan, by its `digest`, without asking")
	return func(args []string, verb string) (q control.RunRequest, err error) {
		if q.Source, q.Name, err = namedRunbook(args, verb); err != nil {
			return q, err
		}
		q.Plan, q.Params, q.Targets = *plan, make(map[string]json.RawMessage), make(map[string][]string)
		given, err := pairsOf(verb, "param", *params)
		if err != nil {
			return q, err
		}
		fromFiles, err := pairsOf(verb, "param-file", *files)
		if err != nil {
			return q, err
		}
		for name, file := range fromFiles {
			if _, twice := given[name]; twice {
				return q, fail(exitUsage, "runbooks %s: got %s by --param and by --param-file, want it once", verb, name)
			}
			text, err := os.ReadFile(file) // #nosec G304: the user names it
			if err != nil {
				return q, fail(exitUsage, "runbooks %s: %v", verb, err)
			}
			given[name] = string(text)
		}
		for name, v := range given {
			if q.Params[name], err = json.Marshal(v); err != nil {
				return q, err
			}
		}
		chosen, err := pairsOf(verb, "target", *targets)
		if err != nil {
			return q, err
		}
		for group, list := range chosen {
			q.Targets[group] = strings.Split(list, ",")
		}
		return q, nil
	}
}

// runRunbook shows the plan, asks, and follows the run to its end.
func runRunbook(ctx context.Context, c *cli, api *client.Client, q control.RunRequest) error {
	p, err := api.PlanRun(ctx, q)
	if err != nil {
		return answered(err)
	}
	fmt.Fprintln(c.err, terminal.VisibleLines(p.Text))
	for _, a := range p.Answers {
		if a.Verdict != "allow" {
			fmt.Fprintf(c.err, "%s on %s: %s: %s\n", visible(a.Step), visible(a.On), visible(a.Verdict), visible(a.Reason))
		}
	}
	if (p.Writes || q.Standing != nil) && !q.Dry && q.Plan == "" {
		if f, ok := c.in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return fail(exitUsage, "runbooks: nobody can be asked here: look at the plan, and give it by --plan %s", p.Plan.Digest)
		}
		question := "Type yes to run this: "
		if q.Standing != nil {
			question = "Type yes to ask for this: "
		}
		if err := confirm(c, question); err != nil {
			return err
		}
		q.Plan = p.Plan.Digest
	}
	r, err := api.StartRun(ctx, q)
	if err != nil {
		return answered(err)
	}
	fmt.Fprintf(c.err, "run %s\n", r.ID)
	for said := ""; !r.State.Over(); {
		if r.Message != said {
			said = r.Message
			fmt.Fprintln(c.err, visible(said))
		}
		select {
		case <-ctx.Done():
			return fail(exitError, "the run %s goes on: \"sallyport runbooks status %s\" shows it, and \"sallyport runbooks cancel %s\" ends it", r.ID, r.ID, r.ID)
		case <-time.After(200 * time.Millisecond):
		}
		if r, err = api.Run(ctx, r.ID); err != nil {
			return answered(err)
		}
	}
	return printRun(c.out, r)
}

// printRun prints a run. It fails when the run is over and not done.
func printRun(w io.Writer, r *runbook.Run) error {
	what := "run"
	switch {
	case r.Dry:
		what = "dry run"
	case r.Standing:
		what = "request for a standing grant"
	}
	fmt.Fprintf(w, "%s %s of %s: %s\n", what, r.ID, visible(r.Name), r.State)
	for _, s := range r.Steps {
		line := fmt.Sprintf("  %-20s %s", visible(s.ID), s.State)
		if s.On != "" {
			line += " on " + visible(s.On)
		}
		switch {
		case s.Kind == runbook.StepSQL && s.State == runbook.Done:
			line += fmt.Sprintf(", %d rows, %d changed", s.Rows, s.Affected)
		case (s.Kind == runbook.StepExec || s.Kind == runbook.StepHTTP) && s.State == runbook.Done:
			line += fmt.Sprintf(", status %d", s.Status)
		}
		fmt.Fprintln(w, line)
		for _, row := range s.Kept {
			fmt.Fprintln(w, "      "+visible(strings.Join(row, " | ")))
		}
		if s.Output != "" {
			fmt.Fprintln(w, "      "+strings.ReplaceAll(terminal.VisibleLines(strings.TrimRight(s.Output, "\n")), "\n", "\n      "))
		}
	}
	for _, g := range r.Grants {
		fmt.Fprintln(w, "  approved: request "+visible(g))
	}
	if r.Message != "" {
		fmt.Fprintln(w, visible(r.Message))
	}
	if r.State.Over() && r.State != runbook.Done {
		return fail(exitError, "the run %s is %s", r.ID, r.State)
	}
	return nil
}
