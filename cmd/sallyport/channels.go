package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/review"
)

func channelsListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List channels, what waits for them, and why",
			Example: example("sallyport admin channels ls"),
			Args:    atMost(0),
		}, "Channel",
		(*client.Client).Channels,
		column[review.ChannelStatus]{"CHANNEL", false, func(s review.ChannelStatus) string { return s.Name }},
		column[review.ChannelStatus]{"STATE", false, channelState},
		column[review.ChannelStatus]{"WAITING", false, func(s review.ChannelStatus) string { return strconv.Itoa(s.Waiting) }},
		column[review.ChannelStatus]{"SINCE", false, func(s review.ChannelStatus) string { return localTime(s.Oldest) }},
		column[review.ChannelStatus]{"DEAD", false, func(s review.ChannelStatus) string { return strconv.Itoa(s.Dead) }},
		column[review.ChannelStatus]{"ERROR", false, channelError},
	)
}

func channelState(s review.ChannelStatus) string {
	switch {
	case !s.Configured:
		return "not configured"
	case s.Closed != nil:
		return "closed"
	case s.Failure != nil:
		return "failing"
	}
	return "ok"
}

func channelError(s review.ChannelStatus) string {
	switch {
	case s.Closed != nil:
		return s.Closed.Error
	case s.Failure != nil:
		return s.Failure.Error
	}
	return ""
}

func channelsDeadCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead CHANNEL", Short: "List what a channel was not told in the end, and can be told again",
		Example:           example("sallyport admin channels dead mails"),
		ValidArgsFunction: offers(c, channels, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "admin channels dead needs a channel; \"sallyport admin channels ls\" lists them")
		}
		api, err := open()
		if err != nil {
			return err
		}
		list, err := api.DeadLetters(ctx, args[0])
		if err != nil {
			return answered(err)
		}
		return printList(
			c.out, output, "DeadLetter", list,
			column[review.DeadLetter]{"NOTICE", false, func(l review.DeadLetter) string { return l.ID }},
			column[review.DeadLetter]{"REQUEST", false, func(l review.DeadLetter) string { return l.Request }},
			column[review.DeadLetter]{"EVENT", false, func(l review.DeadLetter) string { return l.Event }},
			column[review.DeadLetter]{"AT", false, func(l review.DeadLetter) string { return localTime(l.At) }},
			column[review.DeadLetter]{"GONE", true, func(l review.DeadLetter) string { return localTime(l.Gone) }},
			column[review.DeadLetter]{"ERROR", false, func(l review.DeadLetter) string { return l.Failure.Error }},
		)
	})
	return cmd
}

func channelsRetryCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry CHANNEL [NOTICE]", Short: "Tell a channel again what it was not told: one notice, or all",
		Example:           example("sallyport admin channels retry mails", "sallyport admin channels retry mails 4jzq7nbkw2-abc"),
		ValidArgsFunction: offers(c, channels, false),
		Args:              atMost(2),
	}
	open := controlFlags(c, cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "admin channels retry needs a channel; \"sallyport admin channels ls\" lists them")
		}
		notice := ""
		if len(args) == 2 {
			notice = args[1]
		}
		api, err := open()
		if err != nil {
			return err
		}
		n, err := api.Retry(ctx, args[0], notice)
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "%s to be told again\n", counted(n, "notice"))
		return nil
	})
	return cmd
}
