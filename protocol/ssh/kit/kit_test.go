package kit

import (
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
)

func kitIn(dir string) *Kit {
	return New(Config{
		Dir: dir, Domain: "gw.example.com",
		Listeners: func() []protocol.Listener {
			return []protocol.Listener{{Protocol: "ssh", Address: "127.0.0.2:6022"}, {Protocol: "other", Address: "127.0.0.3:1"}}
		},
		Resources: func() proxy.Resources {
			return proxy.Resources{
				{Name: "vm1", Type: "ssh", Accounts: []proxy.Account{{Name: "a"}, {Name: "b"}}, Labels: map[string]string{"env": "prod", "at": "here"}},
				{Name: "vm2", Type: "ssh", Accounts: []proxy.Account{{Name: "a"}}},
				{Name: "db", Type: "postgres", Accounts: []proxy.Account{{Name: "a"}}},
			}
		},
		May:      func(id *proxy.Identity, t proxy.Target) bool { return id.Subject == "alice" && t.Account.Name == "a" },
		KnowsKey: func(user string, key []byte) bool { return user == "alice" && string(key) == "key" },
	})
}

// The folder is made with the first handler, and its keys are used from then on.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "ssh")
	k := kitIn(dir)
	_, err := os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "New makes nothing")
	h, err := k.Handler("vm1")
	require.NoError(t, err)
	other, err := k.Handler("")
	require.NoError(t, err)
	require.Equal(t, h.HostKeys, other.HostKeys)
	require.Equal(t, "vm1", h.Resource)
	for _, secret := range []string{"host_key", "host_key_ecdsa", "host_key_rsa", "hosts_ca", "resources_ca"} {
		info, err := os.Stat(filepath.Join(dir, secret))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), secret)
	}
	again, err := kitIn(dir).Handler("")
	require.NoError(t, err)
	require.Len(t, again.HostKeys, 3)
	for i, key := range again.HostKeys {
		require.Equal(t, h.HostKeys[i].PublicKey().Marshal(), key.PublicKey().Marshal())
	}
	require.Equal(t, h.Authority().Hosts.PublicKey().Marshal(), again.Authority().Hosts.PublicKey().Marshal())
}

// An error in the folder stops the start, and is the same for every listener.
func TestBrokenFolder(t *testing.T) {
	for _, file := range []string{"host_key", "host_key_rsa", "hosts_ca", "gateway_known_hosts"} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			if file == "gateway_known_hosts" {
				require.NoError(t, os.Mkdir(filepath.Join(dir, file), 0o700))
			} else {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("hello"), 0o600))
			}
			_, err := kitIn(dir).Handler("")
			require.ErrorContains(t, err, "SSH")
		})
	}
	_, err := New(Config{}).Handler("")
	require.ErrorContains(t, err, "SSH needs a folder")
}

func TestHandler(t *testing.T) {
	dir := t.TempDir()
	h, err := kitIn(dir).Handler("")
	require.NoError(t, err)
	require.Equal(t, []string{"localhost", "127.0.0.1", "::1", "gw.example.com", "127.0.0.2"}, h.Names())
	require.Len(t, h.Own(), 2, "forwards lead to no listener, of any protocol")
	require.True(t, h.KnowsKey(t.Context(), "alice", []byte("key")))
	require.False(t, h.KnowsKey(t.Context(), "bob", []byte("key")))
	require.Equal(t, []ssh.Choice{{Resource: "vm1", Account: "a", About: "at=here env=prod"}, {Resource: "vm2"}}, h.Reachable(t.Context(), &proxy.Identity{Subject: "alice"}))
	require.Empty(t, h.Reachable(t.Context(), &proxy.Identity{Subject: "bob"}))

	known, err := os.ReadFile(KnownHosts(dir))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(known)), "\n")
	require.Len(t, lines, 5)
	require.True(t, strings.HasPrefix(lines[0], "@cert-authority vm1 ssh-ed25519 "), lines[0])
	require.True(t, strings.HasPrefix(lines[1], "@cert-authority vm2 ssh-ed25519 "), lines[1])
	for i, kind := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"} {
		require.True(t, strings.HasPrefix(lines[2+i], "[127.0.0.2]:6022 "+kind+" "), lines[2+i])
	}

	none, err := New(Config{Dir: t.TempDir()}).Handler("")
	require.NoError(t, err)
	require.Nil(t, none.KnowsKey)
	require.Empty(t, none.Reachable(t.Context(), &proxy.Identity{Subject: "alice"}))
}

// Gateways that share keys show the same ones, and keep none in their folders.
func TestSharedKeys(t *testing.T) {
	kept := make(map[string]crypto.PrivateKey)
	handler := func(dir string) *ssh.Handler {
		h, err := New(Config{Dir: dir, Keys: func(name string, generate func() (crypto.PrivateKey, error)) (key crypto.PrivateKey, err error) {
			if kept[name] == nil {
				kept[name], err = generate()
			}
			return kept[name], err
		}}).Handler("")
		require.NoError(t, err)
		return h
	}
	one, two := t.TempDir(), t.TempDir()
	a, b := handler(one), handler(two)
	for i := range a.HostKeys {
		require.Equal(t, a.HostKeys[i].PublicKey().Marshal(), b.HostKeys[i].PublicKey().Marshal())
	}
	for _, dir := range []string{one, two} {
		pub, err := os.ReadFile(filepath.Join(dir, "resources_ca.pub"))
		require.NoError(t, err)
		require.Equal(t, gossh.MarshalAuthorizedKey(a.Authority().Resources.PublicKey()), pub)
		require.NoFileExists(t, filepath.Join(dir, "host_key"))
		require.NoFileExists(t, filepath.Join(dir, "hosts_ca"))
	}
	// A public key that is another one's is replaced.
	require.NoError(t, os.WriteFile(filepath.Join(two, "hosts_ca.pub"), []byte("ssh-ed25519 AAAA"), 0o644))
	handler(two)
	pub, err := os.ReadFile(filepath.Join(two, "hosts_ca.pub"))
	require.NoError(t, err)
	require.Equal(t, gossh.MarshalAuthorizedKey(a.Authority().Hosts.PublicKey()), pub)

	failing := errors.New("the store does not answer")
	_, err = New(Config{Dir: one, Keys: func(string, func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) { return nil, failing }}).Handler("")
	require.ErrorIs(t, err, failing)
}

// seen is what was seen first, in memory.
type seen map[string]string

func (s seen) Known(_ context.Context, name string) ([]byte, error) {
	if s[name] == "" {
		return nil, nil
	}
	return []byte(s[name]), nil
}

func (s seen) Remember(_ context.Context, name string, key []byte) ([]byte, error) {
	s[name] = string(key)
	return key, nil
}

// The first key of a resource is kept where the assembly says so, and in a file otherwise; a look at a resource keeps none.
func TestKnownHosts(t *testing.T) {
	dir, shared := t.TempDir(), seen{"vm2": "shared"}
	for _, tt := range []struct {
		config Config
		vm2    string
	}{{Config{Dir: dir}, ""}, {Config{Dir: dir, FirstSeen: shared}, "shared"}} {
		k := New(tt.config)
		h, err := k.Handler("")
		require.NoError(t, err)
		key, err := h.KnownHosts.Known(t.Context(), "vm2")
		require.NoError(t, err)
		require.Equal(t, tt.vm2, string(key))
		key, err = glance{k.firstSeen()}.Remember(t.Context(), "vm1", []byte("a look"))
		require.NoError(t, err)
		require.Equal(t, "a look", string(key))
		key, err = h.KnownHosts.Known(t.Context(), "vm1")
		require.NoError(t, err)
		require.Nil(t, key)
		_, err = h.KnownHosts.Remember(t.Context(), "vm1", []byte("first"))
		require.NoError(t, err)
		key, err = New(tt.config).firstSeen().Known(t.Context(), "vm1")
		require.NoError(t, err)
		require.Equal(t, "first", string(key))
	}
	text, err := os.ReadFile(filepath.Join(dir, "known_hosts"))
	require.NoError(t, err)
	require.Equal(t, "vm1 Zmlyc3Q=\n", string(text), "as earlier versions have it")
	require.Equal(t, "first", shared["vm1"])
}

func TestProtocol(t *testing.T) {
	p := Protocol()
	require.NoError(t, protocol.Check([]protocol.Protocol{p}))
	dir := filepath.Join(t.TempDir(), "ssh")
	s, err := p.Open(protocol.Assembly{Dir: dir})
	require.NoError(t, err)
	for _, c := range []struct {
		text string
		kind proxy.Kind
	}{{"uptime", proxy.KindExec}, {"bash -l", proxy.KindShell}, {"", proxy.KindShell}} {
		op, err := s.Operation(t.Context(), proxy.Target{}, c.text)
		require.NoError(t, err)
		require.Equal(t, &proxy.Exec{Meta: proxy.Meta{Kind: c.kind}, Command: c.text}, op)
	}
	_, err = s.Handler("")
	require.ErrorContains(t, err, "the assembly has no gateway")
	_, err = os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "explaining needs no files")

	s, err = p.Open(protocol.Assembly{Dir: dir, Gateway: &proxy.Gateway{}})
	require.NoError(t, err)
	h, err := s.Handler("vm1")
	require.NoError(t, err)
	require.Equal(t, p.Name, h.Protocol())
	for _, file := range s.Files {
		require.FileExists(t, file)
	}
	require.IsType(t, &ssh.Settings{}, p.Settings())
}

// TestClientProves: what a login has left on the machine is what ssh shows.
func TestClientProves(t *testing.T) {
	c, err := Protocol().Client(protocol.Endpoint{
		Host: "gw", Port: "6022", User: "alice+vm1", Dir: "a dir/100%", Alias: "gw.example.com",
		Proof: &protocol.Proof{SSHKey: "/p/ssh", SSHCertificate: "/p/ssh-cert.pub"},
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"-p", "6022", "-l", "alice+vm1", "-o", `UserKnownHostsFile="a dir/100%%/gateway_known_hosts"`, "-o", "IdentitiesOnly=yes",
		"-o", "IdentityFile=/p/ssh", "-o", "CertificateFile=/p/ssh-cert.pub", "-o", "HostKeyAlias=gw.example.com", "gw",
	}, c.Args)
}

func TestClient(t *testing.T) {
	c, err := Protocol().Client(protocol.Endpoint{Host: "gw", Port: "6022", User: "alice+vm1", Dir: "data/ssh", Args: []string{"uptime"}})
	require.NoError(t, err)
	require.Equal(t, &protocol.Command{Program: "ssh", Args: []string{"-p", "6022", "-l", "alice+vm1", "-o", "UserKnownHostsFile=data/ssh/gateway_known_hosts", "gw", "uptime"}}, c)
}

// TestClientHost: a host does not become an option of ssh, and what follows it may be one.
func TestClientHost(t *testing.T) {
	for _, host := range []string{"-oProxyCommand=x", "-v", "-", ""} {
		_, err := Protocol().Client(protocol.Endpoint{Host: host, Port: "22", User: "alice", Args: []string{"uptime"}})
		require.ErrorContains(t, err, "host", "%q", host)
	}
	c, err := Protocol().Client(protocol.Endpoint{Host: "gw", Port: "22", User: "alice", Args: []string{"-N", "-L", "8080:localhost:80"}})
	require.NoError(t, err)
	require.Equal(t, []string{"gw", "-N", "-L", "8080:localhost:80"}, c.Args[len(c.Args)-4:])
}

// The keys that earlier versions made are read.
func TestOldKeys(t *testing.T) {
	dir := t.TempDir()
	signer, err := openKey(filesIn(dir), "host_key", newEd25519)
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(dir, "host_key"))
	require.NoError(t, err)
	old, err := gossh.ParsePrivateKey(b)
	require.NoError(t, err)
	require.Equal(t, signer.PublicKey().Marshal(), old.PublicKey().Marshal())
}
