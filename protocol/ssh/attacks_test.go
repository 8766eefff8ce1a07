package ssh_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/sshconn"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
)

// impostor shows one key and signs with another.
type impostor struct {
	gossh.Signer
	shown gossh.PublicKey
}

func (i impostor) PublicKey() gossh.PublicKey { return i.shown }

func TestAttack43KeyThatIsNotProven(t *testing.T) {
	other, _ := newSigner(t)
	r := newRig(t, nil)
	r.users.keys[string(authorized(other.PublicKey()))] = "root"
	offered := impostor{r.userKey, other.PublicKey()}
	_, err := r.client("root+vm1", gossh.PublicKeys(offered))
	require.Error(t, err)
	require.Empty(t, r.users.seen, "a key that is not proven is no proof")

	// OpenSSH offers a key of which it has the public half alone, and goes on.
	half := filepath.Join(r.dir, "half")
	require.NoError(t, os.WriteFile(half+".pub", authorized(other.PublicKey()), 0o600))
	got := r.ssh("-o", "LogLevel=DEBUG1", "-o", "IdentityFile="+half, "gw", "echo in")
	require.Contains(t, got.err, "Server accepts key: "+half)
	require.Equal(t, "in\n", got.out)
	require.Len(t, r.users.seen, 1)
	require.Equal(t, r.userKey.PublicKey().Marshal(), r.users.seen[0].PublicKey)
	require.Equal(t, "alice", r.users.seen[0].User)
}

func TestAttack44Certificates(t *testing.T) {
	ca, _ := newSigner(t)
	otherCA, _ := newSigner(t)
	r := newRig(t, func(r *rig) { r.users.authority = ca.PublicKey() })
	r.users.keys = nil
	now := uint64(time.Now().Unix())
	good := func() *gossh.Certificate {
		return &gossh.Certificate{
			Key: r.userKey.PublicKey(), CertType: gossh.UserCert, KeyId: "alice", ValidPrincipals: []string{"alice"},
			ValidAfter: now - 60, ValidBefore: now + 60,
		}
	}
	nested := good()
	require.NoError(t, nested.SignCert(rand.Reader, ca))
	nestedCA, err := gossh.NewCertSigner(nested, r.userKey)
	require.NoError(t, err)
	tests := []struct {
		name   string
		signer gossh.Signer
		change func(c *gossh.Certificate)
		ok     bool
	}{
		{"good", ca, func(*gossh.Certificate) {}, true},
		{"a host's", ca, func(c *gossh.Certificate) { c.CertType = gossh.HostCert }, false},
		{"no principals", ca, func(c *gossh.Certificate) { c.ValidPrincipals = nil }, false},
		{"another's principal", ca, func(c *gossh.Certificate) { c.ValidPrincipals = []string{"bob"} }, false},
		{"expired", ca, func(c *gossh.Certificate) { c.ValidBefore = now - 1 }, false},
		{"not yet valid", ca, func(c *gossh.Certificate) { c.ValidAfter = now + 30 }, false},
		{"unknown critical option", ca, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"verify-required": ""} }, false},
		{"other addresses only", ca, func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.0/24"} }, false},
		{"another authority", otherCA, func(*gossh.Certificate) {}, false},
		{"signed by a certificate", nestedCA, func(*gossh.Certificate) {}, false},
		{"changed after it was signed", ca, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := good()
			if tt.change != nil {
				tt.change(cert)
			}
			if err := cert.SignCert(rand.Reader, tt.signer); err != nil {
				return // the library itself makes no such certificate
			}
			if tt.change == nil {
				cert.ValidBefore += 1000
			}
			signer, err := gossh.NewCertSigner(cert, r.userKey)
			require.NoError(t, err)
			c, err := r.client("alice+vm1", gossh.PublicKeys(signer))
			require.Equal(t, tt.ok, err == nil, "%v", err)
			if err == nil {
				c.Close()
			}
		})
	}
	t.Run("a user's certificate for a host", func(t *testing.T) {
		host, _ := newSigner(t)
		cert := &gossh.Certificate{
			Key: host.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"127.0.0.1"}, ValidAfter: now - 60, ValidBefore: now + 60,
		}
		require.NoError(t, cert.SignCert(rand.Reader, ca))
		got := r2HostCertificate(t, ca, host, cert)
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "its certificate is not for hosts")
	})
	t.Run("a host's certificate for a host", func(t *testing.T) {
		host, _ := newSigner(t)
		cert := &gossh.Certificate{
			Key: host.PublicKey(), CertType: gossh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidAfter: now - 60, ValidBefore: now + 60,
		}
		require.NoError(t, cert.SignCert(rand.Reader, ca))
		require.Equal(t, result{}, r2HostCertificate(t, ca, host, cert))
	})
}

// r2HostCertificate runs a command at a resource that shows cert, where ca is
// trusted for hosts.
func r2HostCertificate(t *testing.T, ca, host gossh.Signer, cert *gossh.Certificate) result {
	t.Helper()
	signer, err := gossh.NewCertSigner(cert, host)
	require.NoError(t, err)
	r := newRig(t, func(r *rig) {
		h := startHostile(t, signer, serveTrue)
		r.resource.Address = h.address
		r.settings.HostKeys, r.settings.HostCAs = nil, []string{string(authorized(ca.PublicKey()))}
	})
	return r.ssh("gw", "true")
}

func TestAttack45EmptyProofs(t *testing.T) {
	r := newRig(t, nil)
	r.users.passwords["alice"] = "" // an Authenticator that would take it
	empty := func(_, _ string, q []string, _ []bool) ([]string, error) { return make([]string, len(q)), nil }
	none := func(_, _ string, _ []string, _ []bool) ([]string, error) { return nil, nil }
	for name, auth := range map[string][]gossh.AuthMethod{
		"none": {}, "password": {gossh.Password("")},
		"empty answers": {gossh.KeyboardInteractive(empty)}, "no answers": {gossh.KeyboardInteractive(none)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.client("alice+vm1", auth...)
			require.Error(t, err)
		})
	}
	require.Empty(t, r.users.seen, "an empty proof is not even checked")
}

func TestAttack46Channels(t *testing.T) {
	tcp := gossh.Marshal(struct {
		Host string
		Port uint32
		From string
		FP   uint32
	}{"127.0.0.1", 22, "127.0.0.1", 1})
	socket := gossh.Marshal(struct {
		Path, Reserved string
		N              uint32
	}{"/run/x.sock", "", 0})
	tests := []struct {
		name  string
		extra []byte
	}{
		{"direct-tcpip", tcp},
		{"direct-tcpip", tcp[:3]},
		{"direct-streamlocal@openssh.com", socket},
		{"forwarded-tcpip", tcp},
		{"forwarded-streamlocal@openssh.com", socket[:len(socket)-4]},
		{"x11", gossh.Marshal(struct {
			From string
			Port uint32
		}{"127.0.0.1", 1})},
		{"auth-agent@openssh.com", nil},
		{"tun@openssh.com", []byte{0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff}},
		{"whatever@example.com", []byte("x")},
	}
	t.Run("the client's", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustClient()
		for _, tt := range tests {
			before := len(r.journal.doneLines())
			_, _, err := c.OpenChannel(tt.name, tt.extra)
			var refused *gossh.OpenChannelError
			require.ErrorAs(t, err, &refused, tt.name)
			waitFor(t, "a record of "+tt.name, func() bool { return len(r.journal.doneLines()) > before })
			require.Contains(t, r.journal.doneLines()[len(r.journal.doneLines())-1], "→ refused", tt.name)
		}
		s, err := c.NewSession()
		require.NoError(t, err)
		require.NoError(t, s.Run("true"), "the connection goes on")
	})
	t.Run("the resource's", func(t *testing.T) {
		errs := make(chan error, len(tests)+1)
		r := newRig(t, func(r *rig) {
			r.inFrontOf(func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
				for _, tt := range tests {
					_, _, err := conn.OpenChannel(tt.name, tt.extra)
					errs <- err
				}
				_, _, err := conn.OpenChannel("session", nil)
				errs <- err
				serveTrue(conn, ch, requests)
			})
		})
		require.Equal(t, result{}, r.ssh("gw", "true"))
		for range len(tests) + 1 {
			var refused *gossh.OpenChannelError
			require.ErrorAs(t, <-errs, &refused)
		}
		for _, tt := range tests {
			r.journal.expect(t, "command channel of the resource's "+tt.name+" → refused")
		}
	})
}

func TestAttack47ForwardsToWhereNobodyGoes(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.settings.Forwards = []string{"*:*"}
		r.handler.Own = func() []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:6443"), netip.MustParseAddrPort("0.0.0.0:6022"), netip.MustParseAddrPort("127.0.0.1:6432")}
		}
		r.handler.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "metadata.example":
				return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
			case "mixed.example":
				return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")}, nil
			}
			return nil, errors.New("no such host")
		}
	})
	c := r.mustClient()
	for _, target := range []string{
		"192.0.2.7:6443", "127.0.0.1:6022", "localhost.:6022", "[::1]:6022", "127.0.0.1:6432", "127.0.0.2:6432", "[::ffff:127.0.0.1]:6432",
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[::169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80",
		"[fe80::1]:80", "[fe80::1%25eth0]:80", "[fd00:ec2::254]:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80", "255.255.255.255:80",
		"metadata.example:80", "mixed.example:80", "unknown.example:80",
		"2852039166:80", "0xa9fea9fe:80", "169.254.43518:80", "127.1:6432", "0251.0376.0251.0376:80", "0xa9.0xfe.0xa9.0xfe:80",
	} {
		t.Run(target, func(t *testing.T) {
			host, port, err := net.SplitHostPort(target)
			require.NoError(t, err)
			p, err := strconv.Atoi(port)
			require.NoError(t, err)
			_, _, err = c.OpenChannel("direct-tcpip", gossh.Marshal(struct {
				Host string
				Port uint32
				From string
				FP   uint32
			}{host, uint32(p), "", 0}))
			require.ErrorContains(t, err, "administratively prohibited")
		})
	}
}

func TestAttack48ForwardsOfOthers(t *testing.T) {
	r := newRig(t, func(r *rig) { r.settings.RemoteForwards = []string{"127.0.0.1:*"} })
	hers, other := r.mustClient(), r.mustClient()
	ln, err := hers.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := ln.Addr().(*net.TCPAddr).Port
	request := gossh.Marshal(struct {
		Host string
		Port uint32
	}{"127.0.0.1", uint32(port)})
	for _, kind := range []string{"cancel-tcpip-forward", "tcpip-forward"} {
		ok, _, err := other.SendRequest(kind, true, request)
		require.NoError(t, err)
		require.False(t, ok, kind)
	}
	ok, _, err := hers.SendRequest("tcpip-forward", true, request)
	require.NoError(t, err)
	require.False(t, ok, "the same port twice")
	dialWhenUp(t, "tcp", ln.Addr().String())

	t.Run("unknown requests", func(t *testing.T) {
		var h *hostile
		r := newRig(t, func(r *rig) { h = r.inFrontOf(serveTrue) })
		c := r.mustClient()
		for _, kind := range []string{"whatever@example.com", "hostkeys-prove-00@openssh.com", "tcpip-forward", "streamlocal-forward@openssh.com"} {
			ok, _, err := c.SendRequest(kind, true, []byte("x"))
			require.NoError(t, err)
			require.False(t, ok)
		}
		s, err := c.NewSession()
		require.NoError(t, err)
		require.NoError(t, s.Run("true"))
		h.mu.Lock()
		defer h.mu.Unlock()
		require.Empty(t, h.globals)
		r.journal.expect(t, "command request whatever@example.com → refused")
	})
}

func TestAttack49SecondRequests(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if e, ok := op.(*proxy.Exec); ok && e.Command == "second" {
				return proxy.Deny(proxy.CausePolicy, "", "no", "")
			}
			return proxy.Verdict{}
		}
	})
	c := r.mustClient()
	command := func(s string) []byte { return gossh.Marshal(struct{ C string }{s}) }
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go gossh.DiscardRequests(reqs)
	ok, err := ch.SendRequest("exec", true, command("cat"))
	require.NoError(t, err)
	require.True(t, ok)
	for _, kind := range []string{"exec", "subsystem", "shell", "pty-req", "env"} {
		payload := command("second")
		if kind == "shell" {
			payload = nil
		}
		ok, err := ch.SendRequest(kind, true, payload)
		require.NoError(t, err)
		require.False(t, ok, kind)
	}
	r.journal.expect(t, "second request on one channel exec → refused")
	ch.Close()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.Error(t, s.Run("second"), "a second channel passes the gate too")
	r.journal.expect(t, "exec second → refused")
}

// TestAttack50HiddenCommands: where commands must be limited, what cannot be
// understood is refused; the forms are listed in package commandline's own test.
func TestAttack50HiddenCommands(t *testing.T) {
	limited := func(r *rig) { r.settings.ExecOnly, r.handler.Grammar = true, &commandline.Grammar{} }
	r := newRig(t, limited)
	require.Equal(t, result{out: "plain\n"}, r.ssh("gw", "echo plain"))
	for _, command := range []string{
		"sh -c id", "bash x", "LD_PRELOAD=/x ls", "rm$IFS-rf$IFS/x", "echo aWQ= | base64 -d | sh", "ls\nbash", "alias ls=id\nls", "sh <<E\nid\nE",
		strings.Repeat("x ", 60000),
	} {
		got := r.ssh("gw", command)
		require.Equal(t, 1, got.code, command)
		require.Contains(t, got.err, "sallyport: the gateway cannot tell what this command would run: ")
	}
	got := r.run(strings.NewReader("id\n"), "ssh", "-F", r.config(), "-T", "gw")
	require.Equal(t, result{err: "sallyport: this resource runs single commands only\nsallyport: run: ssh HOST COMMAND\n", code: 1}, got)
	require.Equal(t, 255, r.run(nil, "sftp", "-F", r.config(), "gw").code)

	c := r.mustClient()
	s, err := c.NewSession()
	require.NoError(t, err)
	require.Error(t, s.Run("echo a\x00b"), "a NUL ends the text for some")
	s, err = c.NewSession()
	require.NoError(t, err)
	require.Error(t, s.RequestPty("xterm", 24, 80, nil))

	r = newRig(t, func(r *rig) { r.settings.ExecOnly = true })
	require.Contains(t, r.ssh("gw", "ls").err, "cannot tell what commands would run", "without a grammar nothing runs")
}

func TestAttack51Files(t *testing.T) {
	t.Run("the whole command is judged", func(t *testing.T) {
		r := newRig(t, nil)
		for _, command := range []string{"scp -t /nonexistent; echo extra", "scp -f /etc/passwd\nid"} {
			r.ssh("gw", command)
			waitFor(t, command, func() bool { return r.journalAsked("exec " + command) })
		}
	})
	t.Run("paths are judged as they were sent", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustClient()
		s, err := c.NewSession()
		require.NoError(t, err)
		in, err := s.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, s.RequestSubsystem("sftp"))
		in.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3})
		path := "/tmp/../etc/./passwd"
		packet := append([]byte{17, 0, 0, 0, 1}, gossh.Marshal(struct{ P string }{path})...)
		in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(packet))))
		in.Write(packet)
		r.journal.expect(t, "file stat "+path+" → done")
	})
	for name, packet := range map[string][]byte{
		"a packet of 256 MiB": {0x10, 0, 0, 0, 3}, "a packet of nothing": {0, 0, 0, 0}, "a read ahead of the version": {0, 0, 0, 5, 5, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.mustClient()
			ch, reqs, err := c.OpenChannel("session", nil)
			require.NoError(t, err)
			ok, err := ch.SendRequest("subsystem", true, gossh.Marshal(struct{ N string }{"sftp"}))
			require.NoError(t, err)
			require.True(t, ok)
			ch.Write(packet)
			complaint, err := io.ReadAll(ch.Stderr())
			require.NoError(t, err)
			require.Contains(t, string(complaint), "malformed sftp packet")
			req := <-reqs
			require.Equal(t, "exit-status", req.Type)
			require.Equal(t, []byte{0, 0, 0, 1}, req.Payload)
			next, err := c.NewSession()
			require.NoError(t, err)
			require.NoError(t, next.Run("true"), "the connection goes on")
		})
	}
}

func TestAttack52Environment(t *testing.T) {
	set := ssh.Settings{Env: []string{"LD_PRELOAD", "*"}}
	require.Error(t, set.Validate())
	r := newRig(t, func(r *rig) { r.settings.Env = []string{"FOO", "LD_*", "*"} })
	c := r.mustClient()
	s, err := c.NewSession()
	require.NoError(t, err)
	for _, name := range []string{"LD_PRELOAD", "LD_X", "DYLD_INSERT_LIBRARIES", "PATH", "BASH_ENV", "BASH_FUNC_ls%%", "IFS", "GIT_SSH_COMMAND", "PYTHONPATH", "", "A=B", "A B", "LC_X\x00"} {
		require.Error(t, s.Setenv(name, "x"), name)
	}
	require.NoError(t, s.Setenv("FOO", "yes"))
	require.NoError(t, s.Setenv("LC_X", "yes"))
	out, err := s.Output("echo $FOO,$LC_X,$LD_PRELOAD")
	require.NoError(t, err)
	require.Equal(t, "yes,yes,\n", string(out))
	r.journal.expect(t, "env LD_PRELOAD x → refused")
}

// hosts keeps keys in memory.
type hosts struct {
	mu              sync.Mutex
	keys            map[string][]byte
	known, remember error
}

func (h *hosts) Known(_ context.Context, name string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[name], h.known
}

func (h *hosts) Remember(_ context.Context, name string, key []byte) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remember != nil {
		return nil, h.remember
	}
	if h.keys[name] == nil {
		h.keys[name] = key
	}
	return h.keys[name], nil
}

func TestAttack53HostKeys(t *testing.T) {
	other, _ := newSigner(t)
	line := func(k gossh.Signer) []string { return []string{string(authorized(k.PublicKey()))} }
	fingerprint := func(k gossh.Signer) string { return gossh.FingerprintSHA256(k.PublicKey()) }
	run := func(t *testing.T, change func(r *rig)) (*rig, result) {
		r := newRig(t, change)
		return r, r.ssh("gw", "true")
	}
	t.Run("unknown", func(t *testing.T) {
		_, got := run(t, func(r *rig) { r.settings.HostKeys = nil })
		require.Equal(t, result{err: "sallyport: no host key of vm1 is known, so the gateway cannot tell it from an impostor\n", code: 255}, got)
	})
	t.Run("changed", func(t *testing.T) {
		r, got := run(t, func(r *rig) { r.settings.HostKeys = line(other) })
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "it showed "+fingerprint(r.sshd.host)+", expected "+fingerprint(other))
		require.Zero(t, strings.Count(r.sshd.log.String(), "Accepted"), "no credential was used")
	})
	t.Run("revoked", func(t *testing.T) {
		_, got := run(t, func(r *rig) { r.settings.RevokedHostKeys = line(r.sshd.host) })
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "revoked")
	})
	t.Run("a plain key where a certificate is due", func(t *testing.T) {
		_, got := run(t, func(r *rig) { r.settings.HostKeys, r.settings.HostCAs = nil, line(other) })
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "it showed no key of an expected kind, only ssh-ed25519, expected a certificate of "+fingerprint(other))
	})
	t.Run("trusted when first seen", func(t *testing.T) {
		known := &hosts{keys: map[string][]byte{}}
		r, got := run(t, func(r *rig) {
			r.settings.HostKeys, r.settings.TrustFirst, r.handler.KnownHosts = nil, true, known
		})
		require.Equal(t, result{}, got)
		known.mu.Lock()
		require.Equal(t, r.sshd.host.PublicKey().Marshal(), known.keys["vm1"], "the resource's key, not that of who stands before it")
		require.Len(t, known.keys, 1)
		known.keys["vm1"] = other.PublicKey().Marshal()
		known.mu.Unlock()
		got = r.ssh("gw", "true")
		require.Equal(t, 255, got.code)
		require.Contains(t, got.err, "it showed "+fingerprint(r.sshd.host)+", expected "+fingerprint(other))
	})
	t.Run("what was seen first cannot be told", func(t *testing.T) {
		for _, known := range []*hosts{{known: errors.New("10.0.0.7 does not answer")}, {remember: errors.New("10.0.0.7 does not answer")}} {
			r, got := run(t, func(r *rig) {
				r.settings.HostKeys, r.settings.TrustFirst, r.handler.KnownHosts = nil, true, known
			})
			require.Equal(t, result{err: "sallyport: the gateway cannot tell whether resource vm1 is the host that it knows: ask the gateway's administrator, whose log says more\n", code: 255}, got)
			require.Zero(t, strings.Count(r.sshd.log.String(), "Accepted"), "no credential was used")
		}
	})
}

func TestAttack54Agent(t *testing.T) {
	answers := make(chan []byte, 10)
	questions := [][]byte{
		{17},                   // add, cut short
		{25, 0, 0, 0, 0, 255},  // add constrained, with an unknown constraint
		{25, 255, 255, 255, 0}, // a length beyond the message
		{19},                   // remove all
		{22, 0, 0, 0, 1, 'x'},  // lock
		{27, 0, 0, 0, 1, 'x'},  // an extension
		{13, 0, 0, 0, 1},       // sign, malformed
		{11, 1},                // list, with something after it
	}
	r := newRig(t, func(r *rig) {
		r.settings.Agent = true
		r.inFrontOf(func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
				if req.Type != "exec" {
					continue
				}
				agent, reqs, err := conn.OpenChannel("auth-agent@openssh.com", nil)
				if err != nil {
					close(answers)
					return
				}
				go gossh.DiscardRequests(reqs)
				for _, q := range questions {
					agent.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(q))), q...))
					b := make([]byte, 5)
					io.ReadFull(agent, b)
					answers <- b
				}
				agent.Write([]byte{0x10, 0, 0, 0, 11}) // 256 MiB
				io.Copy(io.Discard, agent)
				exitWith(ch, 0)
			}
		})
	})
	c := r.mustClient()
	reached := make(chan []byte, 1)
	channels := c.HandleChannelOpen("auth-agent@openssh.com")
	go func() {
		for nc := range channels {
			ch, reqs, err := nc.Accept()
			if err != nil {
				return
			}
			go gossh.DiscardRequests(reqs)
			b, _ := io.ReadAll(ch)
			reached <- b
			ch.Close()
		}
	}()
	s, err := c.NewSession()
	require.NoError(t, err)
	ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, s.Run("x"))
	for range questions {
		require.Equal(t, []byte{0, 0, 0, 1, 5}, <-answers)
	}
	require.Empty(t, <-reached, "nothing of it reached the agent")
	r.journal.expect(t, "malformed message to or from the key agent")
}

func TestAttack55Floods(t *testing.T) {
	t.Run("refused channels", func(t *testing.T) {
		r := newRig(t, nil)
		c := sshconn.UntilWait(r.mustClient())
		var err error
		for range 2000 {
			var refused *gossh.OpenChannelError
			if _, _, err = c.OpenChannel("x", nil); !errors.As(err, &refused) {
				break
			}
		}
		require.Error(t, err)
		require.Error(t, c.Wait(), "a flood ends the connection")
	})
	t.Run("channels at once", func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.settings.MaxChannels = 3 })
		c := r.mustClient()
		var open []gossh.Channel
		for {
			ch, reqs, err := c.OpenChannel("session", nil)
			if err != nil {
				require.ErrorContains(t, err, "too many channels are open")
				break
			}
			go gossh.DiscardRequests(reqs)
			open = append(open, ch)
			require.LessOrEqual(t, len(open), 3)
		}
		require.Len(t, open, 3)
	})
	t.Run("requests", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustClient()
		go func() {
			for range 100000 {
				if _, _, err := c.SendRequest("x", false, nil); err != nil {
					return
				}
			}
		}()
		require.Error(t, c.Wait())
	})
	t.Run("giant key", func(t *testing.T) {
		r := newRig(t, nil)
		small, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		signer, err := gossh.NewSignerFromKey(small)
		require.NoError(t, err)
		giant := append([]byte{0x7f}, make([]byte, 4000)...)
		giant[len(giant)-1] = 1
		wire := gossh.Marshal(struct {
			Type string
			E    []byte
			N    []byte
		}{"ssh-rsa", []byte{1, 0, 1}, giant})
		start := time.Now()
		_, err = r.client("alice+vm1", gossh.PublicKeys(impostor{signer, wireKey{wire}}))
		require.Error(t, err)
		require.Less(t, time.Since(start), 2*time.Second)
		require.Empty(t, r.users.seen)
	})
	t.Run("silent connections", func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.gateway.MaxUnauthenticated = 4 })
		var silent []net.Conn
		for range 20 {
			c, err := net.Dial("tcp", r.address)
			require.NoError(t, err)
			defer c.Close()
			silent = append(silent, c)
		}
		require.Equal(t, result{out: "in\n"}, r.ssh("gw", "echo in"))
		silent[0].SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := io.Copy(io.Discard, silent[0])
		require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the oldest was closed")
	})
}

// wireKey is a key that only has a wire format.
type wireKey struct{ wire []byte }

func (wireKey) Type() string                              { return gossh.KeyAlgoRSA }
func (k wireKey) Marshal() []byte                         { return k.wire }
func (wireKey) Verify(_ []byte, _ *gossh.Signature) error { return errors.New("no") }

// offers returns what a peer offers in its first key exchange message.
func offers(t testing.TB, c net.Conn, self string) string {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(c, self+"\r\n")
	require.NoError(t, err)
	for b := make([]byte, 1); b[0] != '\n'; {
		_, err := io.ReadFull(c, b)
		require.NoError(t, err)
	}
	var n [4]byte
	_, err = io.ReadFull(c, n[:])
	require.NoError(t, err)
	packet := make([]byte, min(binary.BigEndian.Uint32(n[:]), 35000))
	_, err = io.ReadFull(c, packet)
	require.NoError(t, err)
	return string(packet)
}

func TestAttack56Algorithms(t *testing.T) {
	var toResource string
	got := make(chan struct{})
	r := newRig(t, func(r *rig) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		r.resource.Address = ln.Addr().String()
		go func() {
			defer close(got)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			toResource = offers(t, c, "SSH-2.0-x")
		}()
	})
	c, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	defer c.Close()
	toClient := offers(t, c, "SSH-2.0-x")
	r.ssh("gw", "true")
	<-got
	require.Contains(t, toClient, "kex-strict-s-v00@openssh.com")
	require.Contains(t, toResource, "kex-strict-c-v00@openssh.com")
	for _, offer := range []string{toClient, toResource} {
		require.Contains(t, offer, "curve25519-sha256")
		for _, weak := range []string{"sha1", "cbc", "arcfour", "md5", "ssh-dss", "ssh-rsa,", "3des", "hmac-sha2-256-96"} {
			require.NotContains(t, offer, weak)
		}
	}
	for _, option := range []string{"KexAlgorithms=diffie-hellman-group14-sha1", "Ciphers=aes128-cbc", "MACs=hmac-sha1", "HostKeyAlgorithms=ssh-rsa"} {
		args := []string{"-o", "LogLevel=INFO", "-o", option, "gw", "true"}
		if strings.HasPrefix(option, "MACs") {
			args = append([]string{"-o", "Ciphers=aes128-ctr"}, args...)
		}
		got := r.ssh(args...)
		require.Equal(t, 255, got.code, option)
		require.Contains(t, got.err, "no matching", option)
	}
}

// slowDialer connects after a while.
type slowDialer struct{ after time.Duration }

func (d slowDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	time.Sleep(d.after)
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func TestAttack57EarlyData(t *testing.T) {
	r := newRig(t, func(r *rig) { r.gateway.Dialer = slowDialer{time.Second} })
	c := r.mustClient()
	ch, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go gossh.DiscardRequests(reqs)
	data := strings.Repeat("early ", 200000)
	_, err = ch.SendRequest("exec", false, gossh.Marshal(struct{ C string }{"cat"}))
	require.NoError(t, err)
	go func() {
		io.WriteString(ch, data)
		ch.CloseWrite()
	}()
	got, err := io.ReadAll(ch)
	require.NoError(t, err)
	require.True(t, data == string(got), "%d of %d bytes", len(got), len(data))
	require.Equal(t, result{out: "1200000\n"}, r.run(strings.NewReader(data), "ssh", "-F", r.config(), "gw", "wc -c"))
}

func TestAttack58NoDecision(t *testing.T) {
	tests := []struct {
		name string
		ask  func() proxy.Verdict
	}{
		{"panic", func() proxy.Verdict { panic("secret") }},
		{"no answer", func() proxy.Verdict { return proxy.Verdict{Action: proxy.Action(99)} }},
		{"a hold without end", func() proxy.Verdict { return proxy.Verdict{Action: proxy.ActionHold} }},
		{"a rewrite to nothing", func() proxy.Verdict { return proxy.Verdict{Action: proxy.ActionRewrite} }},
		{"timeout", func() proxy.Verdict { time.Sleep(time.Second); return proxy.Allow("late") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.gateway.AskTimeout = 200 * time.Millisecond
				r.journal.ask = func(op proxy.Op) proxy.Verdict {
					if op.Info().Kind == proxy.KindExec {
						return tt.ask()
					}
					return proxy.Verdict{}
				}
			})
			file := filepath.Join(t.TempDir(), "ran")
			got := r.ssh("gw", "touch "+file)
			require.NotZero(t, got.code)
			require.NotContains(t, got.err, "secret")
			require.NoFileExists(t, file)
			r.journal.expect(t, fmt.Sprintf("exec touch %s → refused", file))
		})
	}
}
