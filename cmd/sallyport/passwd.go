package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/identity"
)

// passwdCommand reads a password, without showing it where a person types, and prints
// its verifier.
func passwdCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use: "passwd", GroupID: operatorGroup, Short: "Turn a password into the verifier that the config file holds",
		Long:    "It asks for the password twice and does not show it. A program gives it as the first line\nof the input. What it prints is a new verifier each time, and tells nobody the password.",
		Example: example("sallyport passwd"),
		Args:    atMost(0),
	}
	cmd.RunE = does(func(_ context.Context, _ []string) error {
		password, err := readPassword(c)
		if err != nil {
			return err
		}
		if password == "" {
			return fail(exitUsage, "the password is empty")
		}
		v, err := identity.NewVerifier(password)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, v)
		return nil
	})
	return cmd
}

func readPassword(c *cli) (string, error) {
	f, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(c.err, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.err)
		if err != nil {
			return "", err
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", fail(exitUsage, "the two passwords differ")
	}
	return typed[0], nil
}
