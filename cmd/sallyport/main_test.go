package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// each calls f with every command that help shows.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, m := range shownCommands(cmd) {
		each(m, f)
	}
}

// words are those that call a command.
func words(cmd *cobra.Command) []string { return strings.Fields(cmd.CommandPath())[1:] }

// Help of every command fits a terminal, says how the command is called, and shows an example
// whose commands and flags exist.
func TestHelp(t *testing.T) {
	r := root(&cli{})
	n := 0
	each(r, func(cmd *cobra.Command) {
		n++
		code, out, errs := sallyport(t, "", append(words(cmd), "--help")...)
		require.Equal(t, exitOK, code, cmd.CommandPath())
		require.Empty(t, errs, "help is what was asked for")
		for line := range strings.Lines(out) {
			require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), columns, "%s: %s", cmd.CommandPath(), line)
		}
		code, again, _ := sallyport(t, "", append([]string{"help"}, words(cmd)...)...)
		require.Equal(t, exitOK, code)
		require.Equal(t, out, again)
		for _, m := range shownCommands(cmd) {
			require.Contains(t, out, "\n  "+m.Name()+" ")
		}
		if cmd == r || cmd.IsAdditionalHelpTopicCommand() {
			return
		}
		require.Contains(t, out, cmd.CommandPath()+" ")
		require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		for line := range strings.Lines(cmd.Example) {
			exists(t, line)
		}
		require.NotRegexp(t, "[a-z]\\.$", cmd.Short)
	})
	require.Greater(t, n, 30)
	code, out, _ := sallyport(t, "")
	require.Equal(t, exitUsage, code)
	require.Contains(t, out, "Usage:")
}

// exists fails unless a line's command and flags exist.
func exists(t *testing.T, line string) {
	t.Helper()
	args := strings.Fields(line)
	if i := slices.IndexFunc(args, func(w string) bool { return strings.HasSuffix(w, "sallyport") }); i >= 0 {
		args = args[i+1:]
	}
	cmd, rest, err := root(&cli{}).Find(args)
	require.NoError(t, err, line)
	_, err = firstWord(cmd, rest)
	require.NoError(t, err, line)
	for i, w := range rest {
		w, _, _ = strings.Cut(strings.Trim(w, "`,.);"), "=")
		switch {
		case w == "--", w == "|", w == ">", w == "#", strings.HasPrefix(w, "#"), cmd.HasSubCommands() && i == 0 && w == "":
			return
		case strings.HasPrefix(w, "--"):
			require.NotNil(t, cmd.Flags().Lookup(w[2:]), "%s: %s", line, w)
		case len(w) > 1 && w[0] == '-':
			require.NotNil(t, cmd.Flags().ShorthandLookup(w[1:2]), "%s: %s", line, w)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--version"}, {"-V"}, {"-h"}, {"sessions", "-h"}, {"ls", "-h"}, {"help"}, {"help", "exit-codes"}, {"exit-codes"}} {
		code, _, errs := sallyport(t, "", args...)
		require.Equal(t, exitOK, code, "%q: %s", args, errs)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"nonsense", "-c", "x"}, `unknown command "nonsense"`},
		{[]string{"sesions"}, "did you mean sessions?"},
		{[]string{"help", "nonsense"}, `unknown command "nonsense"`},
		{[]string{"help", "sessions", "nonsense"}, `unknown command "nonsense"`},
		{[]string{"sessions"}, "ls, search, show"},
		{[]string{"requests"}, "ls, show"},
		{[]string{"policy"}, "explain, test, replay"},
		{[]string{"sessions", "nonsense", "-u", "alice"}, `unknown command "nonsense"; "sallyport sessions --help"`},
		{[]string{"sessions", "nonsense", "--help"}, `unknown command "nonsense"`},
		{[]string{"ls", "--nonsense"}, `ls: unknown flag: --nonsense; "sallyport ls --help" shows the flags`},
		{[]string{"--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"ls", "-x"}, "unknown shorthand flag"},
		{[]string{"ls", "--config"}, "needs an argument"},
		{[]string{"ls", "more"}, `ls: too many words: ["more"]`},
		{[]string{"version", "x"}, "too many words"},
		{[]string{"exec", "orders", "--", "SELECT 1"}, "sallyport exec orders -c TEXT"},
		{[]string{"request", "vm1", "--for", "1h"}, "request: a reason is missing, which approvers see: request --reason WHY vm1"},
		{[]string{"request"}, "request --reason WHY RESOURCE"},
		{[]string{"completion", "tcsh"}, "bash, zsh, fish or powershell"},
		{[]string{"completion"}, "bash, zsh, fish or powershell"},
		{[]string{"connect"}, "a resource's name"},
		{[]string{"verify"}, "a bundle"},
		{[]string{"ls", "--output", "xml"}, `unknown format "xml": want table, wide, json or yaml`},
		{[]string{"report", "-o", "pdf"}, `unknown format "pdf": want csv or html`},
	} {
		code, out, errs := sallyport(t, "", c.args...)
		require.Equal(t, exitUsage, code, "%q: %s", c.args, errs)
		require.Empty(t, out, "%q", c.args)
		require.Contains(t, errs, c.says, "%q", c.args)
		require.Equal(t, 1, strings.Count(errs, "\n"), "%q: %s", c.args, errs)
	}
}

// A flag as it was written when flags had one dash is not read as another: the message says
// how it is written now.
func TestSingleDashFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"check -connect", "check: write -connect with two dashes: --connect"},
		{"check -connect=true", "--connect"},
		{"-connect check", ""},
		{"ls -c x -output json", "--output"},
		{"ls -output=json", "--output"},
		{"sessions ls -user alice", "sessions ls: write -user with two dashes: --user"},
		{"sessions kill ID -reason x", "--reason"},
		{"sessions kill -reason x ID", "--reason"},
		{"verify -key k bundle", "--key"},
		{"serve -v -log-format json", "--log-format"},
		{"requests -help", "--help"},
		{"policy explain -rows 5 -- SELECT", "--rows"},
	} {
		code, _, errs := sallyport(t, "", strings.Fields(c.args)...)
		require.Equal(t, exitUsage, code, c.args)
		require.Contains(t, errs, c.says, c.args)
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, args := range []string{
		"ls -c " + none, "ls -c" + none, "ls -c=" + none, "ls -ojson -c " + none, "ls --config " + none, "ls --config=" + none,
		"sessions erase --reason -reason -c " + none + " ID",   // a value
		"connect --user x -c " + none + " orders -- -config x", // the client's
		"policy explain -c " + none + " rm -rows x",            // the text's
		"sessions search -c " + none + " -- -config",           // a text
		"sessions search some -c " + none + " texts",
	} {
		code, _, errs := sallyport(t, "", strings.Fields(args)...)
		require.Equal(t, exitNotFound, code, "%s: %s", args, errs)
		require.Contains(t, errs, "there is no config file "+none, args)
	}
}

func TestVersion(t *testing.T) {
	require.True(t, strings.HasPrefix(must(t, "version"), "sallyport "))
}

func TestPasswd(t *testing.T) {
	code, out, _ := sallyport(t, "secret\n", "passwd")
	require.Equal(t, exitOK, code)
	require.True(t, strings.HasPrefix(out, "SCRAM-SHA-256$"), out)
	code, _, errs := sallyport(t, "\n", "passwd")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "empty")
}

const good = `
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: "%s"}]}
resources:
  - {name: a, type: postgres, address: "db:5432", username: x, database: x, labels: {env: dev}, listen: "127.0.0.1:7001"}
  - {name: b, type: postgres, address: "db:5433", username: x, labels: {env: prod}}
access:
  - {name: dev, groups: [dev], resources: {env: dev}, allow: [connect, read]}
`

func configFile(t *testing.T, text string) string {
	t.Helper()
	_, verifier, _ := sallyport(t, "secret", "passwd")
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, "%s", strings.TrimSpace(verifier), 1)), 0o600))
	return file
}

func TestCheck(t *testing.T) {
	require.Contains(t, must(t, "check", "-c", configFile(t, good)), "is good: 2 resources, 1 user, 1 access rule")
	code, out, errs := sallyport(t, "", "check", "-c", configFile(t, good))
	require.Equal(t, exitOK, code)
	require.Equal(t, 1, strings.Count(out, "\n"), "notes are not data: %s", out)
	require.Contains(t, errs, "note: ")
	require.Contains(t, errs, ":1: the default masking pack is on, because the file has no masking section")
	require.Contains(t, errs, "the default guardrail pack is on, because the file has no guardrails section")
	code, out, errs = sallyport(t, "", "check", "-c", configFile(t, strings.NewReplacer("labels", "lables", "read]", "reed]").Replace(good)))
	require.Equal(t, exitError, code)
	require.Empty(t, out)
	require.Equal(t, 2, strings.Count(errs, "lables"), "every problem at once: %s", errs)
	require.Contains(t, errs, "labels", "with a hint")
	code, _, _ = sallyport(t, "", "check", "-c", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, exitNotFound, code)
}

func TestList(t *testing.T) {
	file := configFile(t, good)
	require.Equal(t, 3, strings.Count(must(t, "ls", "-c", file), "\n"))
	list := decode[listed[entry]](t, must(t, "ls", "-c", file, "-u", "alice", "-o", "json")).Items
	require.Equal(t, []entry{{Name: "a", Type: "postgres", Listen: "127.0.0.1:7001", User: "alice", Database: "x", Labels: map[string]string{"env": "dev"}}}, list)
	code, _, _ := sallyport(t, "", "ls", "-c", file, "-u", "mallory")
	require.Equal(t, exitNotFound, code)
	code, _, _ = sallyport(t, "", "ls", "-c", file, "-o", "xml")
	require.Equal(t, exitUsage, code)
}
