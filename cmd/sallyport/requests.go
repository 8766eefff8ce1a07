package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Commands about requests for access and operations that are held.

func requestsCommand(c *cli) *cobra.Command {
	return family(&cobra.Command{
		Use: "requests", GroupID: everydayGroup, Short: "Requests for access, and operations that wait for an approval",
		Example: example("sallyport requests ls", "sallyport requests show 4jzq7nbkw2"),
	}, requestsListCommand(c), requestsShowCommand(c), requestsRevealCommand(c), requestsEditCommand(c), requestsProposeCommand(c), requestsAcceptCommand(c), requestsCancelCommand(c), requestsRevokeCommand(c), requestsReviewCommand(c))
}

func requestsListCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List what waits, and the access that is granted",
		Example: example("sallyport requests ls", "sallyport requests ls --output json --stream"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	past := f.Bool("past", false, "those that are over, too")
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		gateway, err := open()
		if err != nil {
			return err
		}
		all, err := gateway.Requests(ctx, *past)
		if err != nil {
			return answered(err)
		}
		wide := output.format == "wide"
		return printList(
			c.out, output, "Request", all,
			column[review.Request]{"REQUEST", false, func(r review.Request) string { return r.ID }},
			column[review.Request]{"USER", false, func(r review.Request) string { return r.Requester }},
			column[review.Request]{"RESOURCE", false, func(r review.Request) string { return r.Resource }},
			column[review.Request]{"STATE", false, func(r review.Request) string { return string(r.State) }},
			column[review.Request]{"UNTIL", false, until},
			column[review.Request]{"RULE", false, func(r review.Request) string { return strings.Join(r.Rules, ",") }},
			column[review.Request]{"SESSION", true, func(r review.Request) string { return r.Session }},
			column[review.Request]{"WHAT", false, func(r review.Request) string {
				if wide {
					return r.Text
				}
				return shortened(r.Text, 60)
			}},
		)
	})
	return cmd
}

// until is when a request's state ends: that of one that waits, of access that is granted, or of an operation that was
// approved and has not run.
func until(r review.Request) string {
	end := r.Deadline
	switch {
	case r.Access != nil && r.Access.Grant != nil:
		end = r.Access.Grant.Until
	case r.State == review.Approved:
		end = r.UseBy
	}
	if end = end.Local(); time.Until(end).Abs() > 12*time.Hour {
		return end.Format(time.DateTime)
	}
	return end.Format(time.TimeOnly)
}

// shortened cuts a text where a table has no room for it.
func shortened(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func requestsShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show everything that is decided about",
		Example:           example("sallyport requests show 4jzq7nbkw2", "sallyport requests show --grant 4jzq7nbkw2 >grant"),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	grant := f.Bool("grant", false, "print the approval as the gateway has signed it, for \"sallyport verify\"")
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "requests show needs a request; \"sallyport requests ls\" lists them")
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		r, err := gateway.Request(ctx, args[0])
		if err != nil {
			return answered(err)
		}
		switch {
		case *grant && (r.Signed == "" || !slices.Contains([]review.State{review.Approved, review.Used, review.Unknown, review.Lapsed, review.Revoked, review.Ended}, r.State)):
			return fail(exitNotFound, "request %s is %s: it has no signed approval", r.ID, r.State)
		case *grant:
			_, err := io.WriteString(c.out, r.Signed)
			return err
		case output.format == "text":
			return printRequest(c.out, r)
		}
		return printObject(c.out, output, "Request", r)
	})
	return cmd
}

// printRequest shows everything that is decided about, in the time of this machine.
func printRequest(w io.Writer, r *review.Request) error {
	shown := *r
	shown.Deadline, shown.UseBy = r.Deadline.Local(), r.UseBy.Local()
	if r.Use != nil {
		use := *r.Use
		use.At = use.At.Local()
		shown.Use = &use
	}
	_, err := io.WriteString(w, shown.Lines())
	return err
}

func approveCommand(c *cli) *cobra.Command {
	return decide(c, "approve", "Approve a request for access, or let a held operation run", (*client.Client).Approve, printBecome)
}

func denyCommand(c *cli) *cobra.Command {
	return decide(c, "deny", "Deny a request for access, or refuse a held operation", (*client.Client).Deny, printBecome)
}

func requestsRevealCommand(c *cli) *cobra.Command {
	cmd := decide(c, "reveal", "Show a held operation with the values that are masked for approvers", (*client.Client).Reveal, printRequest)
	cmd.GroupID = ""
	cmd.Long = "Approvers may have them shown where the rules that hold the operation say \"reveal: true\". It is recorded who has."
	cmd.Example = example(`sallyport requests reveal --reason "which customer is it" 4jzq7nbkw2`)
	return cmd
}

// printBecome says what has become of a request.
func printBecome(w io.Writer, r *review.Request) error {
	_, err := fmt.Fprintln(w, become(r))
	return err
}

func requestsReviewCommand(c *cli) *cobra.Command {
	violation := false
	cmd := decide(c, "review", "Say of access that somebody has taken without an approval that it was in order, or a violation", func(api *client.Client, ctx context.Context, id string, d control.Decision) (*review.Request, error) {
		return api.Review(ctx, id, control.ReviewDecision{Decision: d, Violation: violation})
	}, printBecome)
	cmd.GroupID = ""
	cmd.Long = "Read the record of the sessions first: \"sallyport sessions ls\". Who has taken the access may again once it was reviewed."
	cmd.Example = example("sallyport requests review 4jzq7nbkw2 --fine --reason \"as the record shows\"", "sallyport requests review 4jzq7nbkw2 --violation --reason \"read salaries\"")
	f := cmd.Flags()
	fine := f.Bool("fine", false, "what she has done was in order")
	f.BoolVar(&violation, "violation", false, "it was not")
	f.Lookup("reason").Usage = "the `reason`, which is recorded; required"
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *fine == violation {
			return fail(exitUsage, "requests review --fine|--violation --reason WHY ID")
		}
		return run(cmd, args)
	}
	return cmd
}

// decide shows a request and decides about what was shown, as the user whose
// password is given.
func decide(c *cli, verb, short string, do func(*client.Client, context.Context, string, control.Decision) (*review.Request, error), tell func(io.Writer, *review.Request) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " ID", GroupID: everydayGroup, Short: short,
		Example:           example("sallyport " + verb + ` --user bob --reason "not on a friday" 4jzq7nbkw2`),
		ValidArgsFunction: offers(c, waitingRequests, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	file, socket, profile := configFlag(f), socketFlag(f), profileFlag(f)
	d := control.Decision{}
	user := userFlag(f, "at the local socket, decide as this `user` of the gateway, whose password is asked for")
	code := f.String("code-file", "", "at the local socket, `file` with the code of the user's second factor; \"-\" is a line of the input")
	f.StringVar(&d.Reason, "reason", "", "the `reason`, which the requester is told; required to deny or propose")
	var length time.Duration
	start := new(string)
	switch verb {
	case "approve":
		f.DurationVar(&length, "for", 0, "grant access for this `time`, which is shorter than was asked for")
		f.StringSliceVar(&d.Actions, "ops", nil, "grant these `actions` alone, of those that were asked for; several by commas")
		f.Uint64Var(&d.Rows, "rows", 0, "at databases, grant that at most so many `rows` are returned or changed, in all sessions together")
	case "propose":
		f.DurationVar(&length, "for", 0, "how long")
		f.StringSliceVar(&d.Actions, "ops", nil, "these `actions` of the rule; several by commas")
		start = f.String("start", "", startUsage)
	}
	f.StringVar(&d.Hash, "hash", "", "decide only if the request has this `hash`; empty takes the request as it is now")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || verb != "approve" && verb != "reveal" && d.Reason == "" {
			return fail(exitUsage, "%s --reason WHY ID; \"sallyport requests ls\" lists what waits", verb)
		}
		if f.Changed("rows") && d.Rows == 0 {
			return fail(exitUsage, "%s: --rows 0 grants nothing: want at least 1, or deny it", verb)
		}
		if f.Changed("for") && length < time.Minute {
			return fail(exitUsage, "%s: --for %s is too short: want at least a minute", verb, length)
		}
		d.Seconds = int64(length / time.Second)
		var err error
		if d.From, err = startChange(*start, time.Now()); err != nil {
			return err
		}
		p, err := byProfile(*file, *profile)
		if err != nil {
			return err
		}
		remote := p != nil && *socket == "" // the login says who decides
		if !remote {
			if err := named(cmd, *user); err != nil {
				return err
			}
			d.User = *user
		}
		gateway, err := openControl(c, *file, *socket, *profile)
		if err != nil {
			return err
		}
		r, err := gateway.Request(ctx, args[0])
		if err != nil {
			return answered(err)
		}
		if err := printRequest(c.err, r); err != nil {
			return err
		}
		if d.Hash == "" {
			d.Hash = r.Hash
		}
		if !remote {
			ask := c.prompter()
			password, err := ask.secret("", fmt.Sprintf("To %s this, the password of %s: ", verb, *user))
			if err != nil {
				return err
			}
			d.Password = proxy.NewSecret(password)
			if *code != "" {
				if d.Code, err = ask.code(*code, ""); err != nil {
					return err
				}
			}
		} else if err := confirm(c, fmt.Sprintf("Type yes to %s this: ", verb)); err != nil {
			return err
		}
		done, err := do(gateway, ctx, r.ID, d)
		if err != nil {
			return answered(err)
		}
		return tell(c.out, done)
	})
	return cmd
}

// become says what a request is now.
func become(r *review.Request) string {
	text := fmt.Sprintf("request %s is %s", r.ID, r.State)
	switch {
	case r.Access == nil:
	case r.Access.Glass != nil && r.State == review.Approved:
		text = fmt.Sprintf("request %s: you have access without an approval until %s; all that you do is recorded, and it will be reviewed by %s", r.ID, r.Access.Grant.Until.Local().Format(time.DateTime), strings.Join(r.Approvers[0], " or "))
	case r.State == review.Approved:
		text += " until " + r.Access.Grant.Until.Local().Format(time.DateTime)
		if r.Access.Rows > 0 {
			text += fmt.Sprintf(", for at most %d rows", r.Access.Rows)
		}
	case r.State == review.Pending:
		text += ": it waits for an approval of " + review.Approving(r)
		if p := r.Access.Proposal; p != nil {
			text += "; " + p.By + " proposes " + p.String() + ", which counts when it is accepted: sallyport requests accept " + r.ID
		}
	}
	return visible(text)
}

// confirm has a person at a terminal say yes; a program has said by --hash or its flags
// what it wants.
func confirm(c *cli, question string) error {
	if f, ok := c.in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	fmt.Fprint(c.err, question)
	line, err := bufio.NewReader(io.LimitReader(c.in, 100)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != "yes" {
		return fail(exitError, "nothing was decided")
	}
	return nil
}
