package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway"
)

// controlFlags adds --config and --socket, and returns what opens the running gateway's
// socket.
func controlFlags(c *cli, f *pflag.FlagSet) func() (*client.Client, error) {
	file := configFlag(f)
	socket := socketFlag(f)
	return func() (*client.Client, error) { return openControl(c, *file, *socket) }
}

// openControl returns a client of the gateway at the socket, or else of the one that
// runs by the config file.
func openControl(c *cli, file, socket string) (*client.Client, error) {
	if socket == "" {
		cfg, err := load(c, file)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w; give --socket, the file control.sock in the gateway's data directory", err)
		}
		if err != nil {
			return nil, err
		}
		socket = gateway.Socket(cfg)
	}
	return client.Socket(socket), nil
}

// answered gives an error of a running gateway its exit code.
func answered(err error) error {
	if errors.Is(err, client.ErrUnreachable) {
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
