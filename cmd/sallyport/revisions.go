package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/revision"
)

func revisionsCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "revisions", GroupID: operatorGroup, Short: "See what was changed of the configuration, approve it, take it back",
			Long:    configureLong,
			Example: example("sallyport revisions ls", "sallyport revisions show 12", "sallyport revisions approve 12"),
		},
		revisionsListCommand(c), revisionsShowCommand(c),
		revisionCommand(c, "approve", "Apply a revision of somebody else that waits", (*client.Client).ApproveRevision),
		revisionCommand(c, "reject", "Have a revision that waits not applied", (*client.Client).RejectRevision),
		revisionCommand(c, "revert", "Take a revision back, by another revision", (*client.Client).RevertRevision),
	)
}

func revisionsListCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List revisions, the newest first",
		Example: example("sallyport revisions ls", "sallyport revisions ls --before 100 --output wide"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	before := f.Int64("before", 0, "those before this `number`")
	limit := f.Int("limit", 50, "at most this `number` of them")
	return lists(
		c, cmd, "Revision", func(api *client.Client, ctx context.Context) ([]control.Revision, error) {
			return api.Revisions(ctx, *before, *limit)
		},
		column[control.Revision]{"REVISION", false, func(r control.Revision) string { return strconv.FormatInt(r.Number, 10) }},
		column[control.Revision]{"STATE", false, func(r control.Revision) string { return string(r.State) }},
		column[control.Revision]{"MADE", false, func(r control.Revision) string { return r.Created.Local().Format(time.DateTime) }},
		column[control.Revision]{"AUTHOR", false, func(r control.Revision) string { return personName(r.Author) }},
		column[control.Revision]{"CHANGES", false, changedObjects},
		column[control.Revision]{"REASON", true, func(r control.Revision) string { return r.Reason }},
		column[control.Revision]{"DECIDED BY", true, decidedBy},
	)
}

func personName(p revision.Person) string {
	if p.Name != "" && p.Name != p.Subject {
		return p.Name + " (" + p.Subject + ")"
	}
	return p.Subject
}

func changedObjects(r control.Revision) string {
	var names []string
	for _, ch := range r.Changes {
		names = append(names, ch.String())
	}
	return strings.Join(names, ",")
}

func decidedBy(r control.Revision) string {
	if r.Decided == nil {
		return ""
	}
	return personName(r.Decided.By)
}

func revisionsShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NUMBER", Short: "Show a revision: who has made it, and what it changes",
		Example:           example("sallyport revisions show 12"),
		ValidArgsFunction: offers(c, revisionNumbers, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		number, err := revisionNumber("show", args)
		if err != nil {
			return err
		}
		api, err := open()
		if err != nil {
			return err
		}
		r, err := api.Revision(ctx, number)
		if err != nil {
			return answered(err)
		}
		if output.format != "text" {
			return printObject(c.out, output, "Revision", r)
		}
		for _, l := range [][2]string{
			{"revision", strconv.FormatInt(r.Number, 10)},
			{"state", string(r.State)},
			{"made", r.Created.Local().Format(time.DateTime)},
			{"author", personName(r.Author)},
			{"reason", r.Reason},
			{"decided by", decidedBy(*r)},
		} {
			if l[1] != "" {
				fmt.Fprintf(c.out, "%-12s %s\n", l[0], visible(l[1]))
			}
		}
		if r.Decided != nil && r.Decided.Reason != "" {
			fmt.Fprintf(c.out, "%-12s %s\n", "because", visible(r.Decided.Reason))
		}
		if r.Reverts != 0 {
			fmt.Fprintf(c.out, "%-12s revision %d\n", "takes back", r.Reverts)
		}
		return printDiff(c.out, r)
	})
	return cmd
}

func revisionNumber(verb string, args []string) (int64, error) {
	if len(args) == 0 {
		return 0, fail(exitUsage, "revisions %s needs a number; \"sallyport revisions ls\" lists them", verb)
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || n < 1 {
		return 0, fail(exitUsage, "revisions %s: %q is not the number of a revision", verb, args[0])
	}
	return n, nil
}

// revisionCommand does something with a revision.
func revisionCommand(c *cli, verb, short string, do func(*client.Client, context.Context, int64, control.RevisionRequest) (*control.Revision, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " NUMBER", Short: short,
		Example:           example("sallyport revisions " + verb + " 12 --reason \"ticket 7\""),
		ValidArgsFunction: offers(c, revisionNumbers, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which is recorded")
	var bind bool
	if verb != "reject" {
		bindFlag(f, &bind)
	}
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		number, err := revisionNumber(verb, args)
		if err != nil {
			return err
		}
		api, err := open()
		if err != nil {
			return err
		}
		r, err := do(api, ctx, number, control.RevisionRequest{Reason: *reason, Bind: bind})
		if err != nil {
			return configured(err)
		}
		return printChange(c, output, r)
	})
	return cmd
}

// completing returns a client for what a word is completed with.
func completing(c *cli, f *pflag.FlagSet) (*client.Client, error) {
	return openControl(c, valueOf(f, "config"), valueOf(f, "socket"), valueOf(f, "profile"))
}

// revisionNumbers completes revisions.
func revisionNumbers(ctx context.Context, c *cli, f *pflag.FlagSet) (words []cobra.Completion, err error) {
	api, err := completing(c, f)
	if err != nil {
		return nil, err
	}
	list, err := api.Revisions(ctx, 0, 50)
	for _, r := range list {
		words = append(words, cobra.CompletionWithDesc(strconv.FormatInt(r.Number, 10), string(r.State)+": "+changedObjects(r)))
	}
	return words, err
}

// allObjects completes objects; storedObjects those of the store.
func allObjects(ctx context.Context, c *cli, f *pflag.FlagSet) ([]cobra.Completion, error) {
	return objectNames(ctx, c, f, func(control.Object) bool { return true })
}

func storedObjects(ctx context.Context, c *cli, f *pflag.FlagSet) ([]cobra.Completion, error) {
	return objectNames(ctx, c, f, func(o control.Object) bool { return o.Home == control.HomeStore })
}

func objectNames(ctx context.Context, c *cli, f *pflag.FlagSet, which func(control.Object) bool) (words []cobra.Completion, err error) {
	api, err := completing(c, f)
	if err != nil {
		return nil, err
	}
	all, err := api.Objects(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range all.Objects {
		if which(o) {
			words = append(words, cobra.CompletionWithDesc(o.String(), o.Home))
		}
	}
	return words, nil
}
