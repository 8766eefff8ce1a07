package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity/tokens"
)

func tokenCommand(c *cli) *cobra.Command {
	return family(&cobra.Command{
		Use: "token", GroupID: everydayGroup, Short: "Make, list and revoke access tokens for programs",
		Example: example("sallyport token create --label ci --action read --resource orders", "sallyport token ls"),
	}, tokenCreateCommand(c), tokenListCommand(c), tokenRevokeCommand(c))
}

func tokenCreateCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Make an access token, and print its secret once",
		Long:    "The secret is a program's password at listeners, where its name is USER~ID, and a bearer at the API. Without --action it may do everything that you may.",
		Example: example("sallyport token create --label ci --action read --resource orders --for 720h", "sallyport token create --label export --output json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	label := f.String("label", "", "what it is for, in a few `words`; required")
	life := f.Duration("for", 30*24*time.Hour, "how long it is valid, at most a year")
	actions := f.StringSlice("action", nil, "only this `action` of access rules, such as read; several by commas")
	at := f.StringSlice("resource", nil, "only at this `resource`; several by commas")
	output := outputFlag(f, "", "text", "json", "yaml")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		if *label == "" {
			return fail(exitUsage, "token create needs --label, which says what it is for")
		}
		if len(*at) > 0 && len(*actions) == 0 {
			return fail(exitUsage, "token create: --resource needs --action, which says what may be done there")
		}
		req := control.TokenRequest{Label: *label, Seconds: int64(*life / time.Second)}
		if len(*actions) > 0 {
			req.Scopes = []tokens.Scope{{Resources: *at, Actions: *actions}}
		}
		api, err := openAPI(*profile)
		if err != nil {
			return err
		}
		t, err := api.CreateToken(ctx, req)
		if err != nil {
			return answered(err)
		}
		if output.format != "text" {
			return printObject(c.out, output, "NewToken", t)
		}
		fmt.Fprintf(c.err, "the token %s of %s~%s is valid until %s; it is not shown again:\n", visible(t.Label), visible(t.User), t.ID, t.Expires.Local().Format(time.DateTime))
		fmt.Fprintln(c.out, t.Secret)
		return nil
	})
	return cmd
}

func tokenListCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List your access tokens, without their secrets",
		Example: example("sallyport token ls", "sallyport token ls --all --output wide"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	profile := profileFlag(f)
	all := f.Bool("all", false, "everybody's; it needs the permission users")
	output := listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		api, err := openAPI(*profile)
		if err != nil {
			return err
		}
		list, err := api.Tokens(ctx, *all)
		if err != nil {
			return answered(err)
		}
		return printList(
			c.out, output, "Token", list,
			column[control.Token]{"TOKEN", false, func(t control.Token) string { return t.ID }},
			column[control.Token]{"LABEL", false, func(t control.Token) string { return t.Label }},
			column[control.Token]{"SUBJECT", true, func(t control.Token) string { return t.Subject }},
			column[control.Token]{"LOGIN", true, func(t control.Token) string { return t.User + tokens.Separator + t.ID }},
			column[control.Token]{"MAY", false, func(t control.Token) string { return scopes(t.Scopes) }},
			column[control.Token]{"EXPIRES", false, func(t control.Token) string { return localTime(t.Expires) }},
			column[control.Token]{"USED", false, func(t control.Token) string { return localTime(t.LastUsed) }},
		)
	})
	return cmd
}

// scopes are what a token may be used for, in a few words.
func scopes(list []tokens.Scope) string {
	if len(list) == 0 {
		return "everything"
	}
	var out []string
	for _, s := range list {
		at := slices.Clone(s.Resources)
		if len(at) == 0 {
			at = []string{"*"}
		}
		out = append(out, strings.Join(s.Actions, ",")+"@"+strings.Join(at, ","))
	}
	return strings.Join(out, " ")
}

func tokenRevokeCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End an access token, and the sessions that it has opened",
		Example:           example("sallyport token revoke 3fk2v9"),
		ValidArgsFunction: offers(c, accessTokens, false),
		Args:              atMost(1),
	}
	profile := profileFlag(cmd.Flags())
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "token revoke needs a token; \"sallyport token ls\" lists them")
		}
		api, err := openAPI(*profile)
		if err != nil {
			return err
		}
		if err := api.RevokeToken(ctx, args[0]); err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "token %s is revoked\n", visible(args[0]))
		return nil
	})
	return cmd
}
