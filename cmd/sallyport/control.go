package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway"
)

// controlFlags adds --config, --socket and --profile, and returns what opens the running
// gateway.
func controlFlags(c *cli, f *pflag.FlagSet) func() (*client.Client, error) {
	file, socket, profile := configFlag(f), socketFlag(f), profileFlag(f)
	return func() (*client.Client, error) { return openControl(c, *file, *socket, *profile) }
}

// lists has cmd print what the gateway lists. get may read flags that cmd has already.
func lists[T any](c *cli, cmd *cobra.Command, kind string, get func(*client.Client, context.Context) ([]T, error), columns ...column[T]) *cobra.Command {
	f := cmd.Flags()
	open, output := controlFlags(c, f), listFlags(f)
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		api, err := open()
		if err != nil {
			return err
		}
		list, err := get(api, ctx)
		if err != nil {
			return answered(err)
		}
		return printList(c.out, output, kind, list, columns...)
	})
	return cmd
}

// openControl returns a client of the gateway at the socket, of that of the profile, or of
// the one that runs by the config file; see byProfile.
func openControl(c *cli, file, socket, profile string) (*client.Client, error) {
	if socket != "" {
		return client.Socket(socket), nil
	}
	if p, err := byProfile(file, profile); err != nil {
		return nil, err
	} else if p != nil {
		return p.api()
	}
	cfg, err := load(c, file)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; give --socket, the file control.sock in the gateway's data directory", err)
	}
	if err != nil {
		return nil, err
	}
	return client.Socket(gateway.Socket(cfg)), nil
}

// byProfile returns the login that a command goes by; nil: the config file. A profile that
// is named comes first, then a config file that is named or there, then the last login.
func byProfile(file, name string) (*profile, error) {
	if name != "" {
		return openProfile(name)
	}
	if file != defaultConfig {
		return nil, nil
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := openProfile("")
	if errors.Is(err, errNotLoggedIn) || errors.Is(err, fs.ErrPermission) { // another user's folder
		return nil, nil // the message about the config file says what to do
	}
	return p, err
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
	code := exitError
	switch refused.Code {
	case control.CodeNotFound:
		code = exitNotFound
	case control.CodeForbidden:
		code = exitPolicy
	case control.CodeUnauthenticated:
		code = exitNotLoggedIn
	case control.CodeBadRequest:
		code = exitUsage
	case control.CodeConflict, control.CodeUnbound:
		code = exitDenied
	case control.CodeOutdated:
		code = exitOutdated
	}
	return &exitWith{code, visible(err.Error())} // what the gateway says is one line
}
