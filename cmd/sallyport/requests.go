package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Commands about operations that wait for a decision.

// requests has commands of its own: ls, show.
func requests(ctx context.Context, c *cli, args []string) error {
	verbs := map[string]func(context.Context, *cli, []string) error{"ls": requestsList, "show": requestsShow}
	if len(args) > 0 && wantsHelp(args[0]) {
		fmt.Fprintln(c.err, "sallyport requests ls | show ID; each says more with -h")
		return flag.ErrHelp
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		return fail(exitUsage, "requests ls | show ID")
	}
	return verbs[args[0]](ctx, c, args[1:])
}

func requestsList(ctx context.Context, c *cli, args []string) error {
	f := c.flags("requests ls")
	open := controlFlags(c, f)
	output := f.String("o", "table", "`format`: table or json")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *output != "table" && *output != "json" {
		return fail(exitUsage, "unknown format %q: want table or json", *output)
	}
	gateway, err := open()
	if err != nil {
		return err
	}
	all, err := gateway.Requests(ctx)
	if err != nil {
		return answered(err)
	}
	if *output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REQUEST\tUSER\tRESOURCE\tUNTIL\tRULE\tOPERATION")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, visible(r.Requester), visible(r.Resource), r.Deadline.Local().Format(time.TimeOnly),
			visible(strings.Join(r.Rules, ",")), visible(shortened(r.Text, 60)))
	}
	return t.Flush()
}

// shortened cuts a text where a table has no room for it.
func shortened(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func requestsShow(ctx context.Context, c *cli, args []string) error {
	f := c.flags("requests show")
	open := controlFlags(c, f)
	output := f.String("o", "text", "`format`: text or json")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "requests show needs a request; \"sallyport requests ls\" lists them")
	}
	gateway, err := open()
	if err != nil {
		return err
	}
	r, err := gateway.Request(ctx, f.Arg(0))
	if err != nil {
		return answered(err)
	}
	switch *output {
	case "json":
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "text":
		return printRequest(c.out, r)
	}
	return fail(exitUsage, "unknown format %q: want text or json", *output)
}

// printRequest shows everything that is decided about, in the time of this machine.
func printRequest(w io.Writer, r *review.Request) error {
	shown := *r
	shown.Deadline = r.Deadline.Local()
	_, err := io.WriteString(w, shown.Lines())
	return err
}

func approve(ctx context.Context, c *cli, args []string) error {
	return decide(ctx, c, "approve", args, (*control.Client).Approve)
}

func deny(ctx context.Context, c *cli, args []string) error {
	return decide(ctx, c, "deny", args, (*control.Client).Deny)
}

// decide shows a request and decides about what was shown, as the user whose
// password is given.
func decide(ctx context.Context, c *cli, verb string, args []string, do func(*control.Client, context.Context, string, control.Decision) (*review.Request, error)) error {
	f := c.flags(verb)
	open := controlFlags(c, f)
	d := control.Decision{}
	f.StringVar(&d.User, "u", os.Getenv("USER"), "decide as this `user` of the gateway, whose password is asked for")
	f.StringVar(&d.Reason, "reason", "", "the `reason`, which the requester is told; required to deny")
	f.StringVar(&d.Hash, "hash", "", "decide only if the request has this `hash`; empty takes the request as it is now")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 || verb == "deny" && d.Reason == "" {
		return fail(exitUsage, "%s -u USER -reason WHY ID; \"sallyport requests ls\" lists what waits", verb)
	}
	if err := named(f, d.User); err != nil {
		return err
	}
	gateway, err := open()
	if err != nil {
		return err
	}
	r, err := gateway.Request(ctx, f.Arg(0))
	if err != nil {
		return answered(err)
	}
	if err := printRequest(c.err, r); err != nil {
		return err
	}
	if d.Hash == "" {
		d.Hash = r.Hash
	}
	password, err := askPassword(c, fmt.Sprintf("To %s this, the password of %s: ", verb, d.User))
	if err != nil {
		return err
	}
	d.Password = proxy.NewSecret(password)
	done, err := do(gateway, ctx, r.ID, d)
	if err != nil {
		return answered(err)
	}
	fmt.Fprintf(c.out, "request %s is %s\n", done.ID, done.State)
	return nil
}

// askPassword reads one password, without showing it where a person types.
func askPassword(c *cli, prompt string) (string, error) {
	f, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return readPassword(c)
	}
	fmt.Fprint(c.err, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(c.err)
	return string(b), err
}
