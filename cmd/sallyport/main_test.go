package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsage(t *testing.T) {
	code, out, _ := sallyport(t, "", "help")
	require.Equal(t, exitOK, code)
	for _, c := range commands() {
		require.Contains(t, out, "  "+c.name)
		code, _, _ := sallyport(t, "", c.name, "-h")
		require.Equal(t, exitOK, code, c.name)
	}
	require.Contains(t, out, "\n  passwd                                turn a password into")
	require.Contains(t, out, "\n  deny [-c FILE] [-u USER] -reason WHY ID\n                                        refuse a held operation\n")
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 80, line)
	}
	for _, args := range [][]string{{"help", "serve"}, {"help", "sessions", "ls"}, {"--version"}, {"-version"}, {"sessions", "--help"}, {"requests", "-help"}, {"policy", "--help"}, {"--help"}} {
		code, _, errs := sallyport(t, "", args...)
		require.Equal(t, exitOK, code, "%q: %s", args, errs)
	}
	for _, args := range [][]string{{}, {"nonsense"}, {"help", "nonsense"}, {"ls", "-nonsense"}, {"version", "x"}, {"sessions", "nonsense"}, {"completion", "tcsh"}, {"connect"}, {"verify"}} {
		code, out, _ := sallyport(t, "", args...)
		require.Equal(t, exitUsage, code, args)
		require.True(t, out == "" || len(args) == 0, "data goes to stdout, the rest to stderr")
	}
}

func TestVersion(t *testing.T) {
	require.True(t, strings.HasPrefix(must(t, "version"), "sallyport "))
}

func TestCompletion(t *testing.T) {
	for _, sh := range []string{"bash", "zsh", "fish"} {
		require.Contains(t, must(t, "completion", sh), "demo")
	}
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
	list := decode[[]entry](t, must(t, "ls", "-c", file, "-u", "alice", "-o", "json"))
	require.Equal(t, []entry{{Name: "a", Type: "postgres", Listen: "127.0.0.1:7001", User: "alice", Database: "x", Labels: map[string]string{"env": "dev"}}}, list)
	code, _, _ := sallyport(t, "", "ls", "-c", file, "-u", "mallory")
	require.Equal(t, exitNotFound, code)
	code, _, _ = sallyport(t, "", "ls", "-c", file, "-o", "xml")
	require.Equal(t, exitUsage, code)
}
