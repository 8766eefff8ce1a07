package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/review"
)

// requestCommand asks for access to a resource.
func requestCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "request [RESOURCE]", GroupID: everydayGroup, Short: "Ask for access to a resource, for a time",
		Long:              "The request goes to the approvers that an access rule names. Once it is approved you connect as to any other resource, until its time is over. With --break-glass, where a rule lets you, nobody approves: you have it at once, all that you do is recorded, everybody is told, and you may again once it was reviewed.",
		Example:           example("sallyport request vm1 --break-glass --reason \"production is down\"", "sallyport request vm1 --for 1h --reason \"INC-4711\"", "sallyport request orders --ops read,write --reason \"INC-4711\" --wait", "sallyport request --extend 4jzq7nbkw2 --for 30m --reason \"INC-4711\""),
		ValidArgsFunction: offers(c, resources, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	req := control.AccessRequest{}
	f.StringVar(&req.Reason, "reason", "", "the `reason`, which approvers see, such as a ticket; required")
	life := f.Duration("for", 0, "how long; without it, as long as the rule says")
	f.StringSliceVar(&req.Actions, "ops", nil, "only these `actions` of the rule, such as write; several by commas")
	f.StringVar(&req.Account, "account", "", "only as this `account` of the resource")
	f.StringVar(&req.Rule, "rule", "", "by this access `rule`; without it, by the first that allows it")
	start := f.String("start", "", "when it begins: a `time` of today or tomorrow such as 18:00, or 2026-05-01T18:00; without it, with the approval")
	f.StringVar(&req.Extends, "extend", "", "more time for what the `request` has granted you; your sessions go on by it")
	wait := f.Bool("wait", false, "wait until it is decided")
	f.BoolVar(&req.BreakGlass, "break-glass", false, "in an emergency: take it at once, without an approval; you prove yourself again, everybody is told, and it is reviewed afterwards")
	again := &loginOptions{noBrowser: !canBrowse(), proof: addProofFlags(f)}
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) > 0 && strings.TrimSpace(req.Reason) == "" {
			return fail(exitUsage, "request: a reason is missing, which approvers see: request --reason WHY %s", visible(args[0]))
		}
		if (len(args) == 0) == (req.Extends == "") || strings.TrimSpace(req.Reason) == "" {
			return fail(exitUsage, "request --reason WHY RESOURCE, or request --reason WHY --extend ID; \"sallyport ls\" lists the resources")
		}
		if req.Extends != "" && (len(req.Actions) > 0 || req.Account != "" || req.Rule != "" || *start != "") {
			return fail(exitUsage, "request --extend: what was granted goes on: leave --ops, --account, --rule and --start out")
		}
		if len(args) > 0 {
			req.Resource = args[0]
		}
		req.Seconds = int64(*life / time.Second)
		if *life != 0 && *life < time.Minute {
			return fail(exitUsage, "request: --for %s is too short: want at least a minute", *life)
		}
		var err error
		if req.From, err = startAt(*start, time.Now()); err != nil {
			return err
		}
		api, err := openAPI(*profile)
		if err != nil {
			return err
		}
		if req.BreakGlass {
			if *wait || *start != "" {
				return fail(exitUsage, "request: --break-glass begins at once: leave --wait and --start out")
			}
			if api, err = again.proveFor(ctx, c, *profile); err != nil {
				return answered(err)
			}
		}
		r, err := api.Ask(ctx, req)
		if err != nil {
			return answered(err)
		}
		if *wait {
			fmt.Fprintln(c.err, become(r)+"; Ctrl-C leaves it waiting")
			if r, err = decided(ctx, api, r); err != nil {
				return err
			}
		}
		if output.format != "text" {
			if err := printObject(c.out, output, "Request", r); err != nil {
				return err
			}
		} else {
			fmt.Fprintln(c.out, become(r)+why(r, req.Reason))
		}
		switch {
		case r.State == review.Approved || r.State == review.Pending && !*wait:
			return nil
		case r.State == review.Pending:
			return fail(exitApproval, "request %s waits still", r.ID)
		case r.Reason != "":
			return fail(exitDenied, "request %s is %s by %s: %s", r.ID, r.State, visible(r.DecidedBy), visible(r.Reason))
		}
		return fail(exitDenied, "request %s is %s", r.ID, r.State)
	})
	return cmd
}

// why says for which reason a request is that was there already when it was asked for; empty: for none but the given one, and since now.
func why(r *review.Request, given string) string {
	a := r.Access
	switch {
	case a == nil || a.Reason == strings.TrimSpace(given) && (a.Revision == 0 || r.State != review.Pending):
		return ""
	case a.Reason == strings.TrimSpace(given):
		return "; it was there already, and approvers read the reason " + visible(a.Reason)
	}
	return "; it was there already, for the reason " + visible(a.Reason)
}

// proveFor has the user of a login prove herself again, for what she does next, and returns what asks the gateway then.
func (o *loginOptions) proveFor(ctx context.Context, c *cli, profile string) (*client.Client, error) {
	p, err := openProfile(profile)
	if err != nil {
		return nil, err
	}
	if err := o.stepUp(ctx, c, p); err != nil {
		return nil, err
	}
	return p.api()
}

// askEvery is how often it is asked whether a request is decided.
const askEvery = 2 * time.Second

// decided waits until a request is decided, or somebody gives up waiting.
func decided(ctx context.Context, api *client.Client, r *review.Request) (*review.Request, error) {
	t := time.NewTicker(askEvery)
	defer t.Stop()
	for r.State == review.Pending {
		select {
		case <-t.C:
		case <-ctx.Done():
			return r, nil
		}
		now, err := api.Request(ctx, r.ID)
		if ctx.Err() != nil {
			return r, nil
		}
		if err != nil {
			return nil, answered(err)
		}
		r = now
	}
	return r, nil
}

// startAt reads when access begins; zero: with the approval.
func startAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation("15:04", text, now.Location()); err == nil {
		at := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if at.Before(now) {
			at = at.AddDate(0, 0, 1)
		}
		return at, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fail(exitUsage, "request: --start %q is not a time: want 18:00, or 2026-05-01T18:00", text)
}

func requestsCancelCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "Withdraw a request for access of your own; what was granted ends",
		Example:           example("sallyport requests cancel 4jzq7nbkw2"),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	open := controlFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "requests cancel needs a request; \"sallyport requests ls\" lists them")
		}
		return endRequest(c, open, func(api *client.Client) (*review.Request, error) { return api.Cancel(ctx, args[0]) })
	})
	return cmd
}

func requestsRevokeCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "Take back access that was granted; sessions by it end",
		Example:           example("sallyport requests revoke 4jzq7nbkw2 --reason \"done\""),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which the user is told; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "requests revoke --reason WHY ID; \"sallyport requests ls\" lists what is granted")
		}
		return endRequest(c, open, func(api *client.Client) (*review.Request, error) { return api.Revoke(ctx, args[0], *reason) })
	})
	return cmd
}

// endRequest ends a request and says what it is then.
func endRequest(c *cli, open func() (*client.Client, error), end func(*client.Client) (*review.Request, error)) error {
	api, err := open()
	if err != nil {
		return err
	}
	r, err := end(api)
	if err != nil {
		return answered(err)
	}
	fmt.Fprintln(c.out, become(r))
	return nil
}
