package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

// checkCommand reports everything that is wrong with a config file and with what it refers to.
func checkCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", GroupID: operatorGroup, Short: "Report everything that is wrong in the config file",
		Example: example("sallyport check --config sallyport.yaml --connect"),
		Args:    atMost(0),
	}
	f := cmd.Flags()
	file := configFlag(f)
	connect := f.Bool("connect", false, "log in to each resource, and report each")
	cmd.RunE = does(func(ctx context.Context, _ []string) error {
		cfg, err := load(c, *file)
		if err != nil {
			return err
		}
		problems := append(cfg.Check(ctx), atMachine(ctx, *file, cfg)...)
		if err := cfg.Safe(); err != nil {
			problems = append(problems, config.Problem{File: *file, Line: 1, Text: err.Error()})
		}
		slices.SortStableFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line })
		for _, p := range problems {
			fmt.Fprintln(c.err, p)
		}
		for _, n := range cfg.Notices() {
			fmt.Fprintln(c.err, "note: "+n.String())
		}
		n := len(problems)
		if *connect {
			failed, err := reachAll(ctx, c, cfg)
			if err != nil {
				return err
			}
			n += failed
		}
		if n > 0 {
			return fail(exitError, "%s in %s", counted(n, "problem"), *file)
		}
		fmt.Fprintf(c.out, "%s is good: %s, %s, %s\n", *file, counted(len(cfg.Resources), "resource"), counted(len(cfg.Identity.Users), "user"), counted(len(cfg.Access), "access rule"))
		return nil
	})
	return cmd
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// atMachine reports what the file asks of this machine that it does not have: ports,
// and users of the control socket.
func atMachine(ctx context.Context, file string, cfg *config.File) (list []config.Problem) {
	problem := func(line int, hint, format string, args ...any) {
		list = append(list, config.Problem{File: file, Line: max(1, line), Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	if _, err := client.Socket(gateway.Socket(cfg)).Sessions(ctx); errors.Is(err, client.ErrUnreachable) {
		addresses := []string{}
		for _, l := range cfg.Listeners() {
			addresses = append(addresses, l.Address)
		}
		if cfg.Metrics != "" {
			addresses = append(addresses, cfg.Metrics)
		}
		for _, address := range addresses {
			ln, err := net.Listen("tcp", address)
			switch {
			case errors.Is(err, syscall.EADDRINUSE):
				problem(cfg.LineOf(address), "stop what listens there, or choose another port", "listen: %s is in use by another process", address)
			case err != nil:
				problem(cfg.LineOf(address), "", "listen: %v", err)
			default:
				ln.Close()
			}
		}
	}
	others := cfg.ControlUsers()
	for _, name := range others {
		if _, err := user.Lookup(name); err != nil {
			problem(cfg.Control[0].Line, "name users of the machine that the gateway runs on", "control: %q is not a user of this machine", name)
		}
	}
	if len(others) == 0 {
		return list
	}
	data, err := filepath.Abs(cfg.Data())
	for dir := filepath.Dir(data); err == nil; dir = filepath.Dir(dir) {
		if st, serr := os.Stat(dir); serr == nil && st.Mode().Perm()&0o001 == 0 {
			problem(cfg.Control[0].Line, "let others pass through it (chmod o+x), or choose another data_dir", "control: other users cannot reach the socket through %s", dir)
		} else if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			problem(cfg.Control[0].Line, "", "control: %v", serr)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return list
}

// reachAll logs in to each account of each resource, and returns how many failed.
func reachAll(ctx context.Context, c *cli, cfg *config.File) (failed int, err error) {
	x, err := gateway.NewExplainer(cfg, gateway.Options{})
	if err != nil {
		return 0, err
	}
	defer x.Close()
	x.ReachEach(ctx, func(r *proxy.Resource, name string, tried bool, err error) {
		switch {
		case !tried:
			fmt.Fprintf(c.out, "resource %s: not tried: %v\n", name, err)
		case err != nil:
			failed++
			fmt.Fprintf(c.err, "%s: %s\n", cfg.At(r.Name), visible("resource "+name+": "+unreachable(r.Name, err)))
		default:
			fmt.Fprintf(c.out, "resource %s: logged in\n", name)
		}
	})
	return failed, nil
}

// unreachable says why a resource cannot be reached, and what to do about a certificate.
func unreachable(resource string, err error) string {
	text := strings.TrimPrefix(err.Error(), "resource "+resource+": ")
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		text += " (name its authority with tls: {ca: FILE}, and the name in its certificate with server_name)"
	}
	return text
}
