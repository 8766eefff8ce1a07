package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	sshkit "github.com/sallyport/sallyport/protocol/ssh/kit"
)

// knownGateway is the file by which SSH clients know the gateway that keeps its
// files in the folder data.
func knownGateway(data string) string { return sshkit.KnownHosts(filepath.Join(data, "ssh")) }

// sshConfig prints what makes ssh, scp, rsync and whatever builds on them reach
// the resources by their names.
func sshConfig(_ context.Context, c *cli, args []string) error {
	f := c.flags("ssh-config")
	file, user := configFlag(f), f.String("u", os.Getenv("USER"), "log in as this `user`")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := named(f, *user); err != nil {
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
}
