package main

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/examples/internal/exampletest"
)

// TestMain runs main where the test below starts its own binary again.
func TestMain(m *testing.M) {
	if file := os.Getenv("EXAMPLE_CONFIG"); file != "" {
		os.Args = []string{os.Args[0], file}
		main()
		return
	}
	os.Exit(m.Run())
}

func TestReference(t *testing.T) {
	t.Setenv("DB_PASSWORD", exampletest.Upstream)
	file := exampletest.Config(t, exampletest.Shop(t, "CREATE TABLE t AS SELECT 1 AS x"), "env:DB_PASSWORD")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EXAMPLE_CONFIG="+file)
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	listening := regexp.MustCompile(`listening protocol=postgres address=(\S+)`)
	lines := bufio.NewScanner(said)
	var address, all string
	for address == "" && lines.Scan() {
		all += lines.Text() + "\n"
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	require.NotEmpty(t, address, all)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() { // so that the gateway can go on
		}
	}()
	out := exampletest.Psql(t, address, "secret", "user=alice+shop sslmode=require", "DROP TABLE t", "DELETE FROM t")
	require.Contains(t, out, "ERROR:  nothing is dropped here (rule keep)\nHINT:  Rename it instead.\n")
	require.Contains(t, out, "(rule no-where)", "the default guardrails are there too")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	<-read
	require.NoError(t, cmd.Wait(), "it ends well")
}

// The example is short enough to be read in one go.
func TestLength(t *testing.T) {
	const most = 30
	text, err := os.ReadFile("main.go")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	require.LessOrEqual(t, n, most)
	require.Greater(t, n, 10, "the lines are counted")
}

// The README shows the example as it is.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("main.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, shown, ok := strings.Cut(string(text), "\n)\n\n") // what follows the imports
	require.True(t, ok)
	require.Contains(t, string(readme), "```go\n"+shown+"```\n")
}
