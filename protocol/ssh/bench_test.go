package ssh_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
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

// BenchmarkTransfer downloads by ssh, beside a direct connection and a jump
// host of OpenSSH's.
func BenchmarkTransfer(b *testing.B) {
	const size = 128 << 20
	r := newRig(b, nil)
	for _, cipher := range []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"} {
		for name, config := range r.ways() {
			b.Run(cipher+"/"+name, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					cmd := exec.Command(program(b, "ssh"), "-F", config, "-c", cipher, "gw", fmt.Sprintf("head -c %d /dev/zero", size))
					require.NoError(b, cmd.Run()) // its output goes to /dev/null
				}
			})
		}
	}
}

// BenchmarkExec runs one command on a connection that is there.
func BenchmarkExec(b *testing.B) {
	r := newRig(b, nil)
	run := func(b *testing.B, c *gossh.Client) {
		for b.Loop() {
			s, err := c.NewSession()
			require.NoError(b, err)
			require.NoError(b, s.Run("true"))
		}
	}
	b.Run("gateway", func(b *testing.B) { run(b, r.mustClient()) })
	b.Run("direct", func(b *testing.B) {
		key, err := gossh.ParsePrivateKey([]byte(r.creds.cred.PrivateKey.Reveal()))
		require.NoError(b, err)
		c, err := gossh.Dial("tcp", r.sshd.address, &gossh.ClientConfig{
			User: r.resource.Accounts[0].Username, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)},
			HostKeyCallback: gossh.FixedHostKey(r.sshd.host.PublicKey()),
		})
		require.NoError(b, err)
		defer c.Close()
		run(b, c)
	})
}

// BenchmarkIdleShell opens sessions, each with a shell at its prompt, and tells
// what one holds in this process, the test's own client and server included.
func BenchmarkIdleShell(b *testing.B) {
	r := newRig(b, func(r *rig) {
		r.inFrontOf(func(_ *gossh.ServerConn, _ gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
			}
		})
	})
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := memory()
	n := uint64(0)
	for b.Loop() {
		c := r.mustClient()
		s, err := c.NewSession()
		require.NoError(b, err)
		require.NoError(b, s.Shell())
		n++
	}
	b.ReportMetric(float64(memory()-before)/float64(n), "B/session")
}
