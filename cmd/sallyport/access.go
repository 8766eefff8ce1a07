package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// Commands about what one may reach at the gateway where one has logged in.

// openAPI returns a client of the gateway of a profile.
func openAPI(name string) (*client.Client, error) {
	p, err := openProfile(name)
	if err != nil {
		return nil, err
	}
	return p.api()
}

// usable reports what of a resource, as a gateway names it, cannot be given to programs of
// this machine: a gateway does not tell ssh or a shell what to run.
func usable(r *control.Resource) error {
	bad := func(word, letters string) bool {
		return strings.HasPrefix(word, "-") || strings.ContainsFunc(word, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(letters, c) })
	}
	for _, word := range append([]string{r.Name, r.Type}, r.Accounts...) {
		if bad(word, " \"'`$\\") {
			return unusable(r, word)
		}
	}
	if bad(r.User, " \"`$\\") { // people have apostrophes
		return unusable(r, r.User)
	}
	if bad(r.Database, "") {
		return unusable(r, r.Database)
	}
	if _, _, err := hostPort(r.Address); err != nil {
		return unusable(r, r.Address)
	}
	return nil
}

func unusable(r *control.Resource, word string) error {
	return fail(exitError, "resource %q of the gateway cannot be used: %q may mean something else to a program", r.Name, word)
}

// resources are those that the profile's user may connect to.
func (p *profile) resources(ctx context.Context) ([]control.Resource, error) {
	api, err := p.api()
	if err != nil {
		return nil, err
	}
	list, err := api.Resources(ctx)
	for i := range list {
		if err := usable(&list[i]); err != nil {
			return nil, err
		}
	}
	return list, answered(err)
}

// entries are the same as ls shows them.
func (p *profile) entries(ctx context.Context) ([]entry, error) {
	all, err := p.resources(ctx)
	var list []entry
	for _, r := range all {
		e := entry{Name: r.Name, Type: r.Type, User: r.User, Database: r.Database, Accounts: r.Accounts, Request: r.Request, Labels: r.Labels}
		host, port, err := p.listener(r.Address)
		if err != nil {
			return nil, err
		}
		e.Listen = net.JoinHostPort(host, port)
		list = append(list, e)
	}
	return list, err
}

// endpoint is a resource as native clients are told of it.
func (p *profile) endpoint(r *control.Resource, account, database string, args []string) (protocol.Endpoint, error) {
	host, port, err := p.listener(r.Address)
	if err != nil {
		return protocol.Endpoint{}, err
	}
	login := r.User
	if account != "" {
		if !strings.Contains(login, "+") {
			login += "+" + r.Name
		}
		login += "+" + account
	}
	if database == "" {
		database = r.Database
	}
	authority, err := p.authorityFile()
	if err != nil {
		return protocol.Endpoint{}, err
	}
	return protocol.Endpoint{
		Resource: r.Name, Host: host, Port: port, User: login, Database: database, Dir: p.dir, CA: authority, RequireTLS: true,
		Alias: p.name, Proof: p.proof(), Args: args,
	}, nil
}

// protocolOf is the protocol of a type of resources.
func protocolOf(name string) (*protocol.Protocol, error) {
	for _, p := range gateway.Defaults().Protocols {
		if p.Name == name && (p.Client != nil || p.Connector != nil) {
			return &p, nil
		}
	}
	return nil, fail(exitError, "no client is known for type %s", name)
}

func describeCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "describe NAME", GroupID: everydayGroup, Short: "Show a resource, and how programs connect to it",
		Example:           example("sallyport describe orders", "sallyport describe orders --output yaml"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "describe needs a resource's name; \"sallyport ls\" lists them")
		}
		p, r, err := oneResource(ctx, *profile, args[0])
		if err != nil {
			return err
		}
		if output.format != "text" {
			return printObject(c.out, output, "Resource", r)
		}
		e, err := p.endpoint(r, "", "", nil)
		if err != nil {
			return err
		}
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(c.out, "%-12s %s\n", name, visible(value))
			}
		}
		line("name", r.Name)
		line("type", r.Type)
		line("address", net.JoinHostPort(e.Host, e.Port))
		line("log in as", r.User)
		line("database", r.Database)
		line("accounts", strings.Join(r.Accounts, ", "))
		for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
			line("label", k+"="+r.Labels[k])
		}
		return printWays(c, r.Type, &e)
	})
	return cmd
}

// printWays prints how programs connect to an endpoint.
func printWays(c *cli, typ string, e *protocol.Endpoint) error {
	proto, err := protocolOf(typ)
	if err != nil {
		return err
	}
	line := &protocol.Command{Program: "sallyport", Args: []string{"connect", e.Resource}}
	if proto.Client != nil {
		if line, err = proto.Client(*e); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.out, "%-12s %s\n", line.Program, visible(shellLine(line)))
	if proto.Links != nil {
		for _, l := range proto.Links(*e) {
			fmt.Fprintf(c.out, "%-12s %s\n", l.For, visible(l.Text))
		}
	}
	return nil
}

// shellLine is a command as it is typed into a shell.
func shellLine(line *protocol.Command) string {
	var words []string
	for _, v := range line.Env {
		name, value, _ := strings.Cut(v, "=")
		words = append(words, name+"="+quoted(value))
	}
	words = append(words, line.Program)
	for _, a := range line.Args {
		words = append(words, quoted(a))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@+,%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// oneResource is a resource that the profile's user may connect to.
func oneResource(ctx context.Context, at, name string) (*profile, *control.Resource, error) {
	p, err := openProfile(at)
	if err != nil {
		return nil, nil, err
	}
	api, err := p.api()
	if err != nil {
		return nil, nil, err
	}
	r, err := resource(ctx, api, name)
	return p, r, err
}

// resource asks for one.
func resource(ctx context.Context, api *client.Client, name string) (*control.Resource, error) {
	r, err := api.Resource(ctx, name)
	if err != nil {
		return nil, answered(err)
	}
	return r, usable(r)
}

func canCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "can NAME [-- TEXT]", GroupID: everydayGroup, Short: "Say whether you may connect, or what a statement or command would be answered",
		Long:              "Nothing is done. The exit code is that of the answer: 5 where a rule forbids it, 6 where it needs an approval, 8 where a guardrail refuses it.",
		Example:           example("sallyport can orders", "sallyport can orders -- 'DELETE FROM orders WHERE id = 7'"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	account := f.StringP("account", "a", "", "as this `account` of the resource")
	database := f.StringP("database", "d", "", "in this `database`; empty is the resource's")
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "can needs a resource's name; \"sallyport ls\" lists them")
		}
		api, err := openAPI(*profile)
		if err != nil {
			return err
		}
		a, err := api.Can(ctx, control.Question{Resource: args[0], Account: *account, Database: *database, Text: strings.Join(args[1:], " ")})
		if err != nil {
			return answered(err)
		}
		if output.format != "text" {
			err = printObject(c.out, output, "Answer", a)
		} else {
			fmt.Fprintln(c.out, visible(strings.TrimSpace(a.Outcome+"  "+a.Message)))
			if a.Rewritten != "" {
				fmt.Fprintln(c.out, "runs as      "+visible(a.Rewritten))
			}
			for _, n := range a.Notes {
				fmt.Fprintln(c.out, visible(n))
			}
		}
		if err != nil {
			return err
		}
		return saidNo(a)
	})
	return cmd
}

// saidNo is the exit code of an answer.
func saidNo(a *control.Answer) error {
	switch {
	case a.Outcome == string(gateway.Hold):
		return fail(exitApproval, "")
	case a.Outcome == string(gateway.Deny) && a.Cause == proxy.CauseGuardrail.String():
		return fail(exitGuardrail, "")
	case a.Outcome == string(gateway.Deny):
		return fail(exitPolicy, "")
	}
	return nil
}
