package main

import "context"

// demo has no servers to start here: PostgreSQL and SSH of the demo are started as Unix does it.
func demo(context.Context, *cli, []string) error {
	return fail(exitError, "demo: it runs on Linux and macOS only; on Windows run it in WSL, or write a config file and run \"sallyport serve\"")
}
