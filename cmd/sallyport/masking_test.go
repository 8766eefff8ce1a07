package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServeMasksWhatIsComputed: the gateway as it is assembled looks at columns
// whose names tell nothing, before something is computed from them.
func TestServeMasksWhatIsComputed(t *testing.T) {
	o := openLabelled(t, "env: test", `
CREATE TABLE payments (id int, x text);
INSERT INTO payments SELECT i, '4111111111111111' FROM generate_series(1, 20) i`, "masking: [{use: default}]\n")
	out := o.psql(t, "alice", "-c", "SELECT substr(x, 1, 8), count(*) OVER () FROM payments LIMIT 1")
	require.Equal(t, "********|20\n", out)
	o.stop(t)
}
