package gateway

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

func command(line string) map[string]any { return map[string]any{"resource": "vm1", "command": line} }

// TestMCPCommands: a command gets the verdict, the masking and the record by MCP that it gets by ssh, and one that is held runs after its
// approval, once.
func TestMCPCommands(t *testing.T) {
	a, h := openMCPHost(t)
	s := a.agent(t, a.token(t, "alice").Secret)
	native, err := gossh.Dial("tcp", a.Addr("ssh", "").String(), &gossh.ClientConfig{
		User: "alice+vm1", Auth: []gossh.AuthMethod{gossh.Password(password)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), // the gateway is this test's own
	})
	require.NoError(t, err)
	defer native.Close()
	for _, line := range []string{"echo out; echo bad >&2; exit 3", "kill -9 1", "sh -c 'kill -9 1'", "echo 'a\033[2Jb'"} {
		session, err := native.NewSession()
		require.NoError(t, err)
		var out, bad strings.Builder
		session.Stdout, session.Stderr = &out, &bad
		err = session.Run(line)
		exit := 0
		if err != nil {
			var ended *gossh.ExitError
			require.ErrorAs(t, err, &ended)
			exit = ended.ExitStatus()
		}
		got := call(t, s, "exec", command(line))
		if strings.Contains(line, "kill") {
			require.Equal(t, []string{"denied", "no-kill"}, []string{got.Status, got.Rule}, "%s: %+v", line, got)
			require.Contains(t, bad.String(), "no-kill", "as by ssh")
			continue
		}
		require.Equal(t, "ok", got.Status, got.Why)
		require.Equal(t, exit, got.Exit)
		require.Equal(t, strings.ReplaceAll(out.String(), "\033", ""), got.Output, "without what only a terminal understands")
		require.Equal(t, bad.String(), got.Errors)
		require.True(t, got.Untrusted)
	}
	got := call(t, s, "exec", command("yes | head -c 100000"))
	require.Equal(t, "ok", got.Status, got.Why)
	require.True(t, got.Cut)
	require.LessOrEqual(t, len(got.Output), 4096)

	file := a.dir + "/tee.out"
	line := command("echo once | tee -a " + file)
	held := call(t, s, "exec", line)
	require.Equal(t, "pending", held.Status, held.Why)
	require.NoFileExists(t, file)
	require.Equal(t, held.Request, call(t, s, "exec", line).Request)
	require.Equal(t, 200, h.approve(t, "carol", held.Request), "one who is an approver still when it runs")
	require.Equal(t, "ok", call(t, s, "exec", line).Status)
	again := call(t, s, "exec", line)
	require.Equal(t, "pending", again.Status, "an approval counts once")
	require.NotEqual(t, held.Request, again.Request)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "once\n", string(text))

	require.NoError(t, a.stop())
	byMCP, byHand := map[string]string{}, map[string]string{}
	for id, events := range a.records(t) {
		if id == "" {
			continue
		}
		into := byHand
		if events[0].User == "alice~coder" {
			into = byMCP
			require.Equal(t, []string{"alice", "agent"}, []string{events[0].For, events[0].Identity})
		}
		for _, e := range events {
			if e.Kind == "exec" && e.Text != "" {
				into[e.Text] = e.Verdict + " " + e.Rule
			}
		}
	}
	require.GreaterOrEqual(t, len(byHand), 4)
	for line, verdict := range byHand {
		require.Equal(t, verdict, byMCP[line], line)
	}
}
