package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/review"
)

// startUsage is the usage of the flag --start where a request is there already.
const startUsage = "when it begins: a `time` such as 18:00, or 2026-05-01T18:00; approval: with the approval"

// startChange reads a flag --start of something that is changed; nil: it is not.
func startChange(text string, now time.Time) (*time.Time, error) {
	if text == "approval" {
		return &time.Time{}, nil
	}
	at, err := startAt(text, now)
	if err != nil || at.IsZero() {
		return nil, err
	}
	return &at, nil
}

func requestsEditCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "edit ID", Short: "Change a request for access of your own that waits",
		Long:              "A change that only narrows it, in time or actions, keeps the approvals that it has. After any other change everybody approves anew.",
		Example:           example("sallyport requests edit 4jzq7nbkw2 --for 30m", "sallyport requests edit 4jzq7nbkw2 --ops read --reason \"INC-4712\""),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	req := control.RequestChange{}
	life := f.Duration("for", 0, "how long")
	f.StringSliceVar(&req.Actions, "ops", nil, "these `actions` of the rule; several by commas")
	f.StringVar(&req.Reason, "reason", "", "another `reason`")
	start := f.String("start", "", startUsage)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		var err error
		if req.Seconds = int64(*life / time.Second); f.Changed("for") && *life < time.Minute {
			return fail(exitUsage, "requests edit: --for %s is too short: want at least a minute", *life)
		}
		if req.From, err = startChange(*start, time.Now()); err != nil {
			return err
		}
		if len(args) == 0 || req.Seconds == 0 && len(req.Actions) == 0 && req.Reason == "" && req.From == nil {
			return fail(exitUsage, "requests edit ID with one of --for, --ops, --start and --reason; \"sallyport requests ls\" lists what waits")
		}
		return endRequest(c, open, func(api *client.Client) (*review.Request, error) { return api.Edit(ctx, args[0], req) })
	})
	return cmd
}

func requestsProposeCommand(c *cli) *cobra.Command {
	cmd := decide(c, "propose", "Say what you would grant in the place of what is asked for", (*client.Client).Propose, printBecome)
	cmd.GroupID = ""
	cmd.Long = "The requester accepts it, or not. What she has accepted is approved as any other request."
	cmd.Example = example("sallyport requests propose 4jzq7nbkw2 --ops read --reason \"it is enough\"")
	return cmd
}

func requestsAcceptCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept ID", Short: "Ask for what an approver has proposed in the place of your request",
		Example:           example("sallyport requests accept 4jzq7nbkw2"),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	hash := f.String("hash", "", "accept only if the proposal has this `hash`; empty takes the one that there is now")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "requests accept needs a request; \"sallyport requests ls\" lists them")
		}
		return endRequest(c, open, func(api *client.Client) (*review.Request, error) {
			r, err := api.Request(ctx, args[0])
			if err != nil {
				return nil, err
			}
			if r.Access == nil || r.Access.Proposal == nil {
				return nil, fail(exitNotFound, "nothing is proposed for request %s", r.ID)
			}
			if err := printRequest(c.err, r); err != nil {
				return nil, err
			}
			if *hash == "" {
				*hash = r.Access.Proposal.Hash
			}
			if err := confirm(c, fmt.Sprintf("Type yes to ask for %s instead: ", visible(r.Access.Proposal.String()))); err != nil {
				return nil, err
			}
			return api.Accept(ctx, r.ID, *hash)
		})
	})
	return cmd
}
