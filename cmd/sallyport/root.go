package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// The groups of commands, in the order in which help shows them.
const (
	everydayGroup = "everyday"
	operatorGroup = "operator"
	recordsGroup  = "records"
	dataGroup     = "data"
)

// root is the tree of commands.
func root(c *cli) *cobra.Command {
	cobra.EnableCommandSorting = false // they are in the order of their use
	r := family(&cobra.Command{
		Use: "sallyport", Short: "Sallyport is a gateway to databases and servers: every operation is authorised, masked and recorded.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	},
		demoCommand(c), loginCommand(c), logoutCommand(c), whoamiCommand(c), meCommand(c), statusCommand(c), listCommand(c), describeCommand(c), canCommand(c), connectCommand(c), execCommand(c), proxyCommand(c),
		sshConfigCommand(c), sshCertCommand(c), kubeConfigCommand(c), kubeTokenCommand(c), awsCredentialsCommand(c), tokenCommand(c), mcpCommand(c), requestCommand(c), requestsCommand(c), approveCommand(c), denyCommand(c), runbooksCommand(c),
		serveCommand(c), agentCommand(c), readyCommand(c), checkCommand(c), doctorCommand(c), schemaCommand(c), applyCommand(c), diffCommand(c), getCommand(c), deleteCommand(c), revisionsCommand(c),
		policyCommand(c), adminCommand(c), passwdCommand(c), backupCommand(c), restoreCommand(c),
		sessionsCommand(c), auditorsReportCommand(c), complianceCommand(c), verifyCommand(c),
		maskCommand(c), detokeniseCommand(c),
		versionCommand(c), completionCommand(c), exitCodesTopic(), referenceCommand(c),
	)
	r.AddGroup(
		&cobra.Group{ID: everydayGroup, Title: "Everyday"},
		&cobra.Group{ID: operatorGroup, Title: "Running a gateway"},
		&cobra.Group{ID: recordsGroup, Title: "Records"},
		&cobra.Group{ID: dataGroup, Title: "Sensitive values"},
	)
	r.SetHelpCommand(helpCommand(c))
	r.InitDefaultHelpCmd()
	r.RunE = func(*cobra.Command, []string) error {
		writeHelp(c.out, r)
		return fail(exitUsage, "")
	}
	r.SetIn(c.in)
	r.SetOut(c.out)
	r.SetErr(c.err)
	r.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(c.out, cmd) })
	r.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fail(exitUsage, "%s: %v; \"%s --help\" shows the flags", name(cmd), err, cmd.CommandPath())
	})
	completeFlags(c, r)
	return r
}

// execute runs one command line.
func execute(ctx context.Context, c *cli, args []string) error {
	r := root(c)
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-V") {
		args = append([]string{"version"}, args[1:]...)
	}
	if len(args) == 0 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		if err := checkWords(r, args); err != nil {
			return err
		}
	}
	r.SetArgs(args)
	return r.ExecuteContext(ctx)
}

// family is a command that has commands of its own, and does nothing itself.
func family(cmd *cobra.Command, members ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(members...)
	cmd.Args = cobra.ArbitraryArgs // checkWords has seen them
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, m := range cmd.Commands() {
			if m.IsAvailableCommand() {
				names = append(names, m.Name())
			}
		}
		return fail(exitUsage, "%s needs one of its commands: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
	return cmd
}

// does is what a command does.
func does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return f(cmd.Context(), args) }
}

// name is how messages call a command.
func name(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// example is the text of a command's examples, a line each.
func example(lines ...string) string { return strings.Join(lines, "\n") }

// atMost refuses more words than max after the command and its flags.
func atMost(max int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > max {
			return fail(exitUsage, "%s: too many words: %q", name(cmd), args[max:])
		}
		return nil
	}
}
