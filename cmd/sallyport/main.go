// Command sallyport is the reference gateway: the gateway, its command line and
// a demo in one binary. Each command builds values from the library and calls
// it; a gateway of one's own can begin as a copy.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // rules name time zones, which not every machine has
)

// cli is where a command reads and writes. Data goes to out, the rest to err.
type cli struct {
	in       io.Reader
	out, err io.Writer
}

// exitWith ends the program with a code; its text was perhaps said already.
type exitWith struct {
	code int
	text string
}

func (e *exitWith) Error() string { return e.text }

func fail(code int, format string, args ...any) error {
	return &exitWith{code, fmt.Sprintf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &cli{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, c *cli, args []string) int {
	err := execute(ctx, c, args)
	if err == nil {
		return exitOK
	}
	code := exitError
	var exit *exitWith
	if errors.As(err, &exit) {
		code = exit.code
	}
	if err.Error() != "" {
		for line := range strings.SplitSeq("sallyport: "+err.Error(), "\n") {
			fmt.Fprintln(c.err, visible(line)) // a gateway may have written it
		}
	}
	return code
}
