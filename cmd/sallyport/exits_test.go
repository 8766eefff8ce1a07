package main

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
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
	newer := outdating(t)
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
		{exitOutdated, "", []string{"whoami", "--profile", newer}},
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

// outdating returns the profile of a login at a gateway that needs a newer program.
func outdating(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUpgradeRequired)
		_, _ = io.WriteString(w, `{"error": {"code": "outdated", "message": "update it"}}`)
	}))
	t.Cleanup(s.Close)
	p, err := newProfile("newer", s.URL)
	require.NoError(t, err)
	p.Token = "sps_x"
	require.NoError(t, p.save())
	require.NoError(t, p.write(authorityPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return p.name
}
