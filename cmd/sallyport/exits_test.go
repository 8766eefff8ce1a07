package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A command ends with each code of the table, and with no other: the gateway's own answers
// are real ones.
func TestExitCodes(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, holding)
	o.psql(t, "bob", "-c", "CREATE TABLE t (id int)")
	o.asks(t, "bob", "DELETE FROM t WHERE id = 1")
	id := o.waiting(t).ID
	none := filepath.Join(t.TempDir(), "none")
	acting := configFile(t, acting)
	ended := map[int]bool{}
	for _, c := range []struct {
		code int
		in   string
		args []string
	}{
		{exitOK, "", []string{"requests", "ls", "-c", o.config}},
		{exitError, "", []string{"check", "-c", configFile(t, strings.Replace(good, "labels", "lables", 1))}},
		{exitUsage, "", []string{"requests", "show", "-c", o.config}},
		{exitNotFound, "", []string{"requests", "show", "-c", o.config, "nothing"}},
		{exitNotLoggedIn, "wrong\n", []string{"approve", "-c", o.config, "-u", "alice", id}},
		{exitPolicy, password + "\n", []string{"approve", "-c", o.config, "-u", "bob", id}},
		{exitApproval, "", []string{"policy", "explain", "-c", acting, "--rows", "5000", "--", "UPDATE t SET a = 1 WHERE b > 2"}},
		{exitDenied, password + "\n", []string{"approve", "-c", o.config, "-u", "alice", "--hash", strings.Repeat("0", 64), id}},
		{exitGuardrail, "", []string{"policy", "explain", "-c", acting, "-r", "vm1", "--", "ls -l | rm x"}},
		{exitUnreachable, "", []string{"requests", "ls", "--socket", none}},
	} {
		code, _, errs := sallyport(t, c.in, c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		ended[code] = true
	}
	help, topic := must(t, "help", "exit-codes"), document(t, "docs/cli.md")
	for i, e := range exits {
		require.Equal(t, i, e.code, "in order, none left out")
		require.True(t, ended[e.code], "%d %s", e.code, e.meaning)
		require.Contains(t, help, e.meaning)
		require.Contains(t, topic, e.meaning)
	}
	require.Len(t, ended, len(exits))
}
