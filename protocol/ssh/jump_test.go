package ssh_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
)

// TestJump: a client that takes the gateway for a jump host is served by it all
// the same, and what it does is seen.
func TestJump(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.handler.Reachable = func(_ context.Context, id *proxy.Identity) []ssh.Choice {
			require.Equal(t, "alice", id.Subject)
			return []ssh.Choice{{Resource: "vm1"}}
		}
	})
	got := r.ssh("vm1", "echo jumped; exit 4")
	require.Equal(t, result{out: "jumped\n", code: 4}, got)
	r.journal.expect(t, "connect vm1 → done")
	r.journal.expect(t, "exec echo jumped; exit 4 → done 4")
	require.Equal(t, result{out: "300000\n"}, r.run(strings.NewReader(strings.Repeat("x", 300000)), "ssh", "-F", r.config(), "vm1", "wc -c"))
	got = r.ssh("-o", "LogLevel=INFO", "-W", "vm2:22", "jump")
	require.Equal(t, 255, got.code)
	require.Contains(t, got.err, `no such resource, or you may not use it: "vm2"`)
	got = r.ssh("jump", "true")
	require.Equal(t, result{err: "sallyport: no resource was named: connect as alice+RESOURCE\nsallyport:   alice+vm1\n", code: 255}, got)
}

// TestJumpWithCertificates: with the gateway's authority in known_hosts a jump
// needs no key of any resource's, and -J does.
func TestJumpWithCertificates(t *testing.T) {
	hosts, _ := newSigner(t)
	r := newRig(t, func(r *rig) {
		r.handler.Authority = signs(ssh.Authority{Hosts: hosts})
		r.handler.Names = func() []string { return []string{"127.0.0.1"} }
	})
	known := fmt.Sprintf("@cert-authority * %s", authorized(hosts.PublicKey()))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "known_hosts"), []byte(known), 0o600))
	require.Equal(t, result{out: "in\n"}, r.ssh("gw", "echo in"))
	config, err := os.ReadFile(r.config())
	require.NoError(t, err)
	config, _, _ = bytes.Cut(config, []byte("Host vm1 vm2\n")) // -J is in its place
	require.NoError(t, os.WriteFile(r.config(), config, 0o600))
	require.Equal(t, result{out: "in\n"}, r.ssh("-J", "jump", "me@vm1", "echo in"))
}

// TestLoginWithCertificate: a certificate of the gateway's authority logs in, and
// its restrictions hold.
func TestLoginWithCertificate(t *testing.T) {
	ca, _ := newSigner(t)
	r := newRig(t, func(r *rig) {
		r.users.authority = ca.PublicKey()
		r.settings.Forwards = []string{"*:*"}
	})
	cert := &gossh.Certificate{
		Key: r.userKey.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"alice"}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: gossh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}},
	}
	require.NoError(t, cert.SignCert(random{}, ca))
	r.users.keys = nil // the key alone is worth nothing
	require.NoError(t, os.WriteFile(r.keyFile+"-cert.pub", authorized(cert), 0o600))
	require.Equal(t, result{out: "in\n"}, r.ssh("gw", "echo in"))
	r.users.mu.Lock()
	require.Equal(t, "ssh-certificate", r.users.seen[len(r.users.seen)-1].Method.String())
	r.users.mu.Unlock()

	forced := *cert
	forced.CriticalOptions = map[string]string{"force-command": "echo forced"}
	forced.Extensions = nil
	require.NoError(t, forced.SignCert(random{}, ca))
	signer, err := gossh.NewCertSigner(&forced, r.userKey)
	require.NoError(t, err)
	c, err := r.client("alice+vm1", gossh.PublicKeys(signer))
	require.NoError(t, err)
	defer c.Close()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.Error(t, s.RequestPty("xterm", 1, 1, nil))
	out, err := s.Output("id")
	require.NoError(t, err)
	require.Equal(t, "forced\n", string(out))
	_, err = c.Dial("tcp", "127.0.0.1:1")
	require.ErrorContains(t, err, "your certificate does not permit forwarding")
}

// TestMintedCertificate: the gateway logs in to the resource with a certificate
// made for this session alone.
func TestMintedCertificate(t *testing.T) {
	ca, _ := newSigner(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pub"), authorized(ca.PublicKey()), 0o600))
	r := newRig(t, func(r *rig) {
		r.handler.Authority = signs(ssh.Authority{Resources: ca})
		r.settings.Mint = true
		require.NoError(t, os.Mkdir(filepath.Join(r.dir, "minted"), 0o700))
		r.sshd = startSSHD(t, filepath.Join(r.dir, "minted"), nil, "TrustedUserCAKeys "+filepath.Join(dir, "ca.pub"))
		r.resource.Address = r.sshd.address
		r.settings.HostKeys = []string{string(authorized(r.sshd.host.PublicKey()))}
	})
	require.Equal(t, result{out: "in\n"}, r.ssh("gw", "echo in"))
	waitFor(t, "the log to say whose session it is", func() bool { return strings.Contains(r.sshd.log.String(), "ID sallyport alice ") })
	require.Zero(t, r.creds.leases)
}
