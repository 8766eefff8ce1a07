package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFuzzScript: scripts/fuzz passes a target whose log says that the time was
// over and nothing else, and fails every other that fails, and one that does not build.
func TestFuzzScript(t *testing.T) {
	const (
		begin = `fuzz: elapsed: 0s, gathering baseline coverage: 0/28 completed
fuzz: elapsed: 0s, gathering baseline coverage: 28/28 completed, now fuzzing with 2 workers
fuzz: elapsed: 3s, execs: 125500 (41827/sec), new interesting: 4 (total: 32)
`
		ran  = "fuzz: elapsed: 4s, execs: 171622 (44006/sec), new interesting: 7 (total: 35)\n"
		idle = "fuzz: elapsed: 4s, execs: 125500 (0/sec), new interesting: 4 (total: 32)\n"
		over = "--- FAIL: FuzzAnswer (4.05s)\n    context deadline exceeded\n"
		end  = "FAIL\nexit status 1\nFAIL\texample.com/p\t4.056s\n"
	)
	script, err := os.ReadFile("../../scripts/fuzz")
	require.NoError(t, err)
	for _, c := range []struct {
		name, log, code, want string
		unbuilt               bool
	}{
		{"passes", begin + ran + "PASS\nok  \texample.com/p\t4.1s\n", "0", "passed 1\n", false},
		{"the time was over", begin + ran + over + end, "1", "passed 1\n", false},
		{"an input fails", begin + ran + "--- FAIL: FuzzAnswer (2.53s)\n    --- FAIL: FuzzAnswer (0.00s)\n        a_test.go:1: wrong\n\n    Failing input written to testdata/fuzz/FuzzAnswer/c3\n" + end, "1", "failed 1\n", false},
		{"an input fails and the time was over", begin + ran + over + "    Failing input written to testdata/fuzz/FuzzAnswer/c3\n" + end, "1", "failed 1\n", false},
		{"an input was being minimized", begin + "fuzz: minimizing 54-byte failing input file\nfuzz: elapsed: 4s, minimizing\n" + over + end, "1", "failed 1\n", false},
		{"the last line follows at once", begin + ran + idle + over + end, "1", "passed 1\n", false},
		{"an input hangs", begin + idle + idle + over + end, "1", "failed 1\n", false},
		{"a worker crashes", begin + ran + "--- FAIL: FuzzAnswer (1.00s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n" + end, "1", "failed 1\n", false},
		{"an input of the corpus fails", "--- FAIL: FuzzAnswer (0.00s)\n    --- FAIL: FuzzAnswer/seed#0 (0.00s)\n        a_test.go:1: context deadline exceeded\n" + end, "1", "failed 1\n", false},
		{"the test says so itself", begin + ran + "--- FAIL: FuzzAnswer (1.00s)\n    --- FAIL: FuzzAnswer (0.00s)\n        a_test.go:1: context deadline exceeded\n" + end, "1", "failed 1\n", false},
		{"the time was over before all of the corpus was run", "fuzz: elapsed: 0s, gathering baseline coverage: 0/28 completed\nfuzz: elapsed: 4s, gathering baseline coverage: 27/28 completed\n" + over + end, "1", "passed 1\n", false},
		{"fuzzing did not begin", over + end, "1", "failed 1\n", false},
		{"another target", begin + ran + "--- FAIL: FuzzOther (4.05s)\n    context deadline exceeded\n" + end, "1", "failed 1\n", false},
		{"does not build", "p/p_test.go:3:1: wrong\nFAIL\texample.com/p [build failed]\n", "1", "failed 1\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				name = filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
				require.NoError(t, os.WriteFile(name, []byte(text), 0o700))
			}
			write("scripts/fuzz", string(script))
			write("p/p_test.go", "package p\n\nfunc FuzzAnswer(f *testing.F) {}\n")
			write("log", c.log)
			says := "#!/bin/sh\ncat '" + dir + "/log'\nexit " + c.code + "\n"
			write("bin/go", says)
			if !c.unbuilt {
				write("program", says)
				write("bin/go", "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\ncp '"+dir+"/program' \"$2\"\n")
			}
			cmd := exec.Command(filepath.Join(dir, "scripts/fuzz"))
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "TALLY="+filepath.Join(dir, "tally"))
			out, err := cmd.CombinedOutput()
			require.Equal(t, c.want == "passed 1\n", err == nil, "%s", out)
			tally, err := os.ReadFile(filepath.Join(dir, "tally"))
			require.NoError(t, err)
			require.Equal(t, c.want, string(tally), "%s", out)
		})
	}
}
