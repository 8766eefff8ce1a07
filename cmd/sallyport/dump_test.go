package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Somebody who may read dumps a read-only database through the gateway, with
// the default guardrails on: a dump begins READ ONLY and locks ACCESS SHARE.
func TestDumpOfReadOnly(t *testing.T) {
	needs(t, "pg_dump")
	o := openLabelled(t, `env: test, read-only: "true"`, evasionsSchema,
		"  - {groups: [dev], resources: [shop], allow: [connect, read]}\nguardrails: [{use: default}]\n")
	for name, args := range map[string][]string{
		"plain":       nil,
		"parallel":    {"-j", "2", "-F", "d", "-f", t.TempDir() + "/dump"},
		"schema only": {"-s"},
		"inserts":     {"--inserts", "--serializable-deferrable"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "pg_dump", append([]string{"-d", o.conn("alice")}, args...)...).CombinedOutput()
			require.NoError(t, err, string(out))
			if name == "plain" {
				require.Contains(t, string(out), fmt.Sprintf("COPY public.t (id, x, n) FROM stdin;\n%s", rowsOfT()))
			}
		})
	}
}

func rowsOfT() string {
	var b strings.Builder
	for i := 1; i <= 5; i++ {
		fmt.Fprintf(&b, "%d\t%d\tn\n", i, i)
	}
	return b.String()
}
