package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
	"github.com/sallyport/sallyport/internal/systemd"
)

// configOptions are what config files are read with: everything that this module has.
func configOptions() config.Options {
	o := gateway.Defaults()
	o.Rego = rego.Engine{}
	return o
}

// load reads a config file and reports its problems, a line each.
func load(c *cli, file string) (*config.File, error) {
	f, err := gateway.Load(file, configOptions())
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			fmt.Fprintln(c.err, p)
		}
		return nil, fail(exitError, "%s in %s", counted(len(problems), "problem"), file)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(exitNotFound, "there is no config file %s; name one with --config, or log in: sallyport login URL", file)
	}
	return f, err
}

func serveCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", GroupID: operatorGroup, Short: "Run the gateway",
		Example: example("sallyport serve --config /etc/sallyport/sallyport.yaml --log-format json"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file := configFlag(f)
	verbose := f.BoolP("verbose", "v", false, "log more")
	format := f.String("log-format", "text", "`format` of the log: text or json")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		log, err := logger(c, *format, *verbose)
		if err != nil {
			return err
		}
		if err := hideMemory(); err != nil {
			return err
		}
		hangups, terms := make(chan os.Signal, 1), make(chan os.Signal, 2)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		signal.Notify(terms, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(terms)
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		log.Info("starting", append([]any{"version", versionText(), "pid", os.Getpid()}, summaryOf(*file, cfg)...)...)
		sockets, err := systemd.Given()
		if err != nil {
			return err
		}
		g, err := gateway.New(cfg, gateway.Options{Log: log, Version: versionText(), Listen: sockets.Listen})
		if err != nil {
			return withRemedy(err)
		}
		if err := g.Listen(); err != nil {
			return withRemedy(err)
		}
		sockets.CloseRest(log)
		systemd.Started(log)
		stop := context.AfterFunc(ctx, func() { systemd.Stopping(log) })
		defer stop()
		running, ended := context.WithCancel(context.WithoutCancel(ctx))
		var beside sync.WaitGroup
		beside.Go(func() { onHangup(running, hangups, g, log) })
		beside.Go(func() { onSecondTerm(running, terms, g, log) })
		beside.Go(func() { systemd.Watchdog(running, g, log) })
		err = g.Run(ctx)
		ended()
		beside.Wait()
		return err
	})
	return cmd
}

// logger is where the gateway says what operators should know.
func logger(c *cli, format string, verbose bool) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		o.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(c.err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.err, o)), nil
	}
	return nil, fail(exitUsage, "unknown format %q of the log: want text or json", format)
}

// summaryOf is what a config file says, in a line of the log.
func summaryOf(file string, cfg *config.File) []any {
	guardrails, masking := cfg.Packs()
	return []any{
		"config", file, "data", cfg.Data(), "resources", len(cfg.Resources), "users", len(cfg.Identity.Users), "access_rules", len(cfg.Access),
		"guardrails", len(cfg.Guardrails), "guardrail_pack", guardrails, "masking_rules", len(cfg.Masking), "masking_pack", masking,
	}
}

// onHangup has the config file and certificates read again at every SIGHUP, until ctx
// ends.
func onHangup(ctx context.Context, hangups <-chan os.Signal, g *gateway.Gateway, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		log.Info("SIGHUP: reading the config file and the certificates again")
		systemd.Reloading(log)
		// Both log how it went.
		_ = g.RenewCertificate()
		_ = g.Reload()
		systemd.Started(log)
	}
}

// onSecondTerm has the gateway stop at once when it is told to stop once more, until ctx ends.
func onSecondTerm(ctx context.Context, terms <-chan os.Signal, g *gateway.Gateway, log *slog.Logger) {
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case s := <-terms:
			if n > 1 {
				log.Info("told to stop once more: open sessions end now", "signal", s.String())
				g.Hurry()
			}
		}
	}
}
