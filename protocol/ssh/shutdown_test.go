package ssh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

const toldShutdown = "sallyport: the session was ended: the gateway is shutting down"

// open opens a channel whose streams a test holds.
func (r *rig) open(c *gossh.Client, request string, payload []byte) (gossh.Channel, *lockedBuffer) {
	r.t.Helper()
	ch, requests, err := c.OpenChannel("session", nil)
	require.NoError(r.t, err)
	go gossh.DiscardRequests(requests)
	told := &lockedBuffer{}
	go io.Copy(told, ch.Stderr())
	if request != "" {
		ok, err := ch.SendRequest(request, true, payload)
		require.NoError(r.t, err)
		require.True(r.t, ok)
	}
	return ch, told
}

// TestShutdownCutsWhatRuns: whatever a session is doing when its time is over, it is cut, its
// client is told where there is a place to tell it, and Serve returns.
func TestShutdownCutsWhatRuns(t *testing.T) {
	text := func(s string) []byte { return gossh.Marshal(struct{ S string }{s}) }
	held := func(kind proxy.Kind) func(r *rig) {
		return func(r *rig) {
			r.gateway.Reviewer = proxytest.Reviewer{Message: "waits for oncall", Wait: until(nil)}
			r.journal.ask = func(op proxy.Op) proxy.Verdict {
				if op.Info().Kind != kind {
					return proxy.Verdict{}
				}
				return proxytest.Hold("oncall")
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(r *rig)
		user   string
		begin  func(t *testing.T, r *rig, c *gossh.Client) (told *lockedBuffer) // nil: nobody is told
	}{
		{"a shell", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			s, err := c.NewSession()
			require.NoError(t, err)
			require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
			in, err := s.StdinPipe()
			require.NoError(t, err)
			out := &lockedBuffer{}
			s.Stdout, s.Stderr = out, out
			require.NoError(t, s.Shell())
			io.WriteString(in, "echo rea''dy\r")
			waitFor(t, "the shell", func() bool { return strings.Contains(out.String(), "ready") })
			return out
		}},
		{"a command", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ch, told := r.open(c, "exec", text("echo ready; sleep 60"))
			_, err := io.ReadFull(ch, make([]byte, 6))
			require.NoError(t, err)
			return told
		}},
		{"output that nobody reads", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			r.open(c, "exec", text("yes"))
			r.journal.expectAsked(t, "exec yes")
			return nil
		}},
		{"input that nobody reads", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ch, told := r.open(c, "exec", text("sleep 60"))
			go io.Copy(ch, neverEnding{})
			return told
		}},
		{"a channel on which nothing was asked", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			_, told := r.open(c, "", nil)
			return told
		}},
		{"a local forward with traffic", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			host, port, _ := net.SplitHostPort(r.resource.Labels["echo"])
			n, _ := strconv.Atoi(port)
			conn, err := c.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(host), Port: n})
			require.NoError(t, err)
			require.Equal(t, "echo: hi\n", say(t, conn, "hi"))
			go io.Copy(io.Discard, conn)
			go io.Copy(conn, neverEnding{})
			return nil
		}},
		{"a remote forward with traffic", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ln, err := c.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			conn := dialWhenUp(t, "tcp", ln.Addr().String())
			go io.Copy(conn, neverEnding{})
			back, err := ln.Accept()
			require.NoError(t, err)
			_, err = io.ReadFull(back, make([]byte, 1<<20))
			require.NoError(t, err)
			return nil
		}},
		{"a transfer by sftp", nil, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			file, source := filepath.Join(r.dir, "endless"), filepath.Join(r.dir, "sparse")
			require.NoError(t, os.WriteFile(source, nil, 0o600))
			require.NoError(t, os.Truncate(source, 1<<40))
			r.sftp("put " + source + " " + file)
			waitFor(t, "the transfer", func() bool { i, err := os.Stat(file); return err == nil && i.Size() > 1<<20 })
			return nil
		}},
		{"a held command", held(proxy.KindExec), "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ch, _, err := c.OpenChannel("session", nil)
			require.NoError(t, err)
			told := &lockedBuffer{}
			go io.Copy(told, ch.Stderr())
			go ch.SendRequest("exec", true, text("true"))
			waitFor(t, "the hold", func() bool { return strings.Contains(told.String(), "waits for oncall") })
			return told
		}},
		{"a held file", held(proxy.KindFile), "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			out := r.sftp("ls /")
			waitFor(t, "the hold", func() bool { return strings.Contains(out.String(), "waits for oncall") })
			return out
		}},
		{"a held forward", held(proxy.KindForward), "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			go c.Dial("tcp", r.resource.Labels["echo"])
			r.journal.expectAsked(t, "forward tcp "+r.resource.Labels["echo"])
			return nil
		}},
		{"a held line", held(proxy.KindInput), "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ch, told := r.open(c, "shell", nil)
			fmt.Fprintf(ch, "touch %s\n", filepath.Join(r.dir, "marker"))
			waitFor(t, "the hold", func() bool { return strings.Contains(told.String(), "waits for oncall") })
			return told
		}},
		{"a held connection", held(proxy.KindConnect), "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			_, told := r.open(c, "", nil)
			waitFor(t, "the hold", func() bool { return strings.Contains(told.String(), "waits for oncall") })
			return nil
		}},
		{"a menu", func(r *rig) {
			r.handler.Reachable = func(context.Context, *proxy.Identity) []ssh.Choice { return []ssh.Choice{{Resource: "vm1"}} }
		}, "alice", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			s, err := c.NewSession()
			require.NoError(t, err)
			require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
			out := &lockedBuffer{}
			s.Stdout = out
			require.NoError(t, s.Shell())
			waitFor(t, "the menu", func() bool { return strings.Contains(out.String(), "Where to?") })
			return nil
		}},
		{"a jump", nil, "alice", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			r.background("ssh", "-F", r.config(), "vm1", "sleep 60")
			r.journal.expectAsked(t, "exec sleep 60")
			return nil
		}},
		{"a resource that answers nothing", func(r *rig) {
			r.inFrontOf(func(_ *gossh.ServerConn, _ gossh.Channel, requests <-chan *gossh.Request) {
				for range requests {
				}
			})
		}, "alice+vm1", func(t *testing.T, r *rig, c *gossh.Client) *lockedBuffer {
			ch, _, err := c.OpenChannel("session", nil)
			require.NoError(t, err)
			go ch.SendRequest("exec", true, text("true"))
			r.journal.expectAsked(t, "exec true")
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			echo := echoServer(t, "tcp", "127.0.0.1:0").Addr().String()
			r := newRig(t, func(r *rig) {
				r.gateway.DrainTimeout = 300 * time.Millisecond
				r.resource.Labels = map[string]string{"echo": echo}
				r.settings.Forwards, r.settings.RemoteForwards = []string{echo}, []string{"127.0.0.1:*"}
				if tt.change != nil {
					tt.change(r)
				}
			})
			c, err := r.client(tt.user)
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			told := tt.begin(t, r, c)
			begin := time.Now()
			require.NoError(t, r.stop())
			require.Less(t, time.Since(begin), 5*time.Second)
			require.Error(t, c.Wait())
			if told != nil {
				require.Eventually(t, func() bool { return strings.Contains(told.String(), toldShutdown) }, 5*time.Second, time.Millisecond, "%s", told)
			}
			require.NoFileExists(t, filepath.Join(r.dir, "marker"))
			require.Empty(t, r.gateway.Sessions())
		})
	}
}

// sftp runs a command of sftp's until the test ends.
func (r *rig) sftp(command string) *lockedBuffer {
	r.t.Helper()
	batch := filepath.Join(r.dir, "batch")
	require.NoError(r.t, os.WriteFile(batch, []byte(command+"\n"), 0o600))
	return r.background("sftp", "-F", r.config(), "-b", batch, "gw")
}

// neverEnding is bytes without an end.
type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) {
	return copy(b, strings.Repeat("y\n", len(b)/2+1)), nil
}

// TestNothingPassesAfterTheEnd: what was typed and not passed on when its session ended is
// not passed on, whatever the gateway was waiting for.
func TestNothingPassesAfterTheEnd(t *testing.T) {
	for name, typed := range map[string]string{"a line whose echo has not come": "uptime\r", "one that keys have edited": "upti\tme\r"} {
		t.Run(name, func(t *testing.T) {
			arrived := &lockedBuffer{}
			r := newRig(t, func(r *rig) {
				r.inFrontOf(func(_ *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
					go io.Copy(arrived, ch)
					for req := range requests {
						req.Reply(true, nil)
					}
				})
			})
			s, err := r.mustClient().NewSession()
			require.NoError(t, err)
			require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
			in, err := s.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, s.Shell())
			io.WriteString(in, typed)
			waitFor(t, "the keys", func() bool { return arrived.String() == strings.TrimSuffix(typed, "\r") })
			r.gateway.Sessions()[0].Kill(proxy.ErrShutdown)
			require.Error(t, s.Wait())
			require.NoError(t, r.stop())
			require.Equal(t, strings.TrimSuffix(typed, "\r"), arrived.String())
			require.False(t, r.journal.has("input"), "nothing was asked after the end")
		})
	}
}

func (j *journal) expectAsked(t testing.TB, line string) {
	t.Helper()
	waitFor(t, line, func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		for _, l := range j.asked {
			if l == line {
				return true
			}
		}
		return false
	})
}
