package main

import "github.com/spf13/cobra"

// demoCommand has no servers to start here: those of the demo are started as Unix does it.
func demoCommand(*cli) *cobra.Command {
	return &cobra.Command{
		Use: "demo", GroupID: everydayGroup, Short: "Run a gateway in front of a private PostgreSQL and MariaDB; on Linux and macOS only",
		Example: example("sallyport demo"),
		RunE: func(*cobra.Command, []string) error {
			return fail(exitError, "demo: it runs on Linux and macOS only; on Windows run it in WSL, or write a config file and run \"sallyport serve\"")
		},
	}
}
