package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/internal/testserver"
)

// The suites of others take minutes to hours, and their sources are not here: "make
// test-heavy" runs them. Each test of a suite runs directly and through the reference
// gateway, with an access rule that allows all, the default packs and recording.

// A suite's server is reached in several ways, which differ in what the gateway does.
const (
	directly  = ""          // without the gateway
	defaults  = "suite"     // with guardrails and masking, as without a section for them
	unguarded = "unguarded" // with masking alone
	unmasked  = "unmasked"  // with guardrails alone
)

// suite is a server of its own, and a gateway in front of it.
type suite struct {
	*pgembed.Server
	addresses map[string]string // the gateway's, by the way
}

func openSuite(t *testing.T) *suite {
	t.Helper()
	if os.Getenv("SALLYPORT_SUITES") == "" {
		t.Skip("SALLYPORT_SUITES is not set; see \"make test-heavy\"")
	}
	s := &suite{Server: testserver.Postgres(t, pgembed.Config{Settings: map[string]string{"max_prepared_transactions": "20", "max_connections": "100"}})}
	dir := t.TempDir()
	verifier, err := identity.NewVerifier(s.Password)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "db.password"), []byte(s.Password), 0o600))
	s.addresses = make(map[string]string)
	var resources strings.Builder
	for _, way := range []string{defaults, unguarded, unmasked} {
		s.addresses[way] = testserver.FreeAddress(t)
		fmt.Fprintf(&resources, `
  - {name: %s, type: postgres, address: %q, listen: %q, database: postgres, username: postgres, password: file:db.password,
     tls: {mode: disable}, function_call: true, startup_parameters: ["*"]}`, way, s.Address(), s.addresses[way])
	}
	config := filepath.Join(dir, "sallyport.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
data_dir: data
identity:
  users: [{name: postgres, groups: [dev], password: %q}]
resources: %s
access:
  - {groups: [dev], resources: ["*"], allow: [all]}
guardrails:
  - {use: off, resources: [%s]}
masking:
  - {use: off, resources: [%s]}
`, verifier, resources.String(), unguarded, unmasked), 0o600))
	start(t, "serve", "-c", config).wait(t, "listening")
	return s
}

// environment is what a client of libpq's kind needs to reach the server.
func (s *suite) environment(way string, more ...string) []string {
	address, mode := s.Address(), "disable"
	if way != directly {
		address, mode = s.addresses[way], "require"
	}
	host, port, _ := strings.Cut(address, ":")
	return append(append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGSSLMODE="+mode, "PGUSER=postgres", "PGPASSWORD="+s.Password), more...)
}

// admin runs SQL directly.
func (s *suite) admin(t *testing.T, database, sql string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.Bin, "psql"), "-XAtq", "-d", database, "-c", sql)
	cmd.Env = s.environment(directly)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", sql, out)
	return string(out)
}

// pgx's own tests have the results that they have directly, but for those of
// testdata/suites/pgx.txt, of which each has a reason.
func TestSuitePgx(t *testing.T) {
	s := openSuite(t)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jackc/pgx/v5").Output()
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "pgx")
	require.NoError(t, os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(out)))))
	s.admin(t, "postgres", "CREATE DATABASE pgx_test")
	setup := exec.CommandContext(t.Context(), filepath.Join(s.Bin, "psql"), "-Xq", "-d", "pgx_test", "-f", filepath.Join(dir, "testsetup", "postgresql_setup.sql"))
	setup.Env = s.environment(directly)
	out, err = setup.CombinedOutput()
	require.NoError(t, err, "%s", out)
	direct, _ := s.pgx(t, dir, directly)
	through, said := s.pgx(t, dir, defaults)
	require.Greater(t, len(direct), 1000)

	known := differences(t, "testdata/suites/pgx.txt")
	count, differ := 0, 0
	for _, name := range slices.Sorted(maps.Keys(direct)) {
		if inner(name, direct) {
			continue
		}
		if count++; direct[name] == through[name] {
			continue
		}
		differ++
		if reason, ok := known[name]; ok {
			t.Logf("%s: %s", name, reason)
			continue
		}
		t.Errorf("%s: %s directly, %q through the gateway\n%s", name, direct[name], through[name], said[name])
	}
	t.Logf("pgx: %d tests, %d differ", count, differ)
}

// inner reports whether a test has others in it, which are compared by themselves.
func inner(name string, tests map[string]string) bool {
	for other := range tests {
		if strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// pgx runs the tests and returns the result and the output of each.
func (s *suite) pgx(t *testing.T, dir, way string) (results map[string]string, said map[string]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-p", "1", "-count=1", "-timeout", "20m", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = s.environment(way, "GOFLAGS=-mod=mod", "GOWORK=off", "PGDATABASE=pgx_test", "PGX_TEST_DATABASE=dbname=pgx_test")
	out, err := cmd.Output()
	if err != nil { // of tests that fail
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	results, said = make(map[string]string), make(map[string]string)
	for line := range bytes.Lines(out) {
		var e struct{ Package, Test, Action, Output string }
		if json.Unmarshal(line, &e) != nil || e.Test == "" {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(e.Package, "github.com/jackc/pgx/v5"), "/") + " " + e.Test
		switch e.Action {
		case "pass", "fail", "skip":
			results[name] = e.Action
		case "output":
			said[name] += e.Output
		}
	}
	return results, said
}

// differences reads a file of names, each with the reason why it differs after a tab.
func differences(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	known := make(map[string]string)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if test, reason, ok := strings.Cut(lines.Text(), "\t"); ok {
			known[test] = reason
		}
	}
	require.NoError(t, lines.Err())
	return known
}

// sqlline, Debian's shell on its pgjdbc, shows the same of metadata, results, transactions
// and errors.
func TestSuiteSqlline(t *testing.T) {
	s := openSuite(t)
	needs(t, "sqlline")
	script, err := os.ReadFile("testdata/suites/sqlline.txt")
	require.NoError(t, err)
	shows := func(url, database string) string {
		s.admin(t, "postgres", "CREATE DATABASE "+database)
		cmd := exec.CommandContext(t.Context(), "sqlline", "-u", url, "-n", "postgres", "-p", s.Password, "-d", "org.postgresql.Driver")
		cmd.Stdin = bytes.NewReader(script)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return regexp.MustCompile(`\([0-9.]+ seconds\)|jdbc:postgresql://[^> \n]*`).ReplaceAllString(string(out), "")
	}
	direct := shows(fmt.Sprintf("jdbc:postgresql://%s/one?sslmode=disable", s.Address()), "one")
	through := shows(fmt.Sprintf("jdbc:postgresql://%s/two?sslmode=require", s.addresses[defaults]), "two")
	require.Contains(t, direct, "sl_parts_pkey")
	require.Equal(t, direct, strings.ReplaceAll(through, "'two'", "'one'"))
}

// intended are the rules of the default pack that PostgreSQL's regression suite runs
// into on purpose.
var intended = map[string]bool{"no-drop": true, "no-where": true, "no-grants": true, "no-server-files": true, "no-administration": true, "no-blind-text": true}

// maxBlind is how many statements of the regression suite may be refused since they are
// not understood.
const maxBlind = 250

var (
	scheduled = regexp.MustCompile(`(?m)^test: (.*)$`)
	ruled     = regexp.MustCompile(`ERROR:  .*\(rule ([a-z-]+)\)`)
	broken    = regexp.MustCompile(`server closed the connection|connection to server was lost|terminating connection|the gateway failed`)
)

// Each test of PostgreSQL's regression suite runs from the state in which a direct run has
// the database before it. It loses no connection and meets no refusal but those of rules
// that it breaks. What follows from a refusal would hide what masking does, so the defaults
// are compared with guardrails alone, which refuse the same, and masking alone with a
// direct run. Tests in which one of the two differs are those of
// testdata/suites/regress.txt, each with a reason. SALLYPORT_REGRESS names the tests to
// run, by commas.
func TestSuiteRegression(t *testing.T) {
	sources := os.Getenv("PG_REGRESS_DIR")
	if sources == "" {
		t.Skip("PG_REGRESS_DIR is not set; see \"make test-heavy\"")
	}
	s := openSuite(t)
	dir := publicDir(t)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "in"), os.DirFS(sources)))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "out", "results"), 0o777))
	require.NoError(t, os.Chmod(filepath.Join(dir, "out", "results"), 0o777))
	s.admin(t, "postgres", "CREATE DATABASE before TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	schedule, err := os.ReadFile(filepath.Join(sources, "parallel_schedule"))
	require.NoError(t, err)
	only := strings.FieldsFunc(os.Getenv("SALLYPORT_REGRESS"), func(r rune) bool { return r == ',' })
	known := differences(t, "testdata/suites/regress.txt")
	counts := make(map[string]int)
	count, same, unspoiled := 0, 0, 0
	for _, group := range scheduled.FindAllStringSubmatch(string(schedule), -1) {
		for _, test := range strings.Fields(group[1]) {
			if test == "test_setup" || test == "tablespace" || len(only) > 0 && !slices.Contains(only, test) { // the first two make what databases share
				continue
			}
			outputs := make(map[string]string)
			for _, way := range []string{directly, unguarded, unmasked, defaults} {
				outputs[way] = s.regress(t, dir, test, way)
				require.NotRegexp(t, broken, outputs[way], "%s, %s", test, way)
			}
			for _, m := range ruled.FindAllStringSubmatch(outputs[defaults], -1) {
				require.True(t, intended[m[1]], "%s: %s", test, m[0])
				counts[m[1]]++
			}
			count++
			if outputs[directly] == outputs[defaults] {
				same++
			}
			spoiled := firstDifference(outputs[directly], outputs[unguarded])
			if spoiled == "" {
				spoiled = firstDifference(outputs[unmasked], outputs[defaults])
			}
			reason, listed := known[test]
			switch {
			case spoiled == "":
				unspoiled++
				if listed {
					t.Errorf("%s: masking changes nothing of it any more; take it out of regress.txt (%s)", test, reason)
				}
			case !listed:
				t.Errorf("%s: masking changes it, and regress.txt does not say why:\n%s", test, spoiled)
			}
		}
		for _, test := range strings.Fields(group[1]) {
			if test != "tablespace" {
				s.script(t, dir, test, "before", directly)
			}
		}
	}
	t.Logf("%d tests: %d the same; masking changes nothing of %d\nrefusals by rule: %v", count, same, unspoiled, counts)
	require.Positive(t, count)
	require.LessOrEqual(t, counts["no-blind-text"], maxBlind)
}

// firstDifference returns the first lines in which two outputs differ; "" when none do.
func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(w):
			return "nothing\n" + g[i]
		case i >= len(g):
			return w[i] + "\nnothing"
		case w[i] != g[i]:
			return w[i] + "\n" + g[i]
		}
	}
	return ""
}

// regress runs one test in a copy of the database, and removes what it leaves that
// databases share. The copy has a name of the test's own: masking remembers what was
// made of masked columns, by the database.
func (s *suite) regress(t *testing.T, dir, test, way string) string {
	t.Helper()
	database := "regression_" + strings.ReplaceAll(test, ".", "_")
	names := func(column, catalog string) []string {
		return strings.Split(strings.TrimSpace(s.admin(t, "postgres", "SELECT quote_ident("+column+") FROM "+catalog)), "\n")
	}
	roles, databases := names("rolname", "pg_roles"), names("datname", "pg_database")
	s.admin(t, "postgres", "CREATE DATABASE "+database+" TEMPLATE before")
	for _, setting := range []string{"lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'", "bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'"} {
		s.admin(t, "postgres", "ALTER DATABASE "+database+" SET "+setting)
	}
	out := s.script(t, dir, test, database, way)
	for name := range strings.Lines(s.admin(t, database, "SELECT quote_ident(subname) FROM pg_subscription")) {
		name = strings.TrimSpace(name)
		s.admin(t, database, "ALTER SUBSCRIPTION "+name+" DISABLE")
		s.admin(t, database, "ALTER SUBSCRIPTION "+name+" SET (slot_name = NONE)")
		s.admin(t, database, "DROP SUBSCRIPTION "+name)
	}
	for _, name := range names("datname", "pg_database") {
		if !slices.Contains(databases, name) {
			s.admin(t, "postgres", "DROP DATABASE "+name+" WITH (FORCE)")
		}
	}
	for _, role := range names("rolname", "pg_roles") {
		if !slices.Contains(roles, role) {
			s.admin(t, "postgres", "DROP OWNED BY "+role)
			s.admin(t, "postgres", "DROP ROLE "+role)
		}
	}
	return out
}

// script runs a test's file as pg_regress does, and returns what psql shows.
func (s *suite) script(t *testing.T, dir, test, database, way string) string {
	t.Helper()
	in := filepath.Join(dir, "in")
	file, err := os.Open(filepath.Join(in, "sql", test+".sql"))
	require.NoError(t, err)
	defer file.Close()
	cmd := exec.CommandContext(t.Context(), filepath.Join(s.Bin, "psql"), "-X", "-a", "-q", "-d", database, "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on")
	cmd.Stdin, cmd.WaitDelay = file, time.Second
	cmd.Env = s.environment(way, "PGTZ=PST8PDT", "PGDATESTYLE=Postgres, MDY", "PGOPTIONS=-c intervalstyle=postgres_verbose", "LC_MESSAGES=C",
		"PG_ABS_SRCDIR="+in, "PG_ABS_BUILDDIR="+filepath.Join(dir, "out"), "PG_LIBDIR="+in, "PG_DLSUFFIX=.so")
	out, err := cmd.CombinedOutput()
	if err != nil { // of psql itself, such as a lost connection, which the output tells
		require.ErrorAs(t, err, new(*exec.ExitError))
	}
	return string(out)
}
