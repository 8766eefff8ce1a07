package gateway

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/store"
)

// TestRotateSSH: the authorities for SSH are replaced while both keys are trusted, for a gateway and for another one on the same
// store, with OpenSSH's client and server.
func TestRotateSSH(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err)
	dir := t.TempDir()
	trusted := filepath.Join(dir, "trusted")
	require.NoError(t, os.WriteFile(trusted, nil, 0o600))
	host := testserver.KeyPair(t, filepath.Join(dir, "host"))
	machine := testserver.OpenSSH(t, dir, filepath.Join(dir, "host"), "", "TrustedUserCAKeys "+trusted)
	alice := testserver.KeyPair(t, filepath.Join(dir, "alice"))
	t.Setenv("STORE_KEY", store.NewKey().Text())
	shared := store.NewMemory()
	text := func(data string) string {
		return fmt.Sprintf(`
listen: {ssh: "127.0.0.1:0"}
data_dir: %s
store: {key: env:STORE_KEY}
identity: {users: [{name: alice, groups: [dev], ssh_keys: [%q]}]}
resources: [{name: vm1, type: ssh, address: %q, username: %s, ssh: {mint_certificate: true, host_keys: [%q]}}]
access: [{groups: [dev], resources: [vm1], allow: [all]}]
`, data, alice, machine, me.Username, host)
	}
	gateways := []*house{openOn(t, shared, dir, text("one")), openOn(t, shared, dir, text("two"))}
	authority := func(h *house, p ca.Purpose) *ca.Authority {
		t.Helper()
		list := h.authorities()
		i := slices.IndexFunc(list, func(a *ca.Authority) bool { return a.Purpose() == p })
		require.GreaterOrEqual(t, i, 0, "authority %s", p)
		return list[i]
	}
	// public are the lines of a file once it has n of them, at both gateways.
	public := func(name string, n int) []string {
		t.Helper()
		var first []string
		for _, h := range gateways {
			var lines []string
			require.Eventually(t, func() bool {
				b, err := os.ReadFile(filepath.Join(h.parts().config.Data(), "ssh", name))
				lines = slices.Collect(strings.Lines(string(b)))
				return err == nil && len(lines) == n
			}, time.Minute, 10*time.Millisecond, "%s: %q", name, lines)
			if first == nil {
				first = lines
			}
			require.Equal(t, first, lines)
		}
		return first
	}
	trust := func(lines ...string) {
		t.Helper()
		require.NoError(t, os.WriteFile(trusted, []byte(strings.Join(lines, "")), 0o600))
	}
	// runs has a client that trusts the lines go through both gateways.
	runs := func(clients []string) (out []string) {
		t.Helper()
		known := filepath.Join(dir, "known")
		require.NoError(t, os.WriteFile(known, []byte("@cert-authority * "+strings.Join(clients, "@cert-authority * ")), 0o600))
		for _, h := range gateways {
			address, port, err := net.SplitHostPort(h.Addr("ssh", "").String())
			require.NoError(t, err)
			n := startBare(t, "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "UserKnownHostsFile="+known,
				"-i", filepath.Join(dir, "alice"), "-p", port, "alice+vm1@"+address, "echo in")
			if err := n.Wait(); err == nil {
				out = append(out, n.out.String())
			} else {
				out = append(out, n.errs.String())
			}
		}
		return out
	}
	in := []string{"in\n", "in\n"}

	hosts, resources := public("hosts_ca.pub", 1), public("resources_ca.pub", 1)
	for name, line := range map[string]string{"hosts": hosts[0], "resources": resources[0]} {
		key, err := gateways[0].state.privateKeys("ssh")(name+"_ca", func() (crypto.PrivateKey, error) { return nil, fmt.Errorf("there was none") })
		require.NoError(t, err)
		began, err := gossh.NewPublicKey(key.(ed25519.PrivateKey).Public())
		require.NoError(t, err)
		require.Equal(t, string(gossh.MarshalAuthorizedKey(began)), line, "it began with the key by which gateways of earlier versions sign")
	}
	trust(resources...)
	require.Equal(t, in, runs(hosts))

	// Announced: both are published, and the one before signs.
	for _, p := range []ca.Purpose{ca.ForHosts, ca.ForResources} {
		require.NoError(t, authority(gateways[0], p).Rotate(context.Background(), time.Hour, time.Hour))
	}
	require.Equal(t, hosts[0], public("hosts_ca.pub", 2)[0])
	require.Equal(t, resources[0], public("resources_ca.pub", 2)[0])
	for _, h := range gateways {
		b, err := os.ReadFile(filepath.Join(h.parts().config.Data(), "ssh", "gateway_known_hosts"))
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(string(b), "@cert-authority vm1 "), "clients learn of both: %s", b)
	}
	require.Equal(t, in, runs(hosts))

	// Stolen: another one signs at once. Hosts that have not heard of it refuse the gateway, and clients too.
	require.NoError(t, authority(gateways[1], ca.ForResources).Rotate(context.Background(), 0, time.Hour))
	now := public("resources_ca.pub", 3)
	for _, out := range runs(hosts) {
		require.Contains(t, out, "does not accept", "the host trusts the keys from before")
	}
	trust(now[2])
	require.Equal(t, in, runs(hosts))
	require.NoError(t, authority(gateways[1], ca.ForHosts).Rotate(context.Background(), 0, time.Hour))
	all := public("hosts_ca.pub", 3)
	for _, out := range runs(all[:2]) {
		require.Contains(t, out, "Host key verification failed")
	}
	require.Equal(t, in, runs(all), "with both it knows the gateway before and after")
	require.Equal(t, in, runs(all[2:]))
}

// TestRotatedSSHEnds: a key whose time is over is taken out of the files, though nothing changes at that moment.
func TestRotatedSSHEnds(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir, fmt.Sprintf(`
listen: {ssh: "127.0.0.1:0"}
data_dir: data
identity: {users: [{name: alice, groups: [dev], password: %s}]}
resources: [{name: vm1, type: ssh, address: "127.0.0.1:1", username: u, ssh: {trust_on_first_use: true}}]
access: [{groups: [dev], resources: [vm1], allow: [all]}]
`, verifier(t)))
	for _, file := range []string{"ssh/resources_ca.pub", "ca/ca.pem"} {
		before, err := os.ReadFile(filepath.Join(dir, "data", file))
		require.NoError(t, err)
		for _, a := range h.authorities() {
			if a.Purpose() == ca.ForServers && file == "ca/ca.pem" || a.Purpose() == ca.ForResources && file != "ca/ca.pem" {
				require.NoError(t, a.Rotate(t.Context(), 0, time.Second))
			}
		}
		require.Eventually(t, func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "data", file))
			return err == nil && len(b) > 0 && !strings.Contains(string(b), string(before))
		}, time.Minute, 10*time.Millisecond, file)
	}
}
