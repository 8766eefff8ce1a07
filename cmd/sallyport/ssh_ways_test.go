package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

// BenchmarkSSHWays compares a machine reached directly with the same through the
// assembled gateway, without masking and with the default packs. The ways take turns in
// an order that changes, so that the ratios of one run mean something on a busy machine:
// each is the median of its way's times by the median of the direct ones.
func BenchmarkSSHWays(b *testing.B) {
	const allow = "[connect, exec, shell, file-read, file-write]"
	plain := openMachineWith(b, "", allow, "", "guardrails: [{use: default}]\n")
	masking := openMachine(b, allow, "", "")
	me, err := user.Current()
	require.NoError(b, err)
	ways := []sshWay{
		{"direct", "direct", plain, wayClient(b, plain, plain.address, me.Username)},
		{"plain", "gw", plain, wayClient(b, plain, plain.listen, "alice+vm1")},
		{"masking", "gw", masking, wayClient(b, masking, masking.listen, "alice+vm1")},
	}
	line := "the quick brown fox jumps over the lazy dog 0123456789\n"
	for _, w := range []struct {
		name string
		run  func(testing.TB, sshWay) time.Duration
	}{
		{"paste/700 short lines", paste("sh", strings.Repeat("some words of it\n", 700))},
		{"paste/700 indented lines", paste("sh", strings.Repeat("\tif x {\ty()\t}\n", 700))},
		{"paste/10 kB", paste("sh", strings.Repeat(line, 180))},
		{"paste/1 MB", paste("sh", strings.Repeat(line, 18000))},
		{"paste/10 kB from bash", paste("env PS1=, bash --norc", strings.Repeat(line, 180))},
		{"paste/1 MB from bash", paste("env PS1=, bash --norc", strings.Repeat(line, 18000))},
		{"script/17,500 lines", moved("seq -f 'x=%.0f' 17500 | $SSH $H bash -s")},
		{"script/17,500 commands", moved("seq -f 'echo line %.0f >/dev/null' 17500 | $SSH $H bash -s")},
		{"exec/text", moved("$SSH $H cat $T/text >/dev/null")},
		{"exec/random", moved("$SSH $H cat $T/random >/dev/null")},
		{"exec/text up", moved("$SSH $H 'cat >/dev/null' <$T/text")},
		{"exec/random up", moved("$SSH $H 'cat >/dev/null' <$T/random")},
	} {
		b.Run(w.name, func(b *testing.B) {
			took := make(map[string][]float64)
			for b.Loop() {
				rand.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
				for _, way := range ways {
					took[way.name] = append(took[way.name], w.run(b, way).Seconds())
				}
			}
			median := func(way string) float64 {
				slices.Sort(took[way])
				return took[way][len(took[way])/2]
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(1000*median("direct"), "ms-direct")
			b.ReportMetric(median("plain")/median("direct"), "of-direct-plain")
			b.ReportMetric(median("masking")/median("direct"), "of-direct-masking")
		})
	}
}

// sshWay is a way to a machine.
type sshWay struct {
	name, host string
	machine    *machine
	client     *gossh.Client
}

func wayClient(b *testing.B, m *machine, address, login string) *gossh.Client {
	b.Helper()
	private, err := os.ReadFile(m.file("alice"))
	require.NoError(b, err)
	key, err := gossh.ParsePrivateKey(private)
	require.NoError(b, err)
	c, err := gossh.Dial("tcp", address, &gossh.ClientConfig{
		User: login, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return c
}

// paste pastes a text into cat at a terminal, and waits until cat has shown its last line.
func paste(shell, text string) func(testing.TB, sshWay) time.Duration {
	return func(t testing.TB, way sshWay) time.Duration {
		s, err := way.client.NewSession()
		require.NoError(t, err)
		defer s.Close()
		require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
		in, err := s.StdinPipe()
		require.NoError(t, err)
		out, err := s.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, s.Start(shell))
		await := func(what string, times int) {
			t.Helper()
			var seen []byte
			b := make([]byte, 64<<10)
			for times > 0 {
				n, err := out.Read(b)
				require.NoError(t, err, "%q", seen)
				seen = append(seen, b[:n]...)
				times -= bytes.Count(seen, []byte(what))
				seen = bytes.Clone(seen[max(0, len(seen)-len(what)+1):])
			}
		}
		io.WriteString(in, "echo rea''dy; exec cat\n")
		await("ready", 1)
		begun := time.Now()
		io.WriteString(in, text+"~\n")
		await("~", 2) // by the terminal, and by cat
		return time.Since(begun)
	}
}

// moved runs a line of sh as machine.shell does. $T has a file of text, and one of random bytes.
func moved(line string) func(testing.TB, sshWay) time.Duration {
	return func(t testing.TB, way sshWay) time.Duration {
		m := way.machine
		if _, err := os.Stat(m.file("text")); err != nil {
			text, err := os.Create(m.file("text"))
			require.NoError(t, err)
			for i := 0; ; i++ {
				n, err := fmt.Fprintf(text, "2026-03-0%d 12:0%d:11 server[%d]: request %d of a client took %d ms\n", i%9+1, i%10, i%4096, i, i%977)
				require.NoError(t, err)
				if i*n > 95_000_000 {
					break
				}
			}
			require.NoError(t, text.Close())
			require.NoError(t, exec.Command("sh", "-c", "head -c 100000000 /dev/urandom >"+m.file("random")).Run())
		}
		begun := time.Now()
		got := m.shell(way.host, "T="+m.dir+"; "+line)
		took := time.Since(begun)
		require.Equal(t, ended{}, got)
		return took
	}
}
