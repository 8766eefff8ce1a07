package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

// Commands that destroy records, or keep them from being destroyed.

func sessionsErase(ctx context.Context, c *cli, args []string) error {
	return onRecord(ctx, c, args, "erase", "erased: its content is gone, its proof stays", (*control.Client).Erase, (*audit.Log).Erase)
}

func sessionsHold(ctx context.Context, c *cli, args []string) error {
	return onRecord(ctx, c, args, "hold", "held: it cannot be erased", (*control.Client).Hold, (*audit.Log).Hold)
}

func sessionsRelease(ctx context.Context, c *cli, args []string) error {
	return onRecord(ctx, c, args, "release", "released: it can be erased again", (*control.Client).Release, (*audit.Log).Release)
}

// onRecord asks the running gateway to do something to a recorded session. When none
// runs it is done here, and recorded as a gateway would.
func onRecord(ctx context.Context, c *cli, args []string, verb, done string,
	ask func(*control.Client, context.Context, string, string) error, do func(*audit.Log, audit.Action) error,
) error {
	f := c.flags("sessions " + verb)
	file := configFlag(f)
	socket := socketFlag(f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 0 || *reason == "" {
		return fail(exitUsage, "sessions %s -reason WHY ID", verb)
	}
	gateway, err := openControl(c, *file, *socket)
	if err != nil {
		return err
	}
	id := f.Arg(0)
	err = ask(gateway, ctx, id, *reason)
	if errors.Is(err, control.ErrUnreachable) && *socket == "" {
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
}

// withoutGateway opens the log that no gateway has open.
func withoutGateway(ctx context.Context, cfg *config.File, adopt *audit.Action, do func(*audit.Log) error) error {
	keys, err := cfg.AuditKeys(ctx)
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
		return fmt.Errorf("%w (\"sallyport sessions adopt -reason WHY\")", err)
	}
	return err
}

// sessionsAdopt takes what is there as the log's history, where some of it was lost.
func sessionsAdopt(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions adopt")
	file := configFlag(f)
	reason := f.String("reason", "", "the `reason`, which is recorded; required")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *reason == "" {
		return fail(exitUsage, "sessions adopt -reason WHY")
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
}

func sessionsRekey(ctx context.Context, c *cli, args []string) error {
	f := c.flags("sessions rekey")
	open := auditFlags(c, f)
	if err := parse(f, args, 0); err != nil {
		return err
	}
	a, err := open()
	if err != nil {
		return err
	}
	n, err := a.Rekey()
	fmt.Fprintf(c.out, "the keys of %d sessions are sealed with the current key\n", n)
	return err
}
