package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity/ca"
)

// TestSSHCertificates: with the gateway's own authority a user needs no key in
// the config, clients no known key of the gateway, and the gateway no stored key
// for the resource.
func TestSSHCertificates(t *testing.T) {
	m := openMachine(t, "[connect, exec]", "", "")
	visitor := keyPair(t, m.file("visitor"))
	login := func(args ...string) ended {
		return m.shell("gw", "ssh -F /dev/null -o BatchMode=yes -o IdentityAgent=none -o IdentitiesOnly=yes -o UserKnownHostsFile=$L/known -o GlobalKnownHostsFile=/dev/null "+strings.Join(args, " ")+" $U@$A -p $P 'echo in'")
	}
	known, err := os.ReadFile(m.file("data/ssh/hosts_ca.pub"))
	require.NoError(t, err)
	require.Equal(t, 255, login("-i", m.file("visitor")).Code, "the gateway is not known")
	require.NoError(t, os.MkdirAll(m.file("local-gw"), 0o700))
	require.NoError(t, os.WriteFile(m.file("local-gw/known"), append([]byte("@cert-authority * "), known...), 0o600))
	require.Equal(t, 255, login("-i", m.file("visitor")).Code, "the key is nobody's")

	out := must(t, "ssh-cert", "-c", m.config, "-u", "alice", "--for", "5m", m.file("visitor.pub"))
	require.Equal(t, m.file("visitor-cert.pub")+"\n", out)
	require.Equal(t, ended{Out: "in\n"}, login("-i", m.file("visitor")))
	code, _, text := sallyport(t, "", "ssh-cert", "-c", m.config, "-u", "mallory", m.file("visitor.pub"))
	require.Equal(t, exitNotFound, code, text)
	code, _, text = sallyport(t, "", "ssh-cert", "-c", m.config, "-u", "alice", "--for", "25h", m.file("visitor.pub"))
	require.Equal(t, exitUsage, code, text)

	// Attack 44: what another key signed is worth nothing, nor what was signed for another user.
	key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(visitor))
	require.NoError(t, err)
	cfg, err := gateway.Load(m.config, config.Options{})
	require.NoError(t, err)
	users, closing, err := gateway.OpenUsers(t.Context(), cfg, gateway.Options{})
	require.NoError(t, err)
	sign := func(name string) *gossh.Certificate {
		cert, err := users.SignSSH(t.Context(), ca.User{Name: name, Subject: name, Proven: time.Now(), Expires: time.Now().Add(time.Minute)}, key)
		require.NoError(t, err)
		return cert
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	other, err := gossh.NewSignerFromKey(private)
	require.NoError(t, err)
	forged := sign("alice")
	require.NoError(t, forged.SignCert(rand.Reader, other))
	for name, cert := range map[string]*gossh.Certificate{"by another key": forged, "another's": sign("bob")} {
		require.NoError(t, os.WriteFile(m.file("visitor-cert.pub"), gossh.MarshalAuthorizedKey(cert), 0o600))
		require.Equal(t, 255, login("-i", m.file("visitor")).Code, name)
	}
	require.NoError(t, closing())
}

// TestMintedForResource: the resource trusts the gateway's authority, and no key
// for it is in the config.
func TestMintedForResource(t *testing.T) {
	m := openMachine(t, "[connect, exec]", "mint_certificate: true", "")
	m.stop(t)
	text, err := os.ReadFile(m.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(m.config, []byte(strings.Replace(string(text), "    key: file:upstream\n", "", 1)), 0o600))
	require.NoError(t, os.WriteFile(m.file("accepted"), nil, 0o600))
	ca, err := os.ReadFile(filepath.Join(m.dir, "data", "ssh", "resources_ca.pub"))
	require.NoError(t, err)
	p := start(t, "serve", "-c", m.config)
	p.wait(t, "listening")
	refused := m.shell("gw", "$SSH $H 'echo in'")
	require.Equal(t, ended{Err: "sallyport: the resource does not accept the gateway's credential: ask the gateway's administrator, whose log says more\n", Code: 255}, refused)
	require.NoError(t, os.WriteFile(m.file("accepted"), append([]byte("cert-authority "), ca...), 0o600))
	require.Equal(t, ended{Out: "in\n"}, m.shell("gw", "$SSH $H 'echo in'"))
	p.stop(t)
}
