package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

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
	ask := c.prompter()
	password, err := ask.secret("", "Password: ")
	if err != nil || ask.terminal() == nil {
		return password, err
	}
	again, err := ask.secret("", "Again: ")
	if err == nil && again != password {
		err = fail(exitUsage, "the two passwords differ")
	}
	return password, err
}
