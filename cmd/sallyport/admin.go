package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity"
)

func adminCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{
			Use: "admin", GroupID: operatorGroup, Short: "See who logs in, assign groups, disable people",
			Example: example("sallyport admin users ls", "sallyport admin groups ls"),
		},
		family(
			&cobra.Command{Use: "users", Short: "Users: who they are and what they may do", Example: example("sallyport admin users ls")},
			usersListCommand(c), usersShowCommand(c), usersAssignCommand(c),
			userCommand(c, "disable", "Have a user not log in any more, and end her sessions", func(api *client.Client, ctx context.Context, r control.UserRequest) (string, error) {
				_, err := api.Disable(ctx, r)
				return "disabled", err
			}),
			userCommand(c, "enable", "Let a disabled user log in again", func(api *client.Client, ctx context.Context, r control.UserRequest) (string, error) {
				_, err := api.Enable(ctx, r)
				return "enabled", err
			}),
			userCommand(c, "logout", "End all logins of a user, and revoke her access tokens", func(api *client.Client, ctx context.Context, r control.UserRequest) (string, error) {
				out, err := api.LogoutUser(ctx, r)
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("logged out: %s and %s at providers ended, %s revoked",
					counted(out.Sessions, "session"), counted(out.Logins, "login"), counted(out.Tokens, "access token")), nil
			}),
			userCommand(c, "reset-factors", "Take the second factor of a user away, and end her logins", func(api *client.Client, ctx context.Context, r control.UserRequest) (string, error) {
				out, err := api.ResetFactors(ctx, r)
				if err != nil {
					return "", err
				}
				return fmt.Sprintf("without a second factor: %s taken away, %s ended", counted(out.Factors, "factor"), counted(out.Sessions, "session")), nil
			}),
		),
		family(
			&cobra.Command{Use: "groups", Short: "Groups: who is in them", Example: example("sallyport admin groups ls")},
			groupsListCommand(c),
		),
		family(
			&cobra.Command{Use: "channels", Short: "Channels by which people are told of requests", Example: example("sallyport admin channels ls")},
			channelsListCommand(c), channelsDeadCommand(c), channelsRetryCommand(c),
		),
		family(
			&cobra.Command{Use: "alerts", Short: "Rules over events of the record, of which channels are told", Example: example("sallyport admin alerts ls")},
			alertsListCommand(c), alertsShowCommand(c), alertsTryCommand(c),
		),
		family(
			&cobra.Command{Use: "authorities", Short: "Authorities that sign certificates", Example: example("sallyport admin authorities ls")},
			authoritiesListCommand(c), authoritiesRotateCommand(c),
		),
		family(
			&cobra.Command{Use: "hosts", Short: "SSH hosts that are known by the key that they showed first", Example: example("sallyport admin hosts ls")},
			hostsListCommand(c), hostsForgetCommand(c),
		),
		offlineCommand(c),
	)
}

func usersListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List those who have logged in, or were written down",
			Example: example("sallyport admin users ls", "sallyport admin users ls --output wide"),
			Args:    atMost(0),
		}, "User",
		(*client.Client).Users,
		column[control.User]{"SUBJECT", false, func(u control.User) string { return u.Subject }},
		column[control.User]{"NAME", false, func(u control.User) string { return u.Name }},
		column[control.User]{"GROUPS", false, func(u control.User) string { return strings.Join(append(u.Given, u.Groups...), ",") }},
		column[control.User]{"STATE", false, userState},
		column[control.User]{"SEEN", true, seen},
	)
}

func userState(u control.User) string {
	if u.Disabled {
		return "disabled"
	}
	return "enabled"
}

func seen(u control.User) string { return localTime(u.Seen) }

func usersShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show SUBJECT", Short: "Show a user, with the groups that her last login came with and those assigned",
		Example:           example("sallyport admin users show entra/7f3a"),
		ValidArgsFunction: offers(c, subjects, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "admin users show needs a subject; \"sallyport admin users ls\" lists them")
		}
		api, err := open()
		if err != nil {
			return err
		}
		u, err := api.User(ctx, args[0])
		if err != nil {
			return answered(err)
		}
		if output.format != "text" {
			return printObject(c.out, output, "User", u)
		}
		printUser(c, u)
		return nil
	})
	return cmd
}

func printUser(c *cli, u *control.User) {
	for _, l := range [][2]string{
		{"subject", u.Subject},
		{"name", u.Name},
		{"state", userState(*u)},
		{"given", strings.Join(u.Given, ", ")},
		{"assigned", strings.Join(u.Groups, ", ")},
		{"seen", seen(*u)},
	} {
		if l[1] != "" {
			fmt.Fprintf(c.out, "%-12s %s\n", l[0], visible(l[1]))
		}
	}
}

func usersAssignCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "groups SUBJECT [GROUP...]", Short: "Assign groups to a user, in place of those assigned before",
		Long:              "Assigned groups begin with " + identity.GroupPrefix + ", which may be left out. Without a group the user keeps those of her login only. Nobody assigns groups to herself.",
		Example:           example("sallyport admin users groups entra/7f3a dba --reason \"ticket 7\"", "sallyport admin users groups entra/7f3a --reason \"ticket 8\""),
		ValidArgsFunction: offers(c, subjects, false),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "admin users groups --reason WHY SUBJECT [GROUP...]")
		}
		req := control.GroupsRequest{UserRequest: control.UserRequest{Subject: args[0], Reason: *reason}, Groups: []string{}}
		for _, g := range args[1:] {
			if !strings.Contains(g, ":") {
				g = identity.GroupPrefix + g
			}
			req.Groups = append(req.Groups, g)
		}
		api, err := open()
		if err != nil {
			return err
		}
		u, err := api.Assign(ctx, req)
		if err != nil {
			return answered(err)
		}
		printUser(c, u)
		return nil
	})
	return cmd
}

// userCommand does something to a user.
func userCommand(c *cli, verb, short string, do func(*client.Client, context.Context, control.UserRequest) (done string, err error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " SUBJECT", Short: short,
		Example:           example("sallyport admin users " + verb + " entra/7f3a --reason \"ticket 7\""),
		ValidArgsFunction: offers(c, subjects, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "admin users %s --reason WHY SUBJECT", verb)
		}
		api, err := open()
		if err != nil {
			return err
		}
		done, err := do(api, ctx, control.UserRequest{Subject: args[0], Reason: *reason})
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "%s is %s\n", visible(args[0]), done)
		return nil
	})
	return cmd
}

func groupsListCommand(c *cli) *cobra.Command {
	return lists(
		c, &cobra.Command{
			Use: "ls", Short: "List the groups that somebody is in",
			Example: example("sallyport admin groups ls"),
			Args:    atMost(0),
		}, "Group",
		(*client.Client).Groups,
		column[control.Group]{"GROUP", false, func(g control.Group) string { return g.Name }},
		column[control.Group]{"MEMBERS", false, func(g control.Group) string { return strings.Join(g.Members, ",") }},
	)
}
