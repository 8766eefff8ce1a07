package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// columns is the width of a terminal that nobody has made wider.
const columns = 80

// helpCommand is "sallyport help".
func helpCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show what a command does, with its flags",
		Example: example("sallyport help connect", "sallyport help exit-codes"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
			if about, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, m := range shownCommands(about) {
					list = append(list, cobra.CompletionWithDesc(m.Name(), m.Short))
				}
			}
			return list, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkWords(cmd.Root(), args); err != nil {
				return err
			}
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			writeHelp(c.out, about)
			return nil
		},
	}
}

// shownCommands are the members of a command's family that help shows.
func shownCommands(cmd *cobra.Command) (list []*cobra.Command) {
	for _, m := range cmd.Commands() {
		if !m.Hidden {
			list = append(list, m)
		}
	}
	return list
}

// writeHelp says what a command does and how it is called, in 80 columns.
func writeHelp(w io.Writer, cmd *cobra.Command) {
	if cmd.IsAdditionalHelpTopicCommand() {
		fmt.Fprintln(w, cmd.Long)
		return
	}
	about := cmd.Short
	if cmd.Long != "" {
		about += ".\n\n" + cmd.Long
	}
	for paragraph := range strings.SplitSeq(about, "\n\n") {
		fmt.Fprintf(w, "%s\n\n", strings.Join(wrap(paragraph, columns), "\n"))
	}
	fmt.Fprintf(w, "Usage:\n  %s\n", strings.Join(wrap(usageLine(cmd), columns-6), "\n      "))
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.ReplaceAll(cmd.Example, "\n", "\n  "))
	}
	writeMembers(w, cmd)
	if flags := ownFlags(cmd); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsagesWrapped(columns))
	}
	if cmd.HasSubCommands() {
		fmt.Fprintf(w, "\n%s\n", strings.Join(wrap(fmt.Sprintf("%q shows a command's flags, \"sallyport help exit-codes\" what exit codes mean.", cmd.CommandPath()+" COMMAND --help"), columns), "\n"))
	}
}

// usageLine is how a command is written.
func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	if cmd.HasSubCommands() {
		line += " COMMAND"
	}
	if _, words, found := strings.Cut(cmd.Use, " "); found {
		return line + " [FLAGS] " + words
	}
	return line + " [FLAGS]"
}

// ownFlags are the flags that a command has, but those that every command has.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	own := pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			own.AddFlag(f)
		}
	})
	return own
}

// writeMembers lists a command's family, in its groups.
func writeMembers(w io.Writer, cmd *cobra.Command) {
	width := 0
	for _, m := range shownCommands(cmd) {
		width = max(width, len(m.Name()))
	}
	list := func(title, group string) {
		for _, m := range shownCommands(cmd) {
			if m.GroupID != group {
				continue
			}
			if title != "" {
				fmt.Fprintf(w, "\n%s:\n", title)
				title = ""
			}
			fmt.Fprintf(w, "  %-*s  %s\n", width, m.Name(), strings.Join(wrap(m.Short, columns-width-4), "\n"+strings.Repeat(" ", width+4)))
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	if len(cmd.Groups()) > 0 {
		list("More", "")
	} else {
		list("Commands", "")
	}
}

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
