package main

import (
	"encoding/csv"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit/report"
)

// A report tells who had access, what was denied and what was done, in a form that no
// user's text breaks.
func TestServeReport(t *testing.T) {
	o := openOffice(t, "")
	o.psql(t, "alice", "-c", "SELECT 1", "-c", "DROP TABLE \"<script>alert(1)</script>\"")
	o.psql(t, "mallory", "-c", "SELECT 1")
	o.stop(t)
	rows, err := csv.NewReader(strings.NewReader(must(t, "report", "-c", o.config))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, report.Columns(), rows[0])
	kinds := map[string]int{}
	for _, r := range rows[1:] {
		kinds[r[0]]++
		if r[0] == "denied" || r[0] == "login failed" {
			require.Equal(t, "127.0.0.1", r[7], r)
		}
		if r[0] == "access" {
			require.Equal(t, []string{"alice", "dev", "scram", "127.0.0.1", "shop"}, []string{r[4], r[5], r[6], r[7], r[8]})
			require.Equal(t, "dev-reads", r[12])
			require.NotEmpty(t, r[2])
			require.NotEmpty(t, r[3])
			require.Equal(t, "ended", r[15])
			require.Equal(t, "1", r[16])
		}
	}
	require.Equal(t, 1, kinds["access"])
	require.Equal(t, 1, kinds["login"])
	require.Equal(t, 1, kinds["denied"])
	require.Equal(t, 1, kinds["login failed"])
	require.GreaterOrEqual(t, kinds["configuration"], 3, "it started, with a configuration, and stopped")
	page := must(t, "report", "-c", o.config, "-o", "html")
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "http://")
	require.Contains(t, page, "proven: the sealed records are whole")
	require.Contains(t, must(t, "report", "-c", o.config, "--section", "list"), "summary\n")
	require.True(t, strings.HasPrefix(must(t, "report", "-c", o.config, "--section", "access"), "Begin,End,Duration,User,"))
	dir := filepath.Join(t.TempDir(), "report")
	must(t, "report", "-c", o.config, "--dir", dir)
	for _, name := range []string{"index.html", "summary.csv", "access.csv", "denied.csv", "checkpoint", "key.pub"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	require.Contains(t, must(t, "verify", "--key", filepath.Join(dir, "key.pub"), "--witness", filepath.Join(dir, "checkpoint"), filepath.Join(o.dir, "data", "audit")), "proven")
	code, _, _ := sallyport(t, "", "report", "-c", o.config, "--dir", dir)
	require.Equal(t, exitError, code, "another report is there")
	require.Equal(t, 1, strings.Count(must(t, "report", "-c", o.config, "--from", "2001-01-01", "--to", "2001-01-31"), "\n"))
	for _, args := range [][]string{{"--from", "yesterday"}, {"--to", "2001-01-01"}, {"-o", "pdf"}, {"-o", "html", "--page", "2"}, {"--section", "nonsense"}, {"--section", "access", "-o", "html"}} {
		code, _, _ := sallyport(t, "", append([]string{"report", "-c", o.config}, args...)...)
		require.Equal(t, exitUsage, code, args)
	}
}
