package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity/ca"
)

// sshCertCommand certifies a user's public key, for logging in until it expires.
func sshCertCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ssh-cert KEY.pub", GroupID: everydayGroup, Short: "Certify a user's key, for logging in by SSH until it expires",
		Example: example("sallyport ssh-cert --user alice --for 8h ~/.ssh/id_ed25519.pub"),
		Args:    atMost(1),
	}
	f := cmd.Flags()
	file, user := configFlag(f), userFlag(f, "the `user` of the config that the certificate is for")
	life := f.Duration("for", time.Hour, "how long it is valid, at most 24h")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) != 1 || *life <= 0 || *life > ca.MaxUserLife {
			return fail(exitUsage, "ssh-cert needs a public key's file, and --for of up to %s", ca.MaxUserLife)
		}
		if err := named(cmd, *user); err != nil {
			return err
		}
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cfg.Identity.Users, func(u config.User) bool { return u.Name == *user }) {
			return fail(exitNotFound, "user %q is not in the config file", *user)
		}
		line, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		key, _, _, _, err := gossh.ParseAuthorizedKey(line)
		if err != nil {
			return fail(exitUsage, "%s holds no public key", args[0])
		}
		users, closing, err := gateway.OpenUsers(ctx, cfg, gateway.Options{})
		if err != nil {
			return err
		}
		now := time.Now()
		expires := now.Add(*life)
		cert, err := users.SignSSH(ctx, ca.User{Name: *user, Subject: *user, Proven: now, Expires: expires}, key)
		if err = errors.Join(err, closing()); err != nil {
			return err
		}
		out := strings.TrimSuffix(args[0], ".pub") + "-cert.pub" // where ssh looks
		if err := os.WriteFile(out, gossh.MarshalAuthorizedKey(cert), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(c.out, out)
		fmt.Fprintf(c.err, "%s may log in with it until %s\n", *user, expires.Format(time.DateTime))
		return nil
	})
	return cmd
}
