package doctor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/store/sqlstore"
)

// What a store answers is a finding: an earlier schema, a clock that differs, where the database has its own, and a long time.
func TestStoreIsJudged(t *testing.T) {
	for what, c := range map[string]struct {
		local bool
		is    sqlstore.Inspection
		level Level
		says  string
	}{
		"well":                      {false, sqlstore.Inspection{Schema: 3, Own: 3, Latency: time.Millisecond, Skew: time.Second}, OK, "schema version 3"},
		"a schema that is newer":    {false, sqlstore.Inspection{Schema: 4, Own: 3}, OK, "schema version 4"},
		"an earlier schema":         {true, sqlstore.Inspection{Schema: 2, Own: 3}, Warning, "has version 2, and this program knows 3"},
		"a clock that is ahead":     {false, sqlstore.Inspection{Schema: 3, Own: 3, Skew: -3 * time.Second}, Problem, "differs by 3s"},
		"a clock that is late":      {false, sqlstore.Inspection{Schema: 3, Own: 3, Skew: 3 * time.Second}, Problem, "differs by 3s"},
		"the clock of this machine": {true, sqlstore.Inspection{Schema: 3, Own: 3, Skew: 3 * time.Second}, OK, "schema version 3"},
		"slow":                      {false, sqlstore.Inspection{Schema: 3, Own: 3, Latency: 51 * time.Millisecond}, Warning, "takes 51ms"},
	} {
		t.Run(what, func(t *testing.T) {
			r := &run{Examination: &Examination{}, check: "store"}
			r.inspected("the store", c.local, &c.is)
			require.Len(t, r.found, 1)
			require.Equal(t, c.level, r.found[0].Level)
			require.Contains(t, r.found[0].Text, c.says)
			require.Equal(t, c.level == OK, r.found[0].Do == "")
		})
	}
}
