package main

import (
	"fmt"
	"os/exec"
	"regexp"
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

// Somebody who may write and define restores a dump through the gateway.
func TestRestore(t *testing.T) {
	needs(t, "pg_restore")
	from := openLabelled(t, "env: test", shopSchema, "")
	to := openLabelled(t, "env: test", "", "guardrails: [{use: default}]\nmasking: [{use: default}]\n")
	file := t.TempDir() + "/dump"
	out, err := exec.CommandContext(t.Context(), "pg_dump", "-F", "c", "-f", file, "-d", from.direct).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), "pg_restore", "-e", "-O", "-x", "-d", to.conn("bob"), file).CombinedOutput()
	require.NoError(t, err, string(out))
	var dumps [2]string
	for i, direct := range []string{from.direct, to.direct} {
		out, err := exec.CommandContext(t.Context(), "pg_dump", "-d", direct).CombinedOutput()
		require.NoError(t, err, string(out))
		dumps[i] = restricts.ReplaceAllString(string(out), "")
	}
	require.Equal(t, dumps[0], dumps[1])
}

// restricts are lines of dumps that hold a random word.
var restricts = regexp.MustCompile(`(?m)^\\(un)?restrict .*`)
