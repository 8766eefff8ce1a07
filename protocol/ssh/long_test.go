package ssh_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

// TestControlMaster: many sessions share one connection, which is one session
// of the gateway's.
func TestControlMaster(t *testing.T) {
	r := newRig(t, nil)
	socket := filepath.Join(r.dir, "control")
	r.background("ssh", "-F", r.config(), "-M", "-N", "-S", socket, "gw")
	waitFor(t, "the master", func() bool { _, err := os.Stat(socket); return err == nil })
	results := make(chan error, 50)
	for i := range 50 {
		go func() {
			in := strings.Repeat(fmt.Sprintf("session %d\n", i), 5000)
			got := r.run(strings.NewReader(in), "ssh", "-F", r.config(), "-S", socket, "gw", fmt.Sprintf("cat; exit %d", i))
			if got.out != in || got.code != i {
				results <- fmt.Errorf("session %d: code %d, %d bytes, %s; %q", i, got.code, len(got.out), got.err, r.journal.doneLines())
				return
			}
			results <- nil
		}()
	}
	for range 50 {
		require.NoError(t, <-results)
	}
	connects := 0
	for _, line := range r.journal.doneLines() {
		if strings.HasPrefix(line, "connect ") {
			connects++
		}
	}
	require.Equal(t, 1, connects)
	require.Len(t, r.gateway.Sessions(), 1)
}

// TestRekeying: keys change on both legs, by either side's wish, in the middle
// of a transfer.
func TestRekeying(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	tests := []struct {
		name   string
		args   []string
		change func(r *rig)
	}{
		{"the client's wish", []string{"-o", "RekeyLimit=1M"}, nil},
		{"the gateway's wish", nil, func(r *rig) { r.handler.RekeyBytes = 1 << 20 }},
		{"the resource's wish", nil, func(r *rig) {
			dir := filepath.Join(r.dir, "rekeying")
			require.NoError(r.t, os.Mkdir(dir, 0o700))
			accepted, err := os.ReadFile(filepath.Join(r.dir, "authorized_keys"))
			require.NoError(r.t, err)
			r.sshd = startSSHD(r.t, dir, accepted, "RekeyLimit 1M")
			r.resource.Address = r.sshd.address
			r.settings.HostKeys = []string{string(authorized(r.sshd.host.PublicKey()))}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.change)
			args := append([]string{"-F", r.config(), "-o", "LogLevel=DEBUG1"}, tt.args...)
			got := r.run(bytes.NewReader(data), "ssh", append(args, "gw", "cat")...)
			require.Equal(t, 0, got.code, got.err)
			require.True(t, string(data) == got.out, "%d bytes", len(got.out))
			if tt.name != "the resource's wish" {
				require.Greater(t, strings.Count(got.err, "SSH2_MSG_NEWKEYS received"), 5)
			}
		})
	}
}

// TestSlowReader: a client that does not read stops the resource, and nobody
// else.
func TestSlowReader(t *testing.T) {
	var written atomic.Int64
	r := newRig(t, func(r *rig) {
		r.inFrontOf(func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
				switch {
				case req.Type == "exec" && bytes.Contains(req.Payload, []byte("flood")):
					go func() {
						b := make([]byte, 32<<10)
						for {
							n, err := ch.Write(b)
							written.Add(int64(n))
							if err != nil {
								return
							}
						}
					}()
				case req.Type == "exec":
					io.WriteString(ch, "still here")
					exitWith(ch, 0)
				}
			}
		})
	})
	c := r.mustClient()
	slow, err := c.NewSession()
	require.NoError(t, err)
	out, err := slow.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, slow.Start("flood"))
	var last int64
	waitFor(t, "the resource to stop", func() bool {
		now := written.Load()
		time.Sleep(200 * time.Millisecond)
		last = written.Load()
		return now > 0 && now == last
	})
	require.LessOrEqual(t, last, int64(5<<20), "two windows and what is in between")
	other, err := c.NewSession()
	require.NoError(t, err)
	got, err := other.Output("hello")
	require.NoError(t, err)
	require.Equal(t, "still here", string(got))
	_, err = io.CopyN(io.Discard, out, 4<<20)
	require.NoError(t, err)
	waitFor(t, "the resource to go on", func() bool { return written.Load() > last })
}

// TestResourceDies: a resource that dies in the middle of a transfer is told of,
// after what it had sent.
func TestResourceDies(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.inFrontOf(func(conn *gossh.ServerConn, ch gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
				if req.Type == "exec" {
					io.WriteString(ch, "the beginning\n")
					time.Sleep(100 * time.Millisecond)
					conn.Close()
				}
			}
		})
	})
	got := r.ssh("gw", "anything")
	require.Equal(t, result{out: "the beginning\n", err: "sallyport: the connection to vm1 was lost\n", code: 255}, got)
	r.journal.expect(t, "exec anything → error: the connection to the resource was lost")
}
