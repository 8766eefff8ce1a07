package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
)

func alertsListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List the rules over events of which channels are told, and when each has fired",
			Example: example("sallyport admin alerts ls"),
			Args:    atMost(0),
		}, "Alert",
		(*client.Client).Alerts,
		column[control.Alert]{"NAME", false, func(a control.Alert) string { return a.Name }},
		column[control.Alert]{"EVENTS", false, func(a control.Alert) string { return strings.Join(a.Events, ", ") }},
		column[control.Alert]{"FIRES", false, firesWhen},
		column[control.Alert]{"CHANNELS", false, func(a control.Alert) string { return strings.Join(a.Channels, ", ") }},
		column[control.Alert]{"LAST", false, func(a control.Alert) string {
			if len(a.Firings) == 0 {
				return ""
			}
			return localTime(a.Firings[0].At)
		}},
		column[control.Alert]{"HOME", true, func(a control.Alert) string { return a.Home }},
		column[control.Alert]{"MESSAGE", true, func(a control.Alert) string { return a.Message }},
	)
}

// firesWhen says of how many events a rule tells.
func firesWhen(a control.Alert) string {
	text := "at each"
	if a.Count > 1 {
		text = "at " + strconv.Itoa(a.Count) + " within " + (time.Duration(a.Seconds) * time.Second).String()
	}
	if a.Each != "" {
		text += " of a " + a.Each
	}
	return text
}

// firingColumns show times that a rule has fired.
var firingColumns = []column[control.Firing]{
	{"AT", false, func(f control.Firing) string { return localTime(f.At) }},
	{"EVENT", false, func(f control.Firing) string { return f.Alert.Event }},
	{"COUNT", false, func(f control.Firing) string { return strconv.Itoa(f.Alert.Count) }},
	{"USER", false, func(f control.Firing) string { return visible(f.Alert.User) }},
	{"RESOURCE", false, func(f control.Firing) string { return visible(f.Alert.Resource) }},
	{"SESSION", false, func(f control.Firing) string { return f.Alert.Session }},
	{"RULE", true, func(f control.Firing) string { return visible(f.Alert.Decision) }},
	{"NOTICE", true, func(f control.Firing) string { return f.ID }},
}

func alertsShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show when a rule has fired, and on account of which user",
		Example:           example("sallyport admin alerts show many-refusals"),
		ValidArgsFunction: offers(c, alertNames, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open, output := controlFlags(c, f), listFlags(f)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "admin alerts show needs the name of a rule; \"sallyport admin alerts ls\" lists them")
		}
		api, err := open()
		if err != nil {
			return err
		}
		list, err := api.Alerts(ctx)
		if err != nil {
			return answered(err)
		}
		for _, a := range list {
			if a.Name == args[0] {
				return printList(c.out, output, "Firing", a.Firings, firingColumns...)
			}
		}
		return fail(exitNotFound, "no alert is named %q; \"sallyport admin alerts ls\" lists them", args[0])
	})
	return cmd
}

func alertsTryCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "try [NAME]", Short: "Say how often a rule would have fired by what is on record, and tell nobody",
		Long:              "The rule is one that is there, or one of a file, as the config file has it. The record is that of the gateway that is asked.",
		Example:           example("sallyport admin alerts try many-refusals --since 168h", "sallyport admin alerts try -f draft.yaml"),
		ValidArgsFunction: offers(c, alertNames, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open, output := controlFlags(c, f), listFlags(f)
	draft := f.StringP("file", "f", "", "a `file` with one rule, in place of one that is there")
	since := f.Duration("since", 7*24*time.Hour, "what happened within this `time`, of at most 31 days")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if (len(args) == 0) == (*draft == "") {
			return fail(exitUsage, "admin alerts try needs the name of a rule, or --file with one")
		}
		now := time.Now()
		q := control.AlertQuestion{Since: now.Add(-*since), Until: now}
		if *draft != "" {
			text, err := os.ReadFile(*draft)
			if err != nil {
				return err
			}
			q.Object = string(text)
		} else {
			q.Name = args[0]
		}
		api, err := open()
		if err != nil {
			return err
		}
		tried, err := api.TryAlert(ctx, q)
		if err != nil {
			return answered(err)
		}
		if output.format == "table" || output.format == "wide" {
			fmt.Fprintf(c.out, "would have fired %s, by %s\n", counted(tried.Fired, "time"), counted(tried.Fitted, "event"))
			if tried.More {
				fmt.Fprintln(c.out, "there were more events than are read at a time: ask about a shorter time")
			}
			if tried.Unread > 0 {
				fmt.Fprintf(c.out, "%s could not be read\n", counted(tried.Unread, "record"))
			}
			if tried.Fired == 0 {
				return nil
			}
		}
		return printList(c.out, output, "Firing", tried.Firings, firingColumns...)
	})
	return cmd
}
