package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// docs/cli.md is what "go generate ./cmd/sallyport" writes, whatever the environment says.
func TestReference(t *testing.T) {
	for _, variable := range []string{"USER", "SALLYPORT_CONFIG", "SALLYPORT_SOCKET", "AWS_ENDPOINT_URL", "AWS_REGION"} {
		t.Setenv(variable, "/set/here")
	}
	out := must(t, "reference", "markdown")
	require.Equal(t, document(t, "docs/cli.md"), out, "make it again: go generate ./cmd/sallyport")
	each(root(&cli{}), func(cmd *cobra.Command) {
		if cmd.HasParent() && !cmd.IsAdditionalHelpTopicCommand() {
			require.Contains(t, out, "\n### "+name(cmd)+"\n")
		}
	})
}

// Each command has a man page, which man shows without a complaint.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	must(t, "reference", "man", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	require.NoError(t, err)
	n := 0
	each(root(&cli{}), func(cmd *cobra.Command) {
		if cmd.IsAdditionalHelpTopicCommand() {
			return
		}
		n++
		b, err := os.ReadFile(filepath.Join(dir, manName(cmd)+".1"))
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			require.Regexp(t, `^(\.(TH|SH|TP|B|BR|PP|nf|fi)\b|[^.'])`, line, "%s", cmd.CommandPath())
		}
	})
	require.Len(t, pages, n)
	code, _, _ := sallyport(t, "", "reference", "man")
	require.Equal(t, exitUsage, code)

	needs(t, "groff")
	for _, page := range pages {
		complaints, err := exec.Command("groff", "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput()
		require.NoError(t, err, "%s", complaints)
		require.Empty(t, string(complaints), page)
	}
	shown, err := exec.Command("groff", "-man", "-Tascii", "-P-cbou", filepath.Join(dir, "sallyport-connect.1")).Output()
	require.NoError(t, err)
	require.Contains(t, string(shown), "sallyport connect orders -- -c 'SELECT 1'")
}
