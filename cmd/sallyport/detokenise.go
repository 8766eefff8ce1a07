package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// detokeniseCommand turns tokens and encrypted values back for a user who proves her password and is in a
// group that may. Each token is noted before its value is shown.
func detokeniseCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "detokenise TOKEN...", GroupID: dataGroup, Short: "Turn tokens and encrypted values back; needs permission",
		Example: example("sallyport detokenise --user alice --type US_SSN 123-45-6789"),
		Args:    cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	file, user := configFlag(f), userFlag(f, "as this `user`, whose password is read")
	code := f.String("code-file", "", "`file` with the code of the user's second factor; \"-\" is a line of the input")
	typ := f.String("type", "", "the values are encrypted values of this `type`, such as US_SSN")
	number := f.Bool("number", false, "with --type: the database stores them as numbers")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *number && *typ == "" {
			return fail(exitUsage, "name the tokens, or --type TYPE and encrypted values; --number needs --type")
		}
		if err := named(cmd, *user); err != nil {
			return err
		}
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		id, err := proven(ctx, c, cfg, *user, *code)
		if err != nil {
			return err
		}
		masker, err := cfg.Masker(ctx, nil, masking.Config{})
		if err != nil {
			return err
		}
		if masker == nil {
			return fail(exitUsage, "nothing is masked by %s", *file)
		}
		for _, token := range args {
			var value []byte
			if *typ == "" {
				value, _, err = masker.Detokenise(ctx, ledger{cfg}, id, []byte(token))
			} else {
				value, err = masker.Decrypt(ctx, ledger{cfg}, id, detect.TypeNamed(*typ), []byte(token), *number)
			}
			switch {
			case errors.Is(err, masking.ErrNotPermitted):
				return fail(exitPolicy, "%s has %v; masking_key.detokenise names the groups that do", id.Subject, err)
			case err != nil:
				return err
			}
			fmt.Fprintf(c.out, "%s\n", value)
		}
		return nil
	})
	return cmd
}

// ledger keeps notes of what is turned back: with the running gateway, or in its
// log when none runs.
type ledger struct{ config *config.File }

// Note records who had a value of which type turned back.
func (l ledger) Note(ctx context.Context, n *proxy.Note) error {
	cfg := l.config
	note := control.DetokenisedRequest{Type: n.Type}
	if n.Identity != nil {
		note.User = n.Identity.Subject
	}
	if n.Err != nil {
		note.Error = n.Err.Error()
	}
	err := client.Socket(gateway.Socket(cfg)).Detokenised(ctx, note)
	if errors.Is(err, client.ErrUnreachable) {
		return withoutGateway(ctx, cfg, nil, func(l *audit.Log) error {
			a := note.Action()
			a.By, a.Remote = &proxy.Identity{Subject: control.Self()}, "local"
			return l.Act(a)
		})
	}
	return answered(err)
}

// proven is who a password proves, with a code where the user has a second factor.
func proven(ctx context.Context, c *cli, cfg *config.File, user, codeFile string) (_ *proxy.Identity, err error) {
	ask := c.prompter()
	p := proxy.Proof{Method: proxy.MethodPassword, User: user}
	password, err := ask.secret("", "Password: ")
	if err != nil {
		return nil, err
	}
	p.Password = proxy.NewSecret(password)
	if codeFile != "" {
		if p.Code, err = ask.code(codeFile, ""); err != nil {
			return nil, err
		}
	}
	users, closing, err := gateway.OpenLocal(ctx, cfg, gateway.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closing()) }()
	id, err := users.Authenticate(ctx, p)
	if errors.Is(err, identity.ErrFactor) {
		return nil, fail(exitNotLoggedIn, "%s has a second factor: give a code of it by --code-file", user)
	}
	if err != nil {
		return nil, fail(exitNotLoggedIn, "%v", err)
	}
	return id, nil
}
