package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/identity"
)

// passwd reads a password, without showing it where a person types, and prints
// its verifier.
func passwd(_ context.Context, c *cli, args []string) error {
	if err := parse(c.flags("passwd"), args, 0); err != nil {
		return err
	}
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
