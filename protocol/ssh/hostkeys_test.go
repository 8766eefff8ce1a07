package ssh_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/ssh"
)

// TestHostKeys: clients know the gateway by a key of the kind that they know, or by a
// certificate of it; signatures with SHA-1 are not made.
func TestHostKeys(t *testing.T) {
	authority, _ := newSigner(t)
	r := newRig(t, func(r *rig) {
		r.handler.HostKeys = ssh.HostSigners(t)
		r.handler.Authority, r.handler.Names = signs(ssh.Authority{Hosts: authority}), func() []string { return []string{"127.0.0.1"} }
	})
	host, port, _ := net.SplitHostPort(r.address)
	var keys bytes.Buffer
	for _, key := range r.handler.HostKeys {
		fmt.Fprintf(&keys, "[%s]:%s %s", host, port, authorized(key.PublicKey()))
	}
	certified := fmt.Sprintf("@cert-authority * %s", authorized(authority.PublicKey()))
	for _, tt := range []struct {
		known, algorithm string
		code             int
	}{
		{keys.String(), "ssh-ed25519", 0},
		{keys.String(), "ecdsa-sha2-nistp256", 0},
		{keys.String(), "rsa-sha2-256", 0},
		{keys.String(), "rsa-sha2-512", 0},
		{keys.String(), "ssh-rsa", 255},
		{certified, "ssh-ed25519-cert-v01@openssh.com", 0},
		{certified, "ecdsa-sha2-nistp256-cert-v01@openssh.com", 0},
		{certified, "rsa-sha2-256-cert-v01@openssh.com", 0},
		{certified, "rsa-sha2-512-cert-v01@openssh.com", 0},
		{certified, "ssh-rsa-cert-v01@openssh.com", 255},
	} {
		t.Run(tt.algorithm, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(r.dir, "known_hosts"), []byte(tt.known), 0o600))
			got := r.ssh("-o", "HostKeyAlgorithms="+tt.algorithm, "gw", "true")
			require.Equal(t, tt.code, got.code, got.err)
		})
	}
}
