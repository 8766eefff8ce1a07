package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/mariaembed"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/review"
)

// The demo's printed lines do what they say, and nothing is left when it ends.
func TestDemo(t *testing.T) {
	needs(t, "psql")
	if _, err := pgembed.Find(); errors.Is(err, pgembed.ErrNotInstalled) {
		testserver.Missing(t, "PostgreSQL")
	}
	if _, err := mariaembed.Find(); errors.Is(err, mariaembed.ErrNotInstalled) {
		testserver.Missing(t, "MariaDB")
	}
	p := start(t, "demo")
	config := p.wait(t, `config, for the other commands:\s+(\S+)`)
	p.wait(t, "Ctrl-C stops it")
	for line := range strings.Lines(strings.ReplaceAll(p.output(), tempDir(p), "/tmp")) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
	}
	var lines, staff []string
	for line := range strings.Lines(strings.ReplaceAll(p.output(), " \\\n", "")) {
		switch {
		case strings.Contains(line, "psql "), strings.HasPrefix(line, "  ssh -F"), strings.HasPrefix(line, "  scp -F"):
			lines = append(lines, strings.TrimSpace(line))
		case strings.HasPrefix(line, "  mariadb "):
			staff = append(staff, strings.TrimSpace(line))
		}
	}
	require.Len(t, lines, 9)
	require.Len(t, staff, 3)

	out, code := inShell(t, lines[0])
	require.Zero(t, code, out)
	require.Contains(t, out, "(3 rows)")
	require.NotContains(t, out, "4111", "cards are masked")
	out, code = inShell(t, lines[1])
	require.Equal(t, 1, code)
	require.Contains(t, out, "ERROR:")
	require.Contains(t, out, "you may not delete rows")
	require.Contains(t, out, "HINT:")
	out, code = inShell(t, lines[2])
	require.Equal(t, 1, code)
	require.Contains(t, out, "no-where")
	out, code = inShell(t, lines[3])
	require.Zero(t, code, out)
	require.Contains(t, out, "UPDATE 1")

	out, code = inShell(t, staff[0])
	require.Zero(t, code, out)
	require.Contains(t, out, "iban")
	require.Equal(t, 4, strings.Count(out, "\n"), "a heading and three rows: %s", out)
	require.NotRegexp(t, "DE[0-9]{8}", out, "account numbers are masked")
	out, code = inShell(t, staff[1])
	require.Equal(t, 1, code)
	require.Contains(t, out, "ERROR 1142")
	require.Contains(t, out, "no-where")
	out, code = inShell(t, staff[2])
	require.Zero(t, code, out)

	needs(t, "ssh")
	out, code = inShell(t, lines[4])
	require.Zero(t, code, out)
	require.Equal(t, "You reach this machine through the gateway.\n", out)
	out, code = inShell(t, lines[5])
	require.NotZero(t, code)
	require.Contains(t, out, "no-wiping")
	here := t.TempDir()
	out, code = inShell(t, "cd "+here+" && "+lines[6]+" && cat "+lines[6][strings.LastIndex(lines[6], " ")+1:])
	require.NoFileExists(t, filepath.Join(here, "welcome.txt"), "the demo leaves nothing")
	require.Zero(t, code, out)
	require.Contains(t, out, "You reach this machine through the gateway.\n")
	out, code = inShell(t, "{ sleep 0.5; echo exit 7; sleep 0.5; } | "+strings.Replace(lines[7], "ssh", "ssh -tt", 1))
	require.Equal(t, 7, code, out)
	require.Contains(t, out, "demo$ ")
	out, code = inShell(t, "{ sleep 0.5; printf 'mach\\r'; sleep 0.5; echo exit 6; sleep 0.5; } | "+strings.Replace(lines[8], "ssh", "ssh -tt", 1))
	require.Equal(t, 6, code, out)

	list := decode[listed[summary]](t, must(t, "sessions", "ls", "-c", config, "-o", "json")).Items
	require.Len(t, list, 5+9+3, "the demo's own come first")
	require.Equal(t, "alice", list[5+1].User)
	require.Equal(t, 1, list[5+1].Refused)
	refused := map[string]int{}
	for _, s := range list[:5] {
		refused[s.Resource] += s.Refused
	}
	require.Equal(t, map[string]int{"shop": 2, "staff": 2, "machine": 0}, refused, "of the demo's own")

	url := p.wait(t, `(https://127\.0\.0\.1:[0-9]+)/\n`)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get(url + "/requests")
	require.NoError(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(page), `<div id="app">`)
	waiting := decode[listed[review.Request]](t, must(t, "requests", "ls", "-c", config, "-o", "json")).Items
	require.Len(t, waiting, 1)
	require.Equal(t, "TICKET-7: a customer waits for an export", waiting[0].Access.Reason)

	p.stop(t)
	left, err := filepath.Glob(filepath.Join(tempDir(p), "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// tempDir is where the process keeps its temporary files.
func tempDir(p *process) (dir string) {
	for _, e := range p.cmd.Env {
		if d, ok := strings.CutPrefix(e, "TMPDIR="); ok {
			dir = d // the last one counts
		}
	}
	return dir
}

// must runs a command that must succeed and returns what it prints.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := sallyport(t, "", args...)
	require.Equal(t, exitOK, code, "%v: %s", args, errs)
	return out
}

// Where no PostgreSQL is, the demo says how to get one and shows the rest.
func TestDemoWithoutPostgres(t *testing.T) {
	if _, err := pgembed.Find(); err == nil {
		t.Skip("a PostgreSQL is installed, so that this cannot be seen")
	}
	p := start(t, "demo")
	p.wait(t, "Ctrl-C stops it")
	require.Contains(t, p.output(), "apt-get install postgresql")
	require.Contains(t, p.output(), "ssh -F")
	p.stop(t)
}

// Where no MariaDB is, the demo says in one line what is missing, and shows the rest.
func TestDemoWithoutMariaDB(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := mariaembed.Find(); err == nil {
		t.Skip("MariaDB's client is found without PATH, so that this cannot be seen")
	}
	p := start(t, "demo")
	p.wait(t, "Ctrl-C stops it")
	require.Contains(t, p.output(), "No MariaDB is installed here, so the demo runs without one. Debian, Ubuntu: apt-get install mariadb-server;")
	require.NotContains(t, p.output(), "mariadb --defaults-file")
	require.Contains(t, p.output(), "ssh -F")
	p.stop(t)
}
