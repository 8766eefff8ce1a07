package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
)

func hostsListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List resources that are trusted on first use, with the fingerprints of their keys",
			Example: example("sallyport admin hosts ls", "sallyport admin hosts ls --output wide"),
			Args:    atMost(0),
		}, "Host",
		(*client.Client).Hosts,
		column[control.Host]{"NAME", false, func(h control.Host) string { return h.Name }},
		column[control.Host]{"KEY", false, func(h control.Host) string { return h.Key }},
		column[control.Host]{"TRUSTED", false, func(h control.Host) string { return localTime(h.Trusted) }},
		column[control.Host]{"STATE", false, hostState},
		column[control.Host]{"HERE", true, func(h control.Host) string { return cmp.Or(h.Here, h.Key) }},
		column[control.Host]{"FORGOTTEN", true, lastForgotten},
		column[control.Host]{"ERROR", true, func(h control.Host) string { return h.Error }},
	)
}

func hostState(h control.Host) string {
	switch {
	case h.Error != "":
		return "refused"
	case h.Key == "" && h.Here == "":
		return "forgotten"
	}
	return "trusted"
}

func lastForgotten(h control.Host) string {
	if len(h.Forgotten) == 0 {
		return ""
	}
	last := h.Forgotten[len(h.Forgotten)-1]
	return localTime(last.At) + " by " + last.By + ": " + last.Reason
}

func hostsForgetCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "forget NAME", Short: "Have all gateways forget the key of a resource, and trust the next that it shows",
		Long:              "Use it when the host was set up anew, once you have compared its new key with what it says of itself: who answers first in its place is trusted.",
		Example:           example("sallyport admin hosts forget vm1 --reason \"set up anew, ticket 7\""),
		ValidArgsFunction: offers(c, hosts, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "admin hosts forget --reason WHY NAME; \"sallyport admin hosts ls\" lists them")
		}
		api, err := open()
		if err != nil {
			return err
		}
		h, err := api.ForgetHost(ctx, args[0], *reason)
		if err != nil {
			return answered(err)
		}
		last := ""
		if n := len(h.Forgotten); n > 0 {
			last = " " + visible(h.Forgotten[n-1].Key)
		}
		fmt.Fprintf(c.out, "the key%s of %s is forgotten; the next that it shows is trusted\n", last, visible(h.Name))
		return nil
	})
	return cmd
}
