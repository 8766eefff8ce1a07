package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

// Commands that destroy records, or keep them from being destroyed.

func sessionsEraseCommand(c *cli) *cobra.Command {
	return onRecord(c, "erase", "Destroy what a session holds; its proof stays", "erased: its content is gone, its proof stays", (*client.Client).Erase, (*audit.Log).Erase)
}

func sessionsHoldCommand(c *cli) *cobra.Command {
	return onRecord(c, "hold", "Keep a session from being erased", "held: it cannot be erased", (*client.Client).Hold, (*audit.Log).Hold)
}

func sessionsReleaseCommand(c *cli) *cobra.Command {
	return onRecord(c, "release", "Let a session be erased again", "released: it can be erased again", (*client.Client).Release, (*audit.Log).Release)
}

// onRecord asks the running gateway to do something to a recorded session. When none
// runs it is done here, and recorded as a gateway would.
func onRecord(c *cli, verb, short, done string,
	ask func(*client.Client, context.Context, string, string) error, do func(*audit.Log, audit.Action) error,
) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " ID", Short: short,
		Example:           example("sallyport sessions " + verb + ` --reason "case 12" 01KXY8N2V5G6W7C8D9E0F1A2B3`),
		ValidArgsFunction: offers(c, recordedSessions, false),
		Args:              atMost(1),
	}
	f := cmd.Flags()
	file := configFlag(f)
	socket, profile := socketFlag(f), profileFlag(f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 || *reason == "" {
			return fail(exitUsage, "sessions %s --reason WHY ID", verb)
		}
		gateway, err := openControl(c, *file, *socket, *profile)
		if err != nil {
			return err
		}
		id := args[0]
		err = ask(gateway, ctx, id, *reason)
		if p, perr := byProfile(*file, *profile); errors.Is(err, client.ErrUnreachable) && *socket == "" && p == nil && perr == nil {
			cfg, lerr := load(c, *file)
			if lerr != nil {
				return lerr
			}
			err = withoutGateway(ctx, cfg, nil, func(l *audit.Log) error {
				return notFound(do(l, audit.Action{By: &proxy.Identity{Subject: control.Self()}, Session: id, Reason: *reason, Remote: "local"}))
			})
		}
		if err != nil {
			return answered(err)
		}
		fmt.Fprintf(c.out, "session %s is %s\n", id, done)
		return nil
	})
	return cmd
}

// withoutGateway opens the log that no gateway has open.
func withoutGateway(ctx context.Context, cfg *config.File, adopt *audit.Action, do func(*audit.Log) error) error {
	keys, err := cfg.AuditKeys(ctx, nil)
	if err != nil {
		return err
	}
	l, err := audit.Open(filepath.Join(cfg.Data(), "audit"), audit.Config{Keys: keys, Adopt: adopt})
	if err != nil {
		return withRemedy(err)
	}
	return errors.Join(do(l), l.Close())
}

// withRemedy adds to the error of a log of which something is missing how to adopt it.
func withRemedy(err error) error {
	var h *audit.HistoryError
	if errors.As(err, &h) {
		return fmt.Errorf("%w (\"sallyport sessions adopt --reason WHY\")", err)
	}
	return err
}

// sessionsAdoptCommand takes what is there as the log's history, where some of it was lost.
func sessionsAdoptCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "adopt", Short: "Take what is there as the log's history, where some of it was lost",
		Example: example("sallyport sessions adopt --reason \"restored from the backup of Monday\""),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file := configFlag(f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		if *reason == "" {
			return fail(exitUsage, "sessions adopt --reason WHY")
		}
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		word := &audit.Action{By: &proxy.Identity{Subject: control.Self()}, Reason: *reason, Remote: "local"}
		return withoutGateway(ctx, cfg, word, func(l *audit.Log) error {
			wrong := l.Adopted()
			if wrong == nil {
				fmt.Fprintln(c.out, "nothing to adopt: the log continues what it signed last")
				return nil
			}
			fmt.Fprintf(c.out, "adopted, and on record: %v\n%d sealed sessions are the log's history now; only checkpoints kept elsewhere tell what it was before\n", wrong, l.Head().N)
			return nil
		})
	})
	return cmd
}

func sessionsRekeyCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rekey", Short: "Seal the sessions' keys with the current key",
		Example: example("sallyport sessions rekey"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	open := auditFlags(c, f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		a, err := open()
		if err != nil {
			return err
		}
		n, err := a.Rekey()
		fmt.Fprintf(c.out, "the keys of %d sessions are sealed with the current key\n", n)
		return err
	})
	return cmd
}
