package ssh_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

// echoServer answers every line with "echo: " before it, on a loopback port or a
// Unix socket.
func echoServer(t testing.TB, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					fmt.Fprintf(c, "echo: %s\n", in.Text())
				}
			}()
		}
	}()
	return ln
}

func portOf(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

// say sends a line and returns the answer.
func say(t testing.TB, c net.Conn, line string) string {
	t.Helper()
	stuck := time.AfterFunc(10*time.Second, func() { c.Close() }) // the library's connections know no deadlines
	defer stuck.Stop()
	fmt.Fprintln(c, line)
	answer, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	return answer
}

// background starts a program that runs until the test ends.
func (r *rig) background(name string, args ...string) *lockedBuffer {
	r.t.Helper()
	cmd := exec.Command(program(r.t, name), args...)
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SSH_AUTH_SOCK=", "HOME="+r.dir)
	require.NoError(r.t, cmd.Start())
	r.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return out
}

func dialWhenUp(t testing.TB, network, address string) net.Conn {
	t.Helper()
	var c net.Conn
	waitFor(t, address, func() bool {
		var err error
		c, err = net.Dial(network, address)
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestForwards(t *testing.T) {
	target := echoServer(t, "tcp", "127.0.0.1:0")
	socket := filepath.Join(t.TempDir(), "echo.sock")
	echoServer(t, "unix", socket)
	back := testserver.FreePort(t)
	backSocket := filepath.Join(t.TempDir(), "back.sock")
	r := newRig(t, func(r *rig) {
		r.settings.Forwards = []string{"localhost:" + strconv.Itoa(portOf(target)), "127.0.0.0/8:" + strconv.Itoa(portOf(target))}
		r.settings.Sockets = []string{filepath.Dir(socket) + "/*.sock"}
		r.settings.RemoteForwards = []string{"localhost:*"}
		r.settings.RemoteSockets = []string{filepath.Dir(backSocket) + "/*.sock"}
	})
	local, dynamic, localSocket := testserver.FreePort(t), testserver.FreePort(t), filepath.Join(r.dir, "local.sock")
	r.background("ssh", "-F", r.config(), "-N", "-o", "ExitOnForwardFailure=yes",
		"-L", fmt.Sprintf("127.0.0.1:%d:localhost:%d", local, portOf(target)),
		"-L", localSocket+":"+socket,
		"-D", fmt.Sprintf("127.0.0.1:%d", dynamic),
		"-R", fmt.Sprintf("%d:127.0.0.1:%d", back, portOf(target)),
		"-R", backSocket+":"+socket,
		"gw")
	t.Run("local", func(t *testing.T) {
		c := dialWhenUp(t, "tcp", fmt.Sprintf("127.0.0.1:%d", local))
		require.Equal(t, "echo: through\n", say(t, c, "through"))
		c.Close()
		r.journal.expect(t, fmt.Sprintf("forward tcp localhost:%d → done", portOf(target)))
	})
	t.Run("local socket", func(t *testing.T) {
		require.Equal(t, "echo: through\n", say(t, dialWhenUp(t, "unix", localSocket), "through"))
	})
	t.Run("dynamic", func(t *testing.T) {
		c := dialWhenUp(t, "tcp", fmt.Sprintf("127.0.0.1:%d", dynamic))
		c.Write([]byte{5, 1, 0})
		answer := make([]byte, 2)
		_, err := io.ReadFull(c, answer)
		require.NoError(t, err)
		c.Write(binary.BigEndian.AppendUint16([]byte{5, 1, 0, 1, 127, 0, 0, 1}, uint16(portOf(target))))
		answer = make([]byte, 10)
		_, err = io.ReadFull(c, answer)
		require.NoError(t, err)
		require.Zero(t, answer[1])
		require.Equal(t, "echo: socks\n", say(t, c, "socks"))
	})
	t.Run("remote", func(t *testing.T) {
		c := dialWhenUp(t, "tcp", fmt.Sprintf("127.0.0.1:%d", back))
		require.Equal(t, "echo: back\n", say(t, c, "back"))
		c.Close()
		r.journal.expect(t, fmt.Sprintf("forward tcp localhost:%d listen → done", back))
	})
	t.Run("remote socket", func(t *testing.T) {
		require.Equal(t, "echo: back\n", say(t, dialWhenUp(t, "unix", backSocket), "back"))
	})
	t.Run("standard streams", func(t *testing.T) {
		got := r.run(strings.NewReader("w\n"), "ssh", "-F", r.config(), "-W", fmt.Sprintf("localhost:%d", portOf(target)), "gw")
		require.Equal(t, result{out: "echo: w\n"}, got)
	})
}

// TestForwardHalfClose: each direction of a forwarded connection ends by itself,
// and all bytes arrive.
func TestForwardHalfClose(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		n, _ := io.Copy(io.Discard, c) // answers only after the client's end
		fmt.Fprintf(c, "%d bytes", n)
		c.Close()
	}()
	r := newRig(t, func(r *rig) { r.settings.Forwards = []string{"127.0.0.1:*"} })
	got := r.run(strings.NewReader(strings.Repeat("x", 3<<20)), "ssh", "-F", r.config(), "-W", ln.Addr().String(), "gw")
	require.Equal(t, result{out: fmt.Sprintf("%d bytes", 3<<20)}, got)
}

func TestForwardsNeedPermission(t *testing.T) {
	target := echoServer(t, "tcp", "127.0.0.1:0")
	port := strconv.Itoa(portOf(target))
	tests := []struct {
		name   string
		change func(r *rig)
		ok     bool
	}{
		{"by default", func(*rig) {}, false},
		{"another port", func(r *rig) { r.settings.Forwards = []string{"127.0.0.1:1"} }, false},
		{"exec only", func(r *rig) { r.settings.Forwards, r.settings.ExecOnly = []string{"*:*"}, true }, false},
		{"the chain", func(r *rig) {
			r.settings.Forwards = []string{"*:*"}
			r.journal.ask = func(op proxy.Op) proxy.Verdict {
				if op.Info().Kind == proxy.KindForward {
					return proxy.Deny(proxy.CausePolicy, "no-forwards", "not today", "")
				}
				return proxy.Verdict{}
			}
		}, false},
		{"allowed", func(r *rig) { r.settings.Forwards = []string{"127.0.0.1:" + port} }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.change)
			c, err := r.mustClient().Dial("tcp", "127.0.0.1:"+port)
			require.Equal(t, tt.ok, err == nil, "%v", err)
			if err == nil {
				require.Equal(t, "echo: in\n", say(t, c, "in"))
				return
			}
			require.ErrorContains(t, err, "administratively prohibited")
			r.journal.expect(t, "forward tcp 127.0.0.1:"+port+" → refused")
		})
	}
}

// TestNamesAreResolvedOnce: what was judged is what the resource connects to.
func TestNamesAreResolvedOnce(t *testing.T) {
	target := echoServer(t, "tcp", "127.0.0.1:0")
	calls := 0
	r := newRig(t, func(r *rig) {
		r.settings.Forwards = []string{"db.example:*"}
		r.handler.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			calls++
			if calls > 1 {
				return []netip.Addr{netip.MustParseAddr("169.254.169.254")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	c := r.mustClient()
	conn, err := c.Dial("tcp", "db.example:"+strconv.Itoa(portOf(target)))
	require.NoError(t, err)
	require.Equal(t, "echo: x\n", say(t, conn, "x"))
	_, err = c.Dial("tcp", "db.example:"+strconv.Itoa(portOf(target)))
	require.ErrorContains(t, err, "link-local")
	require.Equal(t, 2, calls)
}

func TestCanceledListener(t *testing.T) {
	r := newRig(t, func(r *rig) { r.settings.RemoteForwards = []string{"127.0.0.1:*"} })
	c := r.mustClient()
	ln, err := c.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		if conn, err := ln.Accept(); err == nil {
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	conn := dialWhenUp(t, "tcp", ln.Addr().String())
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, ln.Close())
	waitFor(t, "the port to close", func() bool {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestAgent(t *testing.T) {
	keyring := agent.NewKeyring()
	key, private := newSigner(t)
	raw, err := gossh.ParseRawPrivateKey(private)
	require.NoError(t, err)
	require.NoError(t, keyring.Add(agent.AddedKey{PrivateKey: raw, Comment: "hers"}))
	session := func(t *testing.T, allow bool) (*rig, *gossh.Session, error) {
		r := newRig(t, func(r *rig) { r.settings.Agent = allow })
		c := r.mustClient()
		require.NoError(t, agent.ForwardToAgent(c, keyring))
		s, err := c.NewSession()
		require.NoError(t, err)
		return r, s, agent.RequestAgentForwarding(s)
	}
	t.Run("refused", func(t *testing.T) {
		r, s, err := session(t, false)
		require.Error(t, err)
		out, err := s.Output("echo $SSH_AUTH_SOCK")
		require.NoError(t, err)
		require.Equal(t, "\n", string(out))
		r.journal.expect(t, "agent unix :0 → refused")
	})
	t.Run("allowed", func(t *testing.T) {
		r, s, err := session(t, true)
		require.NoError(t, err)
		out, err := s.CombinedOutput("ssh-add -l && ssh-add -T " + pubFile(t, key) + " && ! ssh-add -D")
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), gossh.FingerprintSHA256(key.PublicKey()))
		r.journal.expect(t, "command request to the key agent remove → refused")
		r.journal.expect(t, "agent unix :0 listen → done")
		keys, err := keyring.List()
		require.NoError(t, err)
		require.Len(t, keys, 1, "the resource removes no keys")
	})
}

func pubFile(t testing.TB, key gossh.Signer) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(file, authorized(key.PublicKey()), 0o600))
	return file
}

func TestDisplay(t *testing.T) {
	request := func(c *gossh.Client) (*gossh.Session, bool) {
		s, err := c.NewSession()
		require.NoError(t, err)
		cookie := make([]byte, 16)
		rand.Read(cookie)
		ok, err := s.SendRequest("x11-req", true, gossh.Marshal(struct {
			Single         bool
			Protocol, Data string
			Screen         uint32
		}{false, "MIT-MAGIC-COOKIE-1", fmt.Sprintf("%x", cookie), 0}))
		require.NoError(t, err)
		return s, ok
	}
	t.Run("refused", func(t *testing.T) {
		r := newRig(t, nil)
		_, ok := request(r.mustClient())
		require.False(t, ok)
		r.journal.expect(t, "x11 tcp :0 → refused")
	})
	t.Run("allowed", func(t *testing.T) {
		program(t, "xauth")
		r := newRig(t, func(r *rig) { r.settings.X11 = true })
		c := r.mustClient()
		channels := c.HandleChannelOpen("x11")
		go func() {
			for nc := range channels {
				ch, reqs, err := nc.Accept()
				if err != nil {
					return
				}
				go gossh.DiscardRequests(reqs)
				io.WriteString(ch, "a display")
				ch.Close()
			}
		}()
		s, ok := request(c)
		require.True(t, ok)
		out, err := s.CombinedOutput(`exec 3<>/dev/tcp/127.0.0.1/$((6000+$(echo ${DISPLAY#*:} | cut -d. -f1))) && cat <&3`)
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "a display")
		r.journal.expect(t, "x11 tcp :0 listen → done")
	})
}
