package main

import (
	"encoding/csv"
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
		if r[0] == "access" {
			require.Equal(t, []string{"alice", "dev", "shop"}, []string{r[2], r[3], r[4]})
			require.Equal(t, "dev-reads", r[8])
			require.Equal(t, "1 operations", r[11])
		}
	}
	require.Equal(t, map[string]int{"access": 1, "denied": 2}, kinds)
	page := must(t, "report", "-c", o.config, "-o", "html")
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "http://")
	require.Equal(t, 1, strings.Count(must(t, "report", "-c", o.config, "-from", "2001-01-01", "-to", "2001-01-31"), "\n"))
	for _, args := range [][]string{{"-from", "yesterday"}, {"-to", "2001-01-01"}, {"-o", "pdf"}} {
		code, _, _ := sallyport(t, "", append([]string{"report", "-c", o.config}, args...)...)
		require.Equal(t, exitUsage, code, args)
	}
}
