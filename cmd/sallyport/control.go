package main

import (
	"errors"
	"flag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway"
)

// controlFlags adds -c and returns what opens the running gateway's socket.
func controlFlags(c *cli, f *flag.FlagSet) func() (*control.Client, error) {
	file := configFlag(f)
	return func() (*control.Client, error) {
		cfg, err := load(c, *file)
		if err != nil {
			return nil, err
		}
		return control.NewClient(gateway.Socket(cfg)), nil
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
