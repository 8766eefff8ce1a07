package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate sh -c "go run . reference markdown > ../../docs/cli.md"

// referenceCommand writes what help says as a document, and as man pages for packages.
func referenceCommand(c *cli) *cobra.Command {
	return family(
		&cobra.Command{Use: "reference", Hidden: true, Short: "Write the reference of the commands"},
		&cobra.Command{
			Use: "markdown", Short: "Print docs/cli.md", Example: example("sallyport reference markdown > docs/cli.md"), Args: atMost(0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				var b strings.Builder
				writeMarkdown(&b, cmd.Root())
				_, err := io.WriteString(c.out, b.String())
				return err
			},
		},
		&cobra.Command{
			Use: "man DIR", Short: "Write a man page for each command into a directory", Example: example("sallyport reference man /usr/local/share/man/man1"), Args: atMost(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return fail(exitUsage, "reference man needs the directory for the pages")
				}
				return writeManPages(args[0], cmd.Root())
			},
		},
	)
}

const markdownHead = `# The command line

<!-- Written by "go generate ./cmd/sallyport". -->

Tables and text for people, and JSON for programs, go to standard output; progress, questions and errors to standard error. Nothing is coloured, so
that NO_COLOR has nothing to change. JSON and YAML have ` + "`apiVersion` and `kind`" + `; of one version, keys are only added. A list has its members
under ` + "`items`" + `, or one on each line with ` + "`--stream`" + `. Progress is shown on a terminal only.

## Exit codes

| code | meaning |
| --- | --- |
`

// writeMarkdown writes the reference of a tree of commands.
func writeMarkdown(w io.Writer, root *cobra.Command) {
	io.WriteString(w, markdownHead)
	for _, e := range exits {
		fmt.Fprintf(w, "| %d | %s |\n", e.code, e.meaning)
	}
	fmt.Fprintf(w, "\n%s\n", strings.ReplaceAll(exitsPassedOn, `"`, "`"))
	groups := append(root.Groups(), &cobra.Group{Title: "More"})
	for _, g := range groups {
		fmt.Fprintf(w, "\n## %s\n", g.Title)
		for _, m := range shownCommands(root) {
			if m.GroupID == g.ID && !m.IsAdditionalHelpTopicCommand() {
				markdownOf(w, m)
			}
		}
	}
}

func markdownOf(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\n### %s\n\n%s.\n\n", name(cmd), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(w, "%s\n\n", cmd.Long)
	}
	fmt.Fprintf(w, "    %s\n", usageLine(cmd))
	if flags := ownFlags(cmd); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\n%s", indented(flags.FlagUsagesWrapped(columns), "  "))
	}
	fmt.Fprintf(w, "\nFor example:\n\n%s", indented(cmd.Example, "    "))
	for _, m := range shownCommands(cmd) {
		markdownOf(w, m)
	}
}

func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// writeManPages writes a page for each command of a tree into a directory, which is made
// when it is not there.
func writeManPages(dir string, cmd *cobra.Command) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var b strings.Builder
	writeManPage(&b, cmd)
	if err := os.WriteFile(filepath.Join(dir, manName(cmd)+".1"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	for _, m := range shownCommands(cmd) {
		if m.IsAdditionalHelpTopicCommand() {
			continue // each page has the exit codes
		}
		if err := writeManPages(dir, m); err != nil {
			return err
		}
	}
	return nil
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// roff escapes a text for a man page: dashes stay dashes, no line is a request, and all is
// ASCII.
func roff(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func writeManPage(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, ".TH %s 1\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(manName(cmd))), roff(manName(cmd)), roff(cmd.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n%s\n", roff(usageLine(cmd)))
	if cmd.Long != "" {
		fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", roff(cmd.Long))
	}
	if cmd.HasSubCommands() {
		io.WriteString(w, ".SH COMMANDS\n")
		for _, m := range shownCommands(cmd) {
			fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(m.Name()), roff(m.Short))
		}
	}
	if flags := ownFlags(cmd); flags.HasAvailableFlags() {
		io.WriteString(w, ".SH OPTIONS\n")
		flags.VisitAll(func(f *pflag.Flag) {
			kind, usage := pflag.UnquoteUsage(f)
			spelled := "--" + f.Name
			if f.Shorthand != "" {
				spelled = "-" + f.Shorthand + ", " + spelled
			}
			fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(spelled+" "+kind)), roff(usage))
		})
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	io.WriteString(w, ".SH EXIT STATUS\n")
	for _, e := range exits {
		fmt.Fprintf(w, ".TP\n.B %d\n%s\n", e.code, roff(e.meaning))
	}
	fmt.Fprintf(w, ".PP\n%s\n", roff(exitsPassedOn))
	if cmd.HasParent() {
		fmt.Fprintf(w, ".SH SEE ALSO\n.BR %s (1)\n", roff(manName(cmd.Parent())))
	}
}
