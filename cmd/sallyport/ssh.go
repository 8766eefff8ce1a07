package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	sshkit "github.com/sallyport/sallyport/protocol/ssh/kit"
)

// knownGateway is the file by which SSH clients know the gateway that keeps its
// files in the folder data.
func knownGateway(data string) string { return sshkit.KnownHosts(filepath.Join(data, "ssh")) }

// sshConfigCommand prints what makes ssh, scp, rsync and whatever builds on them reach
// the resources by their names.
func sshConfigCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ssh-config", GroupID: everydayGroup, Short: "Print a configuration with which ssh, scp and rsync reach resources by name",
		Example: example("sallyport ssh-config --user alice >> ~/.ssh/config"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file, user := configFlag(f), userFlag(f, "log in as this `user`")
	cmd.RunE = does(func(_ context.Context, _ []string) error {
		if err := named(cmd, *user); err != nil {
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
		known, err := filepath.Abs(knownGateway(cfg.Data()))
		if err != nil {
			return err
		}
		for _, e := range list {
			host, port, err := net.SplitHostPort(e.Listen)
			if e.Type != "ssh" || err != nil {
				continue
			}
			fmt.Fprintf(c.out, "Host %s\n  HostName %s\n  Port %s\n  User %s\n  UserKnownHostsFile %q\n", e.Name, host, port, e.User, known)
		}
		return nil
	})
	return cmd
}
