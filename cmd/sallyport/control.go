package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
)

// controlSocket is where a running gateway is talked to.
func controlSocket(f *config.File) string { return filepath.Join(f.Data(), "control.sock") }

// serveControl serves h until ctx ends.
func serveControl(ctx context.Context, ln net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ConnContext: control.PeerContext, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	// What is watched ends with its session: nobody is waited for.
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// controlFlags adds -c and returns what opens the running gateway's socket.
func controlFlags(c *cli, f *flag.FlagSet) func() (*control.Client, error) {
	file := configFlag(f)
	return func() (*control.Client, error) {
		cfg, err := load(c, *file)
		if err != nil {
			return nil, err
		}
		return control.NewClient(controlSocket(cfg)), nil
	}
}

// answered gives an error of a running gateway its exit code.
func answered(err error) error {
	if errors.Is(err, control.ErrUnreachable) {
		return fail(exitUnreachable, "%v", err)
	}
	var refused *control.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Code {
	case control.CodeNotFound:
		return fail(exitNotFound, "%v", err)
	case control.CodeForbidden:
		return fail(exitPolicy, "%v", err)
	case control.CodeUnauthenticated:
		return fail(exitNotLoggedIn, "%v", err)
	case control.CodeBadRequest:
		return fail(exitUsage, "%v", err)
	case control.CodeConflict:
		return fail(exitDenied, "%v", err)
	}
	return err
}
