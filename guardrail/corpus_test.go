package guardrail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// corpus returns the lines of a file of commands, without its comments.
func corpus(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	var list []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		rest, goesOn := strings.CutPrefix(line, "\t")
		switch {
		case goesOn:
			list[len(list)-1] += "\n" + rest
		case line != "" && !strings.HasPrefix(line, "# "):
			list = append(list, line)
		}
	}
	return list
}

// TestEverydayCommands: nobody is kept from the work of every day.
func TestEverydayCommands(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	list := corpus(t, "commands.txt")
	require.GreaterOrEqual(t, len(list), 200)
	for _, command := range list {
		v := ask(s, execute(command))
		require.False(t, v.Refuses(), "%s: %s", command, v.Message())
		require.False(t, shell.Grammar{}.IsShell(command), command)
	}
}

// TestAskingForAShell: in any spelling it is the operation "shell", not a command of
// which nobody can tell what it does.
func TestAskingForAShell(t *testing.T) {
	for _, command := range corpus(t, "shells.txt") {
		require.True(t, shell.Grammar{}.IsShell(command), command)
	}
	for _, class := range corpus(t, "attacks.txt") {
		if command, attack := strings.CutPrefix(class, "! "); attack {
			require.False(t, shell.Grammar{}.IsShell(command), command)
		}
	}
}

// TestAttackCommands: what wipes a disk or stops the machine is refused in every
// form, by the rule that is about it; what only looks like it is not.
func TestAttackCommands(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	rule, class := "", ""
	refused, neighbours := make(map[string]int), make(map[string]int)
	for _, line := range corpus(t, "attacks.txt") {
		mark, command, _ := strings.Cut(line, " ")
		switch mark {
		case "!":
			refused[class]++
			v := ask(s, execute(command))
			if !v.Refuses() || v.Rule != rule {
				t.Errorf("%s: %q: got %q, want a refusal by %s", class, command, v.Message(), rule)
			}
		case "=":
			neighbours[class]++
			if v := ask(s, execute(command)); v.Refuses() {
				t.Errorf("%s: %q: got %q, want it to run", class, command, v.Message())
			}
		default:
			rule, class = strings.Trim(mark, "[]"), command
		}
	}
	require.GreaterOrEqual(t, len(refused), 10)
	for class, n := range refused {
		require.GreaterOrEqual(t, n, 10, class)
		require.Positive(t, neighbours[class], class)
	}
}

// TestTypedCommands: of a line of several only what is certain is refused, so that
// scripts which are given to a shell go on.
func TestTypedCommands(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	typed := func(line string) *proxy.Verdict {
		return ask(s, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindInput}, Command: line})
	}
	for _, line := range corpus(t, "installer.sh") {
		v := typed(line)
		require.False(t, v.Refuses(), "%s: %s", line, v.Message())
	}
	for _, line := range []string{"rm -rf /", "cd / && rm -rf *", "rm -rf ~", "reboot", "echo x > /dev/sda", "\tsystemctl poweroff", "bash -c 'rm -rf /'"} {
		require.True(t, typed(line).Refuses(), line)
	}
}
