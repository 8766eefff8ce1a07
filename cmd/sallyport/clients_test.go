package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every command of PostgreSQL's programs that docs/clients.md shows runs through the
// default packs, with the variables that the document sets, and every statement of its
// list of intended differences is refused by what the list says.
func TestDocumentedClients(t *testing.T) {
	needs(t, "psql")
	needs(t, "pg_dump")
	o := openLabelled(t, "env: test", "CREATE SEQUENCE numbers", "")
	text := document(t, "docs/clients.md")
	dir := t.TempDir()
	env := append(os.Environ(), "PGHOST="+o.host, "PGPORT="+o.port, "PGUSER=bob+shop", "PGPASSWORD="+password,
		"PGSSLMODE=verify-full", "PGSSLROOTCERT="+filepath.Join(o.dir, "data", "ca", "ca.pem"))
	commands := regexp.MustCompile(`(?m)^    ((?:psql|pg_dump) .*)$`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(commands), 5)
	for _, m := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", m[1])
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", m[1], out)
		require.NotContains(t, string(out), "ERROR", m[1])
	}
	csv, err := os.ReadFile(filepath.Join(dir, "parts.csv"))
	require.NoError(t, err)
	require.Equal(t, "id,name\n1,bolt\n2,nut\n", string(csv))

	refusals := regexp.MustCompile("(?m)^\\| `([A-Z].*?)` \\| `(.*?)` \\|").FindAllStringSubmatch(text, -1)
	require.Greater(t, len(refusals), 8)
	for _, m := range refusals {
		require.Contains(t, o.psql(t, "bob", "-c", m[1]), m[2], m[1])
	}
	require.Contains(t, o.psql(t, "bob", "-c", "TABLE parts"), "bolt")
}
