package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/examples/internal/exampletest"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/policy/opa"
)

func TestOPA(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	address := exampletest.Shop(t, "CREATE TABLE orders AS SELECT 1 AS id; CREATE TABLE salaries AS SELECT 2 AS id; CREATE VIEW pay AS SELECT * FROM salaries")
	rules, err := filepath.Abs("rules")
	require.NoError(t, err)
	g, _ := exampletest.Serve(t, configured(t, address, rules), options(), gateway.Options{})
	out := exampletest.Psql(
		t, g.Addr("postgres", "").String(), "secret", "user=alice+shop sslmode=require",
		"SELECT id FROM orders", "DELETE FROM orders WHERE id = 1", "SELECT id FROM salaries", "SELECT id FROM pay", "SELECT count(*) FROM orders",
	)
	require.Equal(t, []string{
		"1",
		"ERROR:  rows are deleted by members of dba (rule deletes)",
		"ERROR:  salaries are not read here (rule salaries)",
		"ERROR:  salaries are not read here (rule salaries)",
		"1",
	}, strings.Split(out, "\n"))
}

// configured is a config file with a policy of a folder.
func configured(t *testing.T, address, folder string) string {
	t.Helper()
	file := exampletest.Config(t, address, "env:DB_PASSWORD")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(text, "\npolicy: {opa: {dirs: [%q], timeout: 1s}}\n", folder), 0o600))
	return file
}

// The example's own tests pass.
func TestRules(t *testing.T) {
	results, err := opa.Test(t.Context(), opa.Config{Dirs: []string{"rules"}})
	require.NoError(t, err)
	require.Len(t, results, 5)
	for _, r := range results {
		require.True(t, r.Passed, "%s:%d %s: %v", r.File, r.Line, r.Name, r.Err)
	}
}

// TestMain runs main where the test below starts its own binary again.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestBrokenRules(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/a.rego", []byte("package sallyport\n\ndecision := http.send({})\n"), 0o600))
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	cmd := exec.Command(os.Args[0], configured(t, "db.invalid:5432", dir))
	cmd.Env = append(os.Environ(), "EXAMPLE_MAIN=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "a.rego:3: rego_type_error: undefined function http.send")
}

// The example is short enough to be read in one go.
func TestLength(t *testing.T) {
	text, err := os.ReadFile("main.go")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	require.LessOrEqual(t, n, 40)
	require.Greater(t, n, 10, "the lines are counted")
}
