package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
)

// load reads a config file and reports its problems, a line each.
func load(c *cli, file string) (*config.File, error) {
	f, err := gateway.Load(file, config.Options{})
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			fmt.Fprintln(c.err, p)
		}
		return nil, fail(exitError, "%d problems in %s", len(problems), file)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(exitNotFound, "there is no config file %s; name one with -c", file)
	}
	return f, err
}

func serve(ctx context.Context, c *cli, args []string) error {
	f := c.flags("serve")
	file := configFlag(f)
	verbose := f.Bool("v", false, "log more")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level}))
	g, err := gateway.New(cfg, gateway.Options{Log: log})
	if err != nil {
		return withRemedy(err)
	}
	return g.Run(ctx)
}

func check(_ context.Context, c *cli, args []string) error {
	f := c.flags("check")
	file := configFlag(f)
	if err := parse(f, args, 0); err != nil {
		return err
	}
	cfg, err := load(c, *file)
	if err != nil {
		return err
	}
	// What building finds is told too: files that are named and cannot be read.
	if _, err := cfg.Directory(); err != nil {
		return err
	}
	if _, err := cfg.ClientTLS(); err != nil {
		return err
	}
	for _, n := range cfg.Notices() {
		fmt.Fprintln(c.err, "note: "+n.String())
	}
	fmt.Fprintf(c.out, "%s is good: %d resources, %d users, %d access rules\n", *file, len(cfg.Resources), len(cfg.Identity.Users), len(cfg.Access))
	return nil
}
