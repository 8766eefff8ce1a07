package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/ca"
)

// authorityKey is a key of an authority, for lists.
type authorityKey struct {
	Purpose              string `json:"purpose"`
	control.AuthorityKey `yaml:",inline"`
}

func authoritiesListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List the keys of authorities that are trusted, and which of them sign",
			Example: example("sallyport admin authorities ls"),
			Args:    atMost(0),
		}, "AuthorityKey",
		func(api *client.Client, ctx context.Context) ([]authorityKey, error) {
			all, err := api.Authorities(ctx)
			var list []authorityKey
			for _, a := range all {
				for _, k := range a.Keys {
					list = append(list, authorityKey{a.Purpose, k})
				}
			}
			return list, err
		},
		column[authorityKey]{"AUTHORITY", false, func(k authorityKey) string { return k.Purpose }},
		column[authorityKey]{"KEY", false, func(k authorityKey) string { return k.ID }},
		column[authorityKey]{"SIGNS", false, func(k authorityKey) string {
			if k.Signs {
				return "now"
			}
			if k.Until.IsZero() {
				return "from " + localTime(k.From)
			}
			return ""
		}},
		column[authorityKey]{"TRUSTED UNTIL", false, func(k authorityKey) string { return localTime(k.Until) }},
		column[authorityKey]{"SHA-256", true, func(k authorityKey) string { return k.Fingerprint }},
	)
}

func authoritiesRotateCommand(c *cli) *cobra.Command {
	var names []string
	for _, p := range ca.Purposes() {
		names = append(names, string(p))
	}
	cmd := &cobra.Command{
		Use: "rotate AUTHORITY", Short: "Have another key of an authority sign",
		Long: "The authorities are " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + ".\n" +
			"The new key is trusted at once, and signs after --announce, by when those who trust\nthe authority have learned of it. The key before is trusted for --overlap longer.\n" +
			"Where a key was stolen, --now has the new one sign at once: programs and agents\nthat have not heard of it have to log in or enrol again. Hosts need the new key of\nssh-resources in TrustedUserCAKeys, and known_hosts files that somebody has made that\nof ssh-hosts: it is shown.",
		Example:   example("sallyport admin authorities rotate agents --reason \"yearly\"", "sallyport admin authorities rotate ssh-resources --reason \"yearly\"", "sallyport admin authorities rotate users --now --overlap 1m --reason \"stolen\""),
		ValidArgs: names,
		Args:      atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	announce := f.Duration("announce", 0, "how long until the new key signs (default: what those who trust\nthe authority take to learn of it)")
	overlap := f.Duration("overlap", 0, "how long the key before is trusted after that (default: the life of\na certificate)")
	now := f.Bool("now", false, "have the new key sign at once")
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "admin authorities rotate --reason WHY AUTHORITY, one of %s", strings.Join(names, ", "))
		}
		for name, d := range map[string]time.Duration{"announce": *announce, "overlap": *overlap} {
			if d < 0 || d%time.Second != 0 {
				return fail(exitUsage, "admin authorities rotate: --%s: got %s, want whole seconds", name, d)
			}
		}
		api, err := open()
		if err != nil {
			return err
		}
		a, err := api.Rotate(ctx, args[0], control.RotateRequest{
			Announce: int64(announce.Seconds()), Overlap: int64(overlap.Seconds()), Now: *now, Reason: *reason,
		})
		if err != nil {
			return answered(err)
		}
		newest := a.Keys[len(a.Keys)-1]
		fmt.Fprintf(c.out, "key %s signs for %s from %s on\n", newest.ID, a.Purpose, localTime(newest.From))
		for _, k := range a.Keys {
			if !k.Until.IsZero() {
				fmt.Fprintf(c.out, "key %s is trusted until %s\n", k.ID, localTime(k.Until))
			}
		}
		if newest.PublicKey != "" {
			fmt.Fprintf(c.out, "those who trust %s need this line until %s signs:\n%s\n", a.Purpose, newest.ID, newest.PublicKey)
		}
		return nil
	})
	return cmd
}
