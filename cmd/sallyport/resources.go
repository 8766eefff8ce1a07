package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// entry is a resource as ls shows it.
type entry struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Listen   string            `json:"listen"`
	User     string            `json:"user"` // how to log in there
	Database string            `json:"database,omitempty"`
	Accounts []string          `json:"accounts,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// entries lists the resources of a config, for user only those that she may
// connect to.
func entries(cfg *config.File, user string) ([]entry, error) {
	policy, err := cfg.Policy()
	if err != nil {
		return nil, err
	}
	directory, err := cfg.Directory()
	if err != nil {
		return nil, err
	}
	var id *proxy.Identity
	for _, u := range cfg.Identity.Users {
		if u.Name == user {
			id = &proxy.Identity{Subject: u.Name, Groups: u.Groups}
		}
	}
	if user != "" && id == nil {
		return nil, fail(exitNotFound, "user %q is not in the config file", user)
	}
	list := []entry{}
	for _, r := range directory {
		e := entry{Name: r.Name, Type: r.Type, Database: r.Database, Labels: r.Labels, User: user}
		if user == "" {
			e.User = "USER"
		}
		for _, l := range cfg.Listeners() {
			if l.Resource == r.Name {
				e.Listen = l.Address
			}
		}
		if e.Listen == "" {
			e.Listen, e.User = cfg.Listen[r.Type], e.User+"+"+r.Name
		}
		allowed := id == nil
		for _, a := range r.Accounts {
			if id != nil && policy.May(id, proxy.Target{Resource: r, Account: a, Database: r.Database}) {
				allowed = true
			}
			if len(r.Accounts) > 1 {
				e.Accounts = append(e.Accounts, a.Name)
			}
		}
		if allowed {
			list = append(list, e)
		}
	}
	return list, nil
}

func listCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", GroupID: everydayGroup, Short: "List resources",
		Example: example("sallyport ls --user alice", "sallyport ls --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file, user := configFlag(f), f.StringP("user", "u", "", "only what this `user` may connect to")
	output := listFlags(f)
	cmd.RunE = does(func(_ context.Context, _ []string) error {
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		list, err := entries(cfg, *user)
		if err != nil {
			return err
		}
		return printList(
			c.out, output, "Resource", list,
			column[entry]{"NAME", false, func(e entry) string { return e.Name }},
			column[entry]{"TYPE", false, func(e entry) string { return e.Type }},
			column[entry]{"LISTEN", false, func(e entry) string { return e.Listen }},
			column[entry]{"USER", false, func(e entry) string { return e.User }},
			column[entry]{"DATABASE", false, func(e entry) string { return e.Database }},
			column[entry]{"ACCOUNTS", true, func(e entry) string { return strings.Join(e.Accounts, ",") }},
			column[entry]{"LABELS", false, func(e entry) string {
				var labels []string
				for _, k := range slices.Sorted(maps.Keys(e.Labels)) {
					labels = append(labels, k+"="+e.Labels[k])
				}
				return strings.Join(labels, ",")
			}},
		)
	})
	return cmd
}

// connectCommand starts the native client. Its exit code is ours.
func connectCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "connect NAME [-- ARGS]", GroupID: everydayGroup, Short: "Start the native client at a resource; its exit code is passed on",
		Example:           example("sallyport connect orders --user alice", "sallyport connect orders -- -c 'SELECT 1'"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	file, user := configFlag(f), userFlag(f, "log in as this `user`")
	account := f.StringP("account", "a", "", "use this `account` of the resource")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "connect needs a resource's name; \"sallyport ls\" lists them")
		}
		if err := named(cmd, *user); err != nil {
			return err
		}
		name, rest := args[0], args[1:]
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		list, err := entries(cfg, *user)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(e entry) bool { return e.Name == name })
		if i < 0 {
			return fail(exitNotFound, "%s may not connect to resource %q, or it does not exist", *user, name)
		}
		cmd, err := client(ctx, cfg, list[i], *account, rest)
		if err != nil {
			return err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
		err = cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fail(exit.ExitCode(), "")
		}
		return err
	})
	return cmd
}

// client is the command line of a resource's native client.
func client(ctx context.Context, cfg *config.File, e entry, account string, args []string) (*exec.Cmd, error) {
	host, port, err := net.SplitHostPort(e.Listen)
	if err != nil {
		return nil, err
	}
	login := e.User
	if account != "" {
		if !strings.Contains(login, "+") {
			login += "+" + e.Name
		}
		login += "+" + account
	}
	i := slices.IndexFunc(cfg.Protocols(), func(p protocol.Protocol) bool { return p.Name == e.Type })
	if i < 0 || cfg.Protocols()[i].Client == nil {
		return nil, fail(exitError, "no client is known for type %s", e.Type)
	}
	at := protocol.Endpoint{
		Host: host, Port: port, User: login, Database: e.Database, Dir: gateway.Dir(cfg, e.Type), RequireTLS: gateway.RequireTLS(cfg), Args: args,
	}
	root := filepath.Join(cfg.Data(), "ca", "ca.pem")
	if _, err := os.Stat(root); err == nil && cfg.TLS == nil {
		at.CA = root
	}
	line, err := cfg.Protocols()[i].Client(at)
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath(line.Program)
	if err != nil {
		return nil, fail(exitError, "%s is not installed", line.Program)
	}
	cmd := exec.CommandContext(ctx, program, line.Args...)
	cmd.Env = append(os.Environ(), line.Env...)
	return cmd, nil
}
