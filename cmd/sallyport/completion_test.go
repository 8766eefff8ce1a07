package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// completed are the words that a shell would offer for the last of args, without what is
// said of them.
func completed(t *testing.T, args ...string) (list []string) {
	t.Helper()
	code, out, errs := sallyport(t, "", append([]string{"__complete"}, args...)...)
	require.Equal(t, exitOK, code, errs)
	for line := range strings.Lines(out) {
		if word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); !strings.HasPrefix(word, ":") {
			list = append(list, word)
		}
	}
	return list
}

func TestCompletion(t *testing.T) {
	file := configFile(t, good)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"sess"}, []string{"sessions"}},
		{[]string{"requests", ""}, []string{"ls", "show", "reveal", "edit", "propose", "accept", "cancel", "revoke", "review"}},
		{[]string{"help", "requests", ""}, []string{"ls", "show", "reveal", "edit", "propose", "accept", "cancel", "revoke", "review"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish", "powershell"}},
		{[]string{"ls", "--output", ""}, []string{"table", "wide", "json", "yaml"}},
		{[]string{"report", "-o", ""}, []string{"csv", "html"}},
		{[]string{"check", "--conn"}, []string{"--connect"}},
		{[]string{"connect", "-c", file, ""}, []string{"a", "b"}},
		{[]string{"connect", "--config=" + file, "-u", "alice", ""}, []string{"a"}},
		{[]string{"connect", "-c", file, "a", ""}, nil},
		{[]string{"policy", "explain", "-c", file, "--resource", ""}, []string{"a", "b"}},
		{[]string{"sessions", "ls", "-c", file, "--user", ""}, []string{"alice"}},
		{[]string{"sessions", "search", "-c", file, "--group", ""}, []string{"dev"}},
		{[]string{"connect", "-c", file, "a", "--account", ""}, []string{"default"}},
		{[]string{"ls", "-c", ""}, []string{"yaml", "yml"}},
	} {
		require.Equal(t, c.want, completed(t, c.args...), "%q", c.args)
	}
	code, out, errs := sallyport(t, "", "__complete", "connect", "-c", filepath.Join(t.TempDir(), "none"), "")
	require.Equal(t, exitOK, code, "a shell goes on")
	require.Equal(t, ":1\n", out)
	require.Contains(t, errs, "none")
}

// What a log and a running gateway know completes, too.
func TestCompletionOfIDs(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holding)
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)")
	o.asks(t, "bob", "DELETE FROM t WHERE id = 1")
	r := o.waiting(t)
	for _, args := range [][]string{{"requests", "show"}, {"approve"}, {"deny", "--reason", "x"}} {
		require.Equal(t, []string{r.ID}, completed(t, append(args, "-c", o.config, "")...), "%q", args)
	}
	for _, args := range [][]string{{"sessions", "kill"}, {"sessions", "watch"}} {
		require.Equal(t, []string{r.Session}, completed(t, append(args, "-c", o.config, "")...), "%q", args)
	}
	for _, verb := range []string{"show", "play", "export", "erase", "hold", "release"} {
		require.Contains(t, completed(t, "sessions", verb, "-c", o.config, ""), r.Session, verb)
	}
}

// The scripts are ones that their shells take, and bash's completes what the program says.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, must(t, "completion", shell), "sallyport", shell)
	}
	needs(t, "bash")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(must(t, "completion", "bash")), 0o600))
	require.NoError(t, os.Symlink(os.Args[0], filepath.Join(dir, "sallyport")))
	// What bash-completion does for the script: it tells the words of the line.
	cmd := exec.Command("bash", "-c", `
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
__ltrim_colon_completions() { :; }
. "$0/script"
COMP_WORDS=(sallyport requests ""); COMP_CWORD=2; COMP_LINE="sallyport requests "; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
__start_sallyport
printf '%s\n' "${COMPREPLY[@]}"`, dir)
	cmd.Env = append(os.Environ(), "SALLYPORT_TEST_MAIN=1", "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "ls")
	require.Contains(t, string(out), "show")
}
