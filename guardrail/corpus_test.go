package guardrail_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/internal/corpus"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// read returns what a file of the corpus holds.
func read(t *testing.T, name string, as func(io.Reader) ([]corpus.Case, error)) []corpus.Case {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	require.NoError(t, err)
	defer file.Close()
	list, err := as(file)
	require.NoError(t, err, name)
	return list
}

// TestEverydayCommands: nobody is kept from the work of every day.
func TestEverydayCommands(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	list := read(t, "commands.txt", corpus.Read)
	require.GreaterOrEqual(t, len(list), 200)
	for _, c := range list {
		v := ask(s, execute(c.Text))
		require.False(t, v.Refuses(), "%s: %s", c.Text, v.Message())
		require.False(t, shell.Grammar{}.IsShell(c.Text), c.Text)
	}
}

// TestAskingForAShell: in any spelling it is the operation "shell", not a command of
// which nobody can tell what it does.
func TestAskingForAShell(t *testing.T) {
	for _, c := range read(t, "shells.txt", corpus.Read) {
		require.True(t, shell.Grammar{}.IsShell(c.Text), c.Text)
	}
	for _, c := range read(t, "attacks.txt", corpus.ReadAttacks) {
		require.False(t, c.Refused && shell.Grammar{}.IsShell(c.Text), c.Text)
	}
}

// TestAttackCommands: what wipes a disk or stops the machine is refused in every
// form, by the rule that is about it; what only looks like it is not.
func TestAttackCommands(t *testing.T) {
	s := proxytest.Session(t, create(t, guardrail.Defaults()...))
	refused, neighbours := make(map[string]int), make(map[string]int)
	for _, c := range read(t, "attacks.txt", corpus.ReadAttacks) {
		v := ask(s, execute(c.Text))
		if c.Refused {
			refused[c.Part]++
			if !v.Refuses() || v.Rule != c.Rule {
				t.Errorf("%s: %q: got %q, want a refusal by %s", c.Part, c.Text, v.Message(), c.Rule)
			}
			continue
		}
		neighbours[c.Part]++
		if v.Refuses() {
			t.Errorf("%s: %q: got %q, want it to run", c.Part, c.Text, v.Message())
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
	for _, c := range read(t, "installer.sh", corpus.Read) {
		v := typed(c.Text)
		require.False(t, v.Refuses(), "%s: %s", c.Text, v.Message())
	}
	for _, line := range []string{"rm -rf /", "cd / && rm -rf *", "rm -rf ~", "reboot", "echo x > /dev/sda", "\tsystemctl poweroff", "bash -c 'rm -rf /'"} {
		require.True(t, typed(line).Refuses(), line)
	}
}
