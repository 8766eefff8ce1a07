// Command sallyport is the reference gateway: the gateway, its command line and
// a demo in one binary. Each command builds values from the library and calls
// it; a gateway of one's own can begin as a copy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes; connect passes its client's own code through.
const (
	exitOK = iota
	exitError
	exitUsage
	exitNotFound
	exitNotLoggedIn
	exitPolicy
	exitApproval
	exitDenied
	exitGuardrail
	exitUnreachable
)

// command is one word of the command line.
type command struct {
	name  string
	args  string
	about string
	run   func(ctx context.Context, c *cli, args []string) error
}

// commands are in the order in which help shows them.
func commands() []command {
	return []command{
		{"demo", "", "run a gateway in front of a private PostgreSQL, with printed users", demo},
		{"serve", "[-c FILE]", "run the gateway", serve},
		{"check", "[-c FILE]", "report everything that is wrong in the config file", check},
		{"ls", "[-c FILE] [-u USER] [-o json]", "list resources", list},
		{"connect", "[-c FILE] [-u USER] NAME [-- ARGS]", "start the native client at a resource", connect},
		{"ssh-config", "[-c FILE] [-u USER]", "print a configuration with which ssh, scp and rsync reach resources by name", sshConfig},
		{"ssh-cert", "[-c FILE] [-u USER] [-for 1h] KEY.pub", "certify a user's key, for logging in by SSH until it expires", sshCert},
		{"policy", "explain -- SQL | test FILE | replay", "explain what a statement would do and which rule answers; test rules; replay recorded operations", policyCommand},
		{"sessions", sessionVerbs, "read the recorded sessions; watch and end the open ones", sessions},
		{"requests", "ls | show ID", "list the operations that wait for approval", requests},
		{"approve", "[-c FILE] [-u USER] [-reason WHY] ID", "let a held operation run", approve},
		{"deny", "[-c FILE] [-u USER] -reason WHY ID", "refuse a held operation", deny},
		{"report", "[-from DAY] [-to DAY] [-o html] [-section NAME] [-dir DIR]", "answer an auditor: who had access and why, what was done, denied and seen unmasked, and what proves it", auditorsReport},
		{"verify", "[-key FILE] [-witness FILE|URL|s3://…] BUNDLE|DIR|s3://BUCKET/PREFIX", "prove that records are as they were sealed", verify},
		{"mask", "[-explain [-jsonl]] [-columns] [FILE]", "mask a text, or list what is found in it", mask},
		{"detokenise", "[-c FILE] [-u USER] TOKEN...", "turn tokens and encrypted values back; needs permission", detokenise},
		{"passwd", "", "turn a password into the verifier that the config file holds", passwd},
		{"version", "", "print the version", version},
		{"completion", "bash|zsh|fish", "print completions for a shell", completion},
	}
}

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
	if len(args) == 0 || wantsHelp(args[0]) {
		if len(args) > 1 { // of one command
			return run(ctx, c, append(slices.Clone(args[1:]), "-h"))
		}
		usage(c.out)
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	if slices.Contains([]string{"-version", "--version", "-V"}, args[0]) {
		args = []string{"version"}
	}
	for _, cmd := range commands() {
		if cmd.name != args[0] {
			continue
		}
		err := cmd.run(ctx, c, args[1:])
		var exit *exitWith
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.As(err, &exit):
			if exit.text != "" {
				fmt.Fprintln(c.err, "sallyport: "+exit.text)
			}
			return exit.code
		default:
			fmt.Fprintln(c.err, "sallyport: "+err.Error())
			return exitError
		}
	}
	fmt.Fprintf(c.err, "sallyport: unknown command %q; \"sallyport help\" lists them\n", args[0])
	return exitUsage
}

// usageWidth is how wide a command with its arguments may be in the table of usage.
const usageWidth = 36

func usage(w io.Writer) {
	fmt.Fprint(w, "Sallyport is a gateway to databases and servers:\nevery operation is authorised, masked and recorded.\n\nUsage: sallyport COMMAND\n\n")
	for _, cmd := range commands() {
		line := strings.TrimSpace(cmd.name + " " + cmd.args)
		if len(line) > usageWidth { // what it is about goes below, so that the table stays narrow
			fmt.Fprintln(w, "  "+strings.Join(wrap(line, terminalWidth-6), "\n      "))
			line = ""
		}
		about := wrap(cmd.about, terminalWidth-usageWidth-4)
		fmt.Fprintf(w, "  %-*s  %s\n", usageWidth, line, strings.Join(about, "\n"+strings.Repeat(" ", usageWidth+4)))
	}
	fmt.Fprint(w, "\n\"sallyport help COMMAND\" shows a command's flags.\n")
}

// terminalWidth is how wide lines for people are at most, in columns.
const terminalWidth = 80

// wrap cuts a text into lines, between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// wantsHelp reports whether a word asks for help.
func wantsHelp(word string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, word)
}

// flags returns a flag set that reports to c and fails with exitUsage.
func (c *cli) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet("sallyport "+name, flag.ContinueOnError)
	f.SetOutput(c.err)
	return f
}

// named fails unless a user was named, by -u or by $USER.
func named(f *flag.FlagSet, user string) error {
	if user == "" {
		return fail(exitUsage, "%s: no user is named: give -u USER", f.Name())
	}
	return nil
}

// parse parses args, with at most max words after the flags.
func parse(f *flag.FlagSet, args []string, max int) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fail(exitUsage, "")
	}
	if f.NArg() > max {
		return fail(exitUsage, "%s: too many words: %q", f.Name(), f.Args()[max:])
	}
	return nil
}

// configFlag adds -c.
func configFlag(f *flag.FlagSet) *string {
	file := os.Getenv("SALLYPORT_CONFIG")
	if file == "" {
		file = "sallyport.yaml"
	}
	return f.String("c", file, "config `file`; $SALLYPORT_CONFIG")
}
