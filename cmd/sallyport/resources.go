package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

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

func list(_ context.Context, c *cli, args []string) error {
	f := c.flags("ls")
	file, user := configFlag(f), f.String("u", "", "only what this `user` may connect to")
	output := f.String("o", "table", "`format`: table or json")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	list, err := entries(cfg, *user)
	if err != nil {
		return err
	}
	switch *output {
	case "json":
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	case "table":
	default:
		return fail(exitUsage, "unknown format %q: want table or json", *output)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tTYPE\tLISTEN\tUSER\tDATABASE\tLABELS")
	for _, e := range list {
		var labels []string
		for k, v := range e.Labels {
			labels = append(labels, k+"="+v)
		}
		slices.Sort(labels)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, e.Type, e.Listen, e.User, e.Database, strings.Join(labels, ","))
	}
	return t.Flush()
}

// connect starts the native client. Its exit code is ours.
func connect(ctx context.Context, c *cli, args []string) error {
	f := c.flags("connect")
	file, user := configFlag(f), f.String("u", os.Getenv("USER"), "log in as this `user`")
	account := f.String("a", "", "use this `account` of the resource")
	if err := parse(f, args, 1<<10); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return fail(exitUsage, "connect needs a resource's name; \"sallyport ls\" lists them")
	}
	if err := named(f, *user); err != nil {
		return err
	}
	name, rest := f.Arg(0), f.Args()[1:]
	if len(rest) > 0 && rest[0] == "--" {
		rest = rest[1:]
	}
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
