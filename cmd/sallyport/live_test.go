package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
)

// An open session is listed, watched and ended from another terminal.
func TestLiveSessions(t *testing.T) {
	needs(t, "psql")
	o := openOffice(t, "control: [{users: [root, "+control.Self()+"], allow: [list, kill, watch]}]\nguardrails: [{use: off}]\n")
	psql := exec.Command("psql", "-X", o.conn("bob"), "-c", "SELECT 'first'", "-c", "SELECT pg_sleep(600)")
	var shown strings.Builder
	psql.Stdout, psql.Stderr = &shown, &shown
	require.NoError(t, psql.Start())
	defer psql.Process.Kill()

	var list []control.Session
	require.Eventually(t, func() bool {
		list = decode[listed[control.Session]](t, must(t, "sessions", "ls", "-c", o.config, "--live", "-o", "json", "-u", "bob")).Items
		return len(list) == 1 && list[0].Operations >= 3
	}, 20*time.Second, 50*time.Millisecond)
	id := list[0].ID
	require.Equal(t, "shop", list[0].Resource)
	require.Contains(t, must(t, "sessions", "ls", "-c", o.config, "--live"), id)

	watcher := start(t, "sessions", "watch", "-c", o.config, id)
	watcher.wait(t, "SELECT 'first'")
	watcher.wait(t, "pg_sleep")

	code, _, errs := sallyport(t, "", "sessions", "kill", "-c", o.config, id)
	require.Equal(t, exitUsage, code, errs)
	code, _, errs = sallyport(t, "", "sessions", "kill", "-c", o.config, "--reason", "x", strings.Repeat("0", 26))
	require.Equal(t, exitNotFound, code, errs)
	require.Contains(t, must(t, "sessions", "kill", "-c", o.config, "--reason", "the night shift ends", id), "bob")
	require.Error(t, psql.Wait())
	require.Contains(t, shown.String(), "the night shift ends")
	watcher.wait(t, "session.end .*the night shift ends")
	o.stop(t)

	code, _, errs = sallyport(t, "", "sessions", "ls", "-c", o.config, "--live")
	require.Equal(t, exitUnreachable, code, errs)
}

// A user without a rule to watch may not watch.
func TestLiveSessionsWithoutWatching(t *testing.T) {
	o := openOffice(t, "")
	code, _, errs := sallyport(t, "", "sessions", "watch", "-c", o.config, strings.Repeat("0", 26))
	require.Equal(t, exitPolicy, code, errs)
	require.Empty(t, decode[listed[control.Session]](t, must(t, "sessions", "ls", "-c", o.config, "--live", "-o", "json")).Items)
}
