package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
)

// Commands by which an administrator steps into a session that is open.

// stepIn is a command about one open session, with a text that a flag has.
func stepIn(c *cli, use, short, name, about, text string, do func(ctx context.Context, gateway *client.Client, id, text string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " ID", Short: short,
		Example:           example("sallyport sessions " + use + " --" + name + " \"" + text + "\" 01KXY8N2V5G6W7C8D9E0F1A2B3"),
		ValidArgsFunction: offers(c, openSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	open := controlFlags(c, f)
	said := f.String(name, "", about)
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *said == "" {
			return fail(exitUsage, "sessions %s --%s TEXT ID; \"sallyport sessions ls --live\" lists the open ones", use, name)
		}
		gateway, err := open()
		if err != nil {
			return err
		}
		if err := do(ctx, gateway, args[0], *said); err != nil {
			return answered(err)
		}
		return nil
	})
	return cmd
}

func sessionsMessageCommand(c *cli) *cobra.Command {
	return stepIn(
		c, "message", "Write to the user of an open session", "text", "the `text`, which the user is shown; required", "reboot at 2 pm",
		func(ctx context.Context, gateway *client.Client, id, text string) error {
			m, err := gateway.Message(ctx, id, text)
			if err != nil {
				return err
			}
			when := "with the next answer"
			if m.Now {
				when = "now"
			}
			fmt.Fprintf(c.out, "the user is told %s\n", when)
			return nil
		})
}

func sessionsFreezeCommand(c *cli) *cobra.Command {
	return stepIn(
		c, "freeze", "Have an open session wait, until unfreeze; its user is told why", "reason", "the `reason`, which the user is told; required", "what is this?",
		func(ctx context.Context, gateway *client.Client, id, reason string) error {
			s, err := gateway.Freeze(ctx, id, reason)
			return c.stepped("froze", s, err)
		})
}

func sessionsUnfreezeCommand(c *cli) *cobra.Command {
	return stepIn(
		c, "unfreeze", "Have a session go on that was frozen", "reason", "the `reason`; required", "cleared up",
		func(ctx context.Context, gateway *client.Client, id, reason string) error {
			s, err := gateway.Unfreeze(ctx, id, reason)
			return c.stepped("unfroze", s, err)
		})
}

// stepped says what was done to a session.
func (c *cli) stepped(what string, s *control.Session, err error) error {
	if err == nil {
		fmt.Fprintf(c.out, "%s the session of %s at %s\n", what, visible(s.User), visible(s.Resource))
	}
	return err
}
