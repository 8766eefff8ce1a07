package ssh_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshembed"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
)

// ways returns OpenSSH configurations that lead to a rig's sshd: directly,
// through the sshd itself as a jump host, and through the gateway.
func (r *rig) ways() map[string]string {
	r.t.Helper()
	host, port, err := net.SplitHostPort(r.sshd.address)
	require.NoError(r.t, err)
	key := filepath.Join(r.dir, "id_gateway")
	require.NoError(r.t, os.WriteFile(key, []byte(r.creds.cred.PrivateKey.Reveal()), 0o600))
	known := filepath.Join(r.dir, "known_sshd")
	require.NoError(r.t, os.WriteFile(known, []byte(fmt.Sprintf("[%s]:%s %s", host, port, authorized(r.sshd.host.PublicKey()))), 0o600))
	base := fmt.Sprintf("Host *\n  HostName %s\n  Port %s\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n"+
		"  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n  BatchMode yes\n  LogLevel ERROR\n", host, port, r.resource.Accounts[0].Username, key, known)
	direct, jump := filepath.Join(r.dir, "direct"), filepath.Join(r.dir, "jump")
	require.NoError(r.t, os.WriteFile(direct, []byte(base), 0o600))
	require.NoError(r.t, os.WriteFile(jump, []byte("Host gw\n  ProxyCommand "+program(r.t, "ssh")+" -F "+direct+" -W %h:%p hop\n"+base), 0o600))
	return map[string]string{"direct": direct, "jump": jump, "gateway": r.config()}
}

// BenchmarkTransfer moves 128 MiB by what people use, compared with a direct connection
// and a jump host of OpenSSH's.
func BenchmarkTransfer(b *testing.B) {
	const size = 128 << 20
	r := newRig(b, func(r *rig) { r.handler.Grammar = &commandline.Grammar{} })
	file := filepath.Join(r.dir, "file")
	require.NoError(b, os.WriteFile(file, make([]byte, size), 0o600))
	for _, way := range []struct{ name, cipher, line string }{
		{"cat down", "aes128-gcm@openssh.com", "ssh -c $C -F $F gw cat " + file + " >/dev/null"},
		{"cat up", "aes128-gcm@openssh.com", "ssh -c $C -F $F gw 'cat >/dev/null' <" + file},
		{"cat down", "chacha20-poly1305@openssh.com", "ssh -c $C -F $F gw cat " + file + " >/dev/null"},
		{"scp down", "aes128-gcm@openssh.com", "scp -q -c $C -F $F gw:" + file + " " + file + ".down"},
		{"scp up", "aes128-gcm@openssh.com", "scp -q -c $C -F $F " + file + " gw:" + file + ".up"},
		{"scp -O down", "aes128-gcm@openssh.com", "scp -O -q -c $C -F $F gw:" + file + " " + file + ".down"},
	} {
		ways := r.ways()
		for _, path := range []string{"direct", "jump", "gateway"} {
			b.Run(way.name+"/"+way.cipher+"/"+path, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					cmd := exec.Command("sh", "-c", way.line)
					cmd.Env = append(os.Environ(), "C="+way.cipher, "F="+ways[path])
					require.NoError(b, cmd.Run())
				}
			})
		}
	}
}

// embedded makes the embedded server a resource of the gateway, whose commands start at
// once: a login shell may take longer than everything that is measured.
func embedded(b *testing.B) (r *rig, direct func() *gossh.Client) {
	var s *sshembed.Server
	r = newRig(b, func(r *rig) { s = r.inFrontOfEmbedded() })
	return r, func() *gossh.Client {
		key, err := gossh.ParsePrivateKey([]byte(s.PrivateKey))
		require.NoError(b, err)
		host, _, _, _, err := gossh.ParseAuthorizedKey([]byte(s.HostKey))
		require.NoError(b, err)
		c, err := gossh.Dial("tcp", s.Address, &gossh.ClientConfig{
			User: sshembed.User, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.FixedHostKey(host),
		})
		require.NoError(b, err)
		return c
	}
}

// BenchmarkExec runs one command on a connection that is there.
func BenchmarkExec(b *testing.B) {
	r, direct := embedded(b)
	run := func(b *testing.B, c *gossh.Client) {
		defer c.Close()
		var took []time.Duration
		for b.Loop() {
			begun := time.Now()
			s, err := c.NewSession()
			require.NoError(b, err)
			require.NoError(b, s.Run("true"))
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
	b.Run("direct", func(b *testing.B) { run(b, direct()) })
	b.Run("gateway", func(b *testing.B) { run(b, r.mustClient()) })
}

// BenchmarkSetUp connects, logs in and runs one command.
func BenchmarkSetUp(b *testing.B) {
	r, direct := embedded(b)
	run := func(b *testing.B, dial func() *gossh.Client) {
		for b.Loop() {
			c := dial()
			s, err := c.NewSession()
			require.NoError(b, err)
			require.NoError(b, s.Run("true"))
			c.Close()
		}
	}
	b.Run("direct", func(b *testing.B) { run(b, direct) })
	b.Run("gateway", func(b *testing.B) {
		run(b, func() *gossh.Client {
			c, err := r.client("alice+vm1")
			require.NoError(b, err)
			return c
		})
	})
}

// BenchmarkIdleShell opens sessions, each with a shell at its prompt, and tells
// what one holds: of a direct connection both ends in this process; of one through
// the gateway those of two connections and what the gateway itself needs.
func BenchmarkIdleShell(b *testing.B) {
	address := ""
	r := newRig(b, func(r *rig) {
		r.inFrontOf(func(_ *gossh.ServerConn, _ gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
			}
		})
		address = r.resource.Address
	})
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	run := func(b *testing.B, dial func() *gossh.Client) {
		before, goroutines, n := memory(), runtime.NumGoroutine(), 0
		for b.Loop() {
			c := dial()
			b.Cleanup(func() { c.Close() })
			s, err := c.NewSession()
			require.NoError(b, err)
			require.NoError(b, s.RequestPty("xterm", 24, 80, nil))
			require.NoError(b, s.Shell())
			n++
		}
		b.ReportMetric(float64(memory()-before)/float64(n), "B/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(n), "goroutines/session")
	}
	b.Run("direct", func(b *testing.B) {
		run(b, func() *gossh.Client {
			key, err := gossh.ParsePrivateKey([]byte(r.creds.cred.PrivateKey.Reveal()))
			require.NoError(b, err)
			c, err := gossh.Dial("tcp", address, &gossh.ClientConfig{
				User: "me", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
			})
			require.NoError(b, err)
			return c
		})
	})
	b.Run("gateway", func(b *testing.B) { run(b, r.mustClient) })
}
