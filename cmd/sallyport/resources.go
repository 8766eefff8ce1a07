package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
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
	Request  bool              `json:"request,omitempty"` // access has to be asked for
	Labels   map[string]string `json:"labels,omitempty"`
}

// entries lists the resources of a config, for user only those that she may
// connect to or ask for.
func entries(cfg *config.File, user string) ([]entry, error) {
	may, err := gateway.MayConnect(cfg)
	if err != nil {
		return nil, err
	}
	directory, err := cfg.Directory(context.Background(), nil)
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
			e.Listen = cfg.Listen[r.Type]
			if cfg.ClientAddress(r, e.Listen) == e.Listen {
				e.User += "+" + r.Name
			}
		}
		e.Listen = cfg.ClientAddress(r, e.Listen)
		for _, a := range r.Accounts {
			if len(r.Accounts) > 1 {
				e.Accounts = append(e.Accounts, a.Name)
			}
		}
		if id != nil {
			reach := may(id, r)
			if e.Request = !reach.Connect; e.Request && !reach.Ask {
				continue
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// reachable are the resources of the login that a command goes by, or of the config file.
func reachable(ctx context.Context, c *cli, file, user, profile string) ([]entry, error) {
	p, err := byProfile(file, profile)
	if err != nil {
		return nil, err
	}
	if p != nil {
		return p.entries(ctx)
	}
	cfg, err := load(c, file)
	if err != nil {
		return nil, err
	}
	return entries(cfg, user)
}

func listCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", GroupID: everydayGroup, Short: "List the resources that you may reach or ask for, or those of a config file",
		Example: example("sallyport ls", "sallyport ls --config sallyport.yaml --user alice", "sallyport ls --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file, user := configFlag(f), f.StringP("user", "u", "", "only what this `user` of the config file may connect to")
	profile := profileFlag(f)
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		list, err := reachable(ctx, c, *file, *user, *profile)
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
			column[entry]{"ACCESS", false, func(e entry) string {
				if e.Request {
					return "on request"
				}
				return "yes"
			}},
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
