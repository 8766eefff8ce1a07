package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
)

// connectCommand starts the native client. Its exit code is ours.
func connectCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "connect NAME [-- ARGS]", GroupID: everydayGroup, Short: "Start the native client at a resource; its exit code is passed on",
		Long:              "Who has logged in needs no password: the client shows the login's certificate. --print shows the command, and URLs for other programs, such as JDBC's for DBeaver. A resource of type tcp has no client that is known: a port of this machine leads to it, and ARGS are a program that is run meanwhile, in which {host}, {port} and {address} are replaced by those of that port. Every program and user of this machine can use the port.",
		Example:           example("sallyport connect orders", "sallyport connect orders -- -c 'SELECT 1'", "sallyport connect orders --print", "sallyport connect cache --listen 127.0.0.1:6379", "sallyport connect cache -- redis-cli -p {port}", "sallyport connect orders --config sallyport.yaml --user alice"),
		ValidArgsFunction: offers(c, resources, false),
		Args:              cobra.ArbitraryArgs,
	}
	f := cmd.Flags()
	file, user, profile := configFlag(f), userFlag(f, "log in as this `user` of the config file"), profileFlag(f)
	account := f.StringP("account", "a", "", "use this `account` of the resource")
	database := f.StringP("database", "d", "", "use this `database`; empty is the resource's")
	printed := f.Bool("print", false, "print how programs connect, and start none")
	listen := f.String("listen", "", "for a resource of type tcp: the `address` of this machine that leads to it, such as 127.0.0.1:6379 or unix:PATH; empty is a free port of 127.0.0.1")
	cmd.RunE = does(func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return fail(exitUsage, "connect needs a resource's name; \"sallyport ls\" lists them")
		}
		p, err := byProfile(*file, *profile)
		if err != nil {
			return err
		}
		if p != nil {
			return p.connect(ctx, c, args, *account, *database, *listen, *printed)
		}
		if err := named(cmd, *user); err != nil {
			return err
		}
		name, rest := args[0], args[1:]
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		list, err := entries(cfg, *user)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(e entry) bool { return e.Name == name })
		if i < 0 {
			return fail(exitNotFound, "%s may not connect to resource %q, or it does not exist", *user, name)
		}
		at, err := endpoint(cfg, list[i], *account, *database, rest)
		if err != nil {
			return err
		}
		if *printed {
			return printWays(c, list[i].Type, at)
		}
		if via := connectorOf(cfg.Protocols(), list[i].Type); via != nil {
			return c.lead(ctx, via, at, *listen, nil)
		} else if *listen != "" {
			return errNoConnector(list[i].Type)
		}
		cmd, err := native(cfg.Protocols(), list[i].Type, at)
		if err != nil {
			return err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
		return runClient(cmd)
	})
	return cmd
}

// connect starts the native client with what the login has left.
func (p *profile) connect(ctx context.Context, c *cli, args []string, account, database, listen string, printed bool) error {
	r, at, err := p.reach(ctx, args[0], account, database)
	if err != nil {
		return err
	}
	at.Args = args[1:]
	if printed {
		return printWays(c, r.Type, at)
	}
	if via := connectorOf(gateway.Defaults().Protocols, r.Type); via != nil {
		return c.lead(ctx, via, at, listen, p.renew)
	} else if listen != "" {
		return errNoConnector(r.Type)
	}
	cmd, err := native(gateway.Defaults().Protocols, r.Type, at)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	return runClient(cmd)
}

// endpoint is a resource of a config file as native clients are told of it.
func endpoint(cfg *config.File, e entry, account, database string, args []string) (*protocol.Endpoint, error) {
	host, port, err := net.SplitHostPort(e.Listen)
	if err != nil {
		return nil, err
	}
	login := e.User
	if account != "" {
		if !strings.Contains(login, "+") {
			login += "+" + e.Name
		}
		login += "+" + account
	}
	if database == "" {
		database = e.Database
	}
	at := &protocol.Endpoint{
		Resource: e.Name, Host: host, Port: port, User: login, Database: database, Dir: gateway.Dir(cfg, e.Type), RequireTLS: gateway.RequireTLS(cfg), Args: args,
	}
	root := gateway.AuthorityFile(cfg)
	if _, err := os.Stat(root); err == nil && cfg.TLS == nil {
		at.CA = root
	}
	return at, nil
}

// native is the command of the native client of a type of resources.
func native(list []protocol.Protocol, typ string, at *protocol.Endpoint) (*exec.Cmd, error) {
	i := slices.IndexFunc(list, func(p protocol.Protocol) bool { return p.Name == typ })
	if i < 0 || list[i].Client == nil {
		return nil, fail(exitError, "no client is known for type %s", typ)
	}
	line, err := list[i].Client(*at)
	if err != nil {
		return nil, err
	}
	return started(line)
}

// started is a command line that is to be started, with the environment of this process.
func started(line *protocol.Command) (*exec.Cmd, error) {
	program, err := exec.LookPath(line.Program)
	if err != nil {
		return nil, fail(exitError, "%s is not installed", line.Program)
	}
	cmd := exec.Command(program, line.Args...)
	cmd.Env = append(os.Environ(), line.Env...)
	return cmd, nil
}

// runClient runs a client that has the terminal. Its exit code, or 128 and the number of the
// signal that ended it, is that of the error. Ctrl-C is the client's own; SIGTERM is handed to
// it.
func runClient(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				cmd.Process.Kill() // where there are no signals
			}
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				return err
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return fail(128+int(status.Signal()), "")
			}
			return fail(exit.ExitCode(), "")
		}
	}
}
