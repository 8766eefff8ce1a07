package runbook

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What begins as a query and does more is not taken for one: it needs a plan that was seen.
func TestWritesLikeAQuery(t *testing.T) {
	for text, writes := range map[string]bool{
		"select 1": false, "select intolerant from analysis": false, "explain select 1": false, "(select 1)": false,
		"select * into copy from a": true, "select 1 INTO OUTFILE '/tmp/x'": true, "select 1 into @x": true, "explain analyze delete from a": true, "explain (ANALYSE) delete from a": true,
		"with x as (select 1) select * from x": true, "update a set b = 1": true,
	} {
		p := planOf(t, strings.Replace(twoSteps, "text: delete from a", `text: "`+text+`"`, 1))
		require.Equal(t, writes, p.Steps[0].Writes, text)
	}
}

// What a database commits by itself has no bound that it would be rolled back by.
func TestCommitsByItself(t *testing.T) {
	maria := []Resource{{Name: "m", Type: "postgres", Dialect: &Dialect{Quote: '`'}}}
	for text, ok := range map[string]bool{
		"text: truncate a": true, "text: truncate a, dry_run: rollback": false, "text: alter table a add b int, affected_rows: 1": false, "text: call p(), dry_run: rollback": false,
		"text: delete from a, dry_run: rollback, affected_rows: 1": true, "text: 'with x as (select 1) delete from a', dry_run: rollback": true,
	} {
		b, err := Parse([]byte(strings.Replace(twoSteps, "text: delete from a", text, 1)))
		require.NoError(t, err, text)
		_, err = b.Plan(Origin{Source: "x"}, Choice{}, maria)
		if ok {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, "by itself", text)
		}
		_, err = b.Plan(Origin{Source: "x"}, Choice{}, places3)
		require.NoError(t, err, "PostgreSQL takes all of them back")
	}
}
