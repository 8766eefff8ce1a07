package ssh_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// TestScripts: the lines that a shell without a terminal reads are judged one by
// one; a refused one ends the input, and what came before has run.
func TestScripts(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.handler.Grammar = &commandline.Grammar{}
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if e, ok := op.(*proxy.Exec); ok && e.Kind == proxy.KindInput && strings.Contains(e.Command, "forbidden") {
				return proxy.Deny(proxy.CauseGuardrail, "trip", "not this", "")
			}
			return proxy.Verdict{}
		}
	})
	long := strings.Repeat("x", 40<<10)
	const refused = "sallyport: not this (rule trip)\n"
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  result
	}{
		{"a shell", []string{"gw", "bash"}, "echo one\necho two\nexit 3\n", result{out: "one\ntwo\n", code: 3}},
		{"one that was asked for as such", []string{"-T", "gw"}, "echo one\n", result{out: "one\n"}},
		{"no end of the last line", []string{"gw", "sh -s"}, "echo one\necho two", result{out: "one\ntwo\n"}},
		{"nothing", []string{"gw", "bash -l"}, "", result{}},
		{"refused", []string{"gw", "bash"}, "echo one\necho forbidden\necho two\n", result{"one\n", refused, 1}},
		{"refused, as the last", []string{"gw", "bash"}, "echo one\necho forbidden", result{"one\n", refused, 1}},
		{"refused, with an exit code", []string{"gw", "bash"}, "false\necho forbidden\n", result{"", refused, 1}},
		{"several lines", []string{"gw", "bash"}, "for i in 1 2; do\n\techo $i\ndone\ncat <<EOF\na\n\nEOF\n", result{out: "1\n2\na\n\n"}},
		{"a long line", []string{"gw", "bash"}, "x=" + long + "\necho ${#x}\n", result{out: "40960\n"}},
		{"data behind it", []string{"gw", "bash"}, "cat | wc -c\n\x00\xff\n" + long + "\n", result{out: "40964\n"}},
		{"a comment", []string{"gw", "bash"}, "# forbidden\necho one\n", result{out: "one\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, r.run(strings.NewReader(c.stdin), "ssh", append([]string{"-F", r.config()}, c.args...)...))
		})
	}
	r.journal.expect(t, "shell bash → done 3")
	r.journal.expect(t, "input echo two → done")
	r.journal.expect(t, "input echo forbidden → refused: not this")
	require.NotContains(t, strings.Join(r.journal.doneLines(), "\n"), "xxxx")

	r = newRig(t, func(r *rig) { r.settings.ExecOnly, r.handler.Grammar = true, &commandline.Grammar{} })
	got := r.run(strings.NewReader("echo one\n"), "ssh", "-F", r.config(), "gw", "bash")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "single commands only")
}
