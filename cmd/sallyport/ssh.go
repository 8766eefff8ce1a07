package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

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
		Long:    "After a login each connection is made by \"sallyport proxy\", which renews the certificate when it has to; ssh, scp, rsync, Git, Ansible and VS Code need nothing else. A resource is reached by its name and by NAME.sallyport; one with a dot in its name only by that, since the name alone may be another host's. Names with other signs are left out.",
		Example: example("sallyport ssh-config > ~/.ssh/sallyport", "sallyport ssh-config --config sallyport.yaml --user alice >> ~/.ssh/config"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file, user, profile := configFlag(f), userFlag(f, "log in as this `user` of the config file"), profileFlag(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		p, err := byProfile(*file, *profile)
		if err != nil {
			return err
		}
		if p != nil {
			return p.sshConfig(ctx, c)
		}
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
			names := c.sshNames(e.Name)
			if names == "" {
				continue
			}
			fmt.Fprintf(c.out, "Host %s\n  HostName %s\n  Port %s\n  User %s\n  UserKnownHostsFile %q\n", names, host, port, e.User, known)
		}
		return nil
	})
	return cmd
}

// sshConfig prints what reaches the resources of a login by their names.
func (p *profile) sshConfig(ctx context.Context, c *cli) error {
	list, err := p.entries(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, e := range list {
		host, port, err := net.SplitHostPort(e.Listen)
		if e.Type != "ssh" || err != nil {
			continue
		}
		names := c.sshNames(e.Name)
		if names == "" {
			continue
		}
		fmt.Fprintf(
			c.out, "Host %s\n  HostName %s\n  Port %s\n  User \"%s\"\n  HostKeyAlias %s\n  UserKnownHostsFile %s\n  IdentitiesOnly yes\n  IdentityFile %s\n  CertificateFile %s\n  ProxyCommand %s proxy --profile %s %s\n",
			names, percent(host), port, e.User, p.name, inConfig(sshkit.KnownHosts(p.dir)), inConfig(p.file(sshKey)), inConfig(p.file(sshCert)),
			percent(quoted(self)), p.name, quoted(e.Name),
		)
	}
	return nil
}

// sshNames are the names by which ssh reaches a resource: its own with the domain that no other
// host has, and its own alone, unless that may be the domain or address of another host. They
// are empty for a name that ssh or a shell reads otherwise, which the user is told of.
func (c *cli) sshNames(name string) string {
	switch {
	case sshName.MatchString(name):
		return name + " " + name + sshDomain
	case sshDotted.MatchString(name):
		return name + sshDomain
	}
	fmt.Fprintf(c.err, "resource %q is left out, since its name means something else to ssh; it is reached by: sallyport connect %s\n", name, visible(quoted(name)))
	return ""
}

// sshDomain ends the names by which ssh knows resources and nothing else.
const sshDomain = ".sallyport"

var (
	sshName   = regexp.MustCompile(`^[\pL\pN_][\pL\pN_-]*$`)
	sshDotted = regexp.MustCompile(`^[\pL\pN_][\pL\pN_-]*(\.[\pL\pN_-]+)+$`)
)

// percent is a word in a configuration of ssh, where a percent sign has a meaning.
func percent(word string) string { return strings.ReplaceAll(word, "%", "%%") }

// inConfig is a file's name in a configuration of ssh.
func inConfig(file string) string { return `"` + percent(file) + `"` }

// proxyCommand connects standard input and output to a resource's listener, for
// ProxyCommand of ssh.
func proxyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "proxy NAME", GroupID: everydayGroup, Short: "Connect standard input and output to a resource, for ssh's ProxyCommand",
		Long:              "The certificate of the login is renewed before, when less than a third of its time is left.",
		Example:           example("ssh -o ProxyCommand='sallyport proxy vm1' vm1", "sallyport proxy vm1"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              atMost(1),
	}
	at := profileFlag(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "proxy needs a resource's name; \"sallyport ls\" lists them")
		}
		p, r, err := oneResource(ctx, *at, args[0])
		if err != nil {
			return err
		}
		if err := p.renew(ctx); err != nil {
			return err
		}
		host, port, err := p.listener(r.Address)
		if err != nil {
			return err
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return fail(exitUnreachable, "%v", err)
		}
		defer conn.Close()
		go func() {
			// The client has said everything; the server's answer may be on its way.
			if _, err := io.Copy(conn, c.in); err == nil {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
		}()
		_, err = io.Copy(c.out, conn)
		return err
	})
	return cmd
}
