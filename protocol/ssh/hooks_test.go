package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestFilters: what a command writes and reads passes through the filters of
// its streams.
func TestFilters(t *testing.T) {
	shapes := make(chan string, 20)
	r := newRig(t, func(r *rig) {
		r.journal.flow = func(_ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			shapes <- shape.Media
			switch shape.Media {
			case "stdin":
				return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) { return append(dst, bytes.ToUpper(src)...), nil }}, nil
			case "stdout": // holds everything back until the end
				var held []byte
				return proxy.Filter{
					Bytes: func(dst, src []byte) ([]byte, error) { held = append(held, src...); return dst, nil },
					End:   func(dst []byte) ([]byte, error) { return append(append(dst, "masked: "...), held...), nil },
				}, nil
			case "stderr":
				return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
					if bytes.Contains(src, []byte("secret")) {
						return dst, errors.New("a rule withholds it")
					}
					return append(dst, src...), nil
				}}, nil
			}
			return proxy.Filter{}, nil
		}
	})
	got := r.run(strings.NewReader("typed"), "ssh", "-F", r.config(), "gw", "cat; exit 3")
	require.Equal(t, result{out: "masked: TYPED", code: 3}, got)
	require.ElementsMatch(t, []string{"stdin", "stdout", "stderr"}, []string{<-shapes, <-shapes, <-shapes})
	got = r.ssh("gw", "echo secret >&2; sleep 1; echo more >&2")
	require.Equal(t, 1, got.code)
	require.NotContains(t, got.err, "\nsecret")
	require.NotContains(t, got.err, "more")
	require.Contains(t, got.err, "sallyport: the data was withheld: a rule withholds it\n")
	r.journal.expect(t, "more >&2 → done withheld")
}

// TestFilterOfATerminal: what a filter holds back is released when nothing
// follows.
func TestFilterOfATerminal(t *testing.T) {
	sizes := make(chan [2]int, 10)
	r := newRig(t, func(r *rig) {
		r.journal.flow = func(_ proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			if shape.Media != "terminal" {
				return proxy.Filter{}, nil
			}
			require.Equal(t, [2]int{100, 24}, [2]int{shape.Width, shape.Height})
			require.Equal(t, "xterm", shape.Terminal)
			var held []byte
			return proxy.Filter{
				Bytes:     func(dst, src []byte) ([]byte, error) { held = append(held, src...); return dst, nil },
				Idle:      func(dst []byte) ([]byte, error) { dst = append(dst, held...); held = held[:0]; return dst, nil },
				IdleAfter: 20 * time.Millisecond,
				Resize:    func(width, height int) error { sizes <- [2]int{width, height}; return nil },
				End:       func(dst []byte) ([]byte, error) { return append(dst, held...), nil },
			}, nil
		}
	})
	s, err := r.mustClient().NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 100, nil))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	var out lockedBuffer
	s.Stdout = &out
	require.NoError(t, s.Shell())
	io.WriteString(in, "echo rea''dy\n")
	waitFor(t, "the output", func() bool { return strings.Contains(out.String(), "ready") })
	require.NoError(t, s.WindowChange(50, 132))
	require.Equal(t, [2]int{132, 50}, <-sizes)
	io.WriteString(in, "exit\n")
	require.NoError(t, s.Wait())
}

// until allows when decided is closed.
func until(decided chan struct{}) func(ctx context.Context) proxy.Verdict {
	return func(ctx context.Context) proxy.Verdict {
		select {
		case <-decided:
			return proxy.Allow("oncall")
		case <-ctx.Done():
			return proxy.Deny(proxy.CauseApproval, "", "nobody decided", "")
		}
	}
}

// TestVerdicts: holds, warnings and rewrites of a command.
func TestVerdicts(t *testing.T) {
	decided := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.gateway.Reviewer = proxytest.Reviewer{ID: "r1", Message: "waits for oncall", Link: "https://gw.example.com/r1", Wait: until(decided)}
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			e, ok := op.(*proxy.Exec)
			if !ok {
				return proxy.Verdict{}
			}
			switch e.Command {
			case "echo held":
				return proxytest.Hold("oncall")
			case "echo warned":
				return proxy.Verdict{Action: proxy.ActionPass, Warn: "mind the gap"}
			case "echo before":
				return proxy.Verdict{Action: proxy.ActionRewrite, Text: []byte("echo after")}
			}
			return proxy.Verdict{}
		}
	})
	require.Equal(t, result{out: "warned\n", err: "sallyport: mind the gap\n"}, r.ssh("gw", "echo warned"))
	require.Equal(t, result{out: "after\n"}, r.ssh("gw", "echo before"))

	const told = "sallyport: waits for oncall\nsallyport: https://gw.example.com/r1\n"
	socket := filepath.Join(r.dir, "control")
	r.background("ssh", "-F", r.config(), "-M", "-N", "-S", socket, "gw")
	waitFor(t, "the master", func() bool { _, err := os.Stat(socket); return err == nil })
	out := r.background("ssh", "-F", r.config(), "-S", socket, "gw", "echo held")
	waitFor(t, "the client to be told", func() bool { return out.String() == told })
	require.Equal(t, result{out: "free\n"}, r.ssh("-S", socket, "gw", "echo free"), "a held command holds up nobody else")
	require.Equal(t, told, out.String())
	close(decided)
	waitFor(t, "the command", func() bool { return out.String() == told+"held\n" })
}

// TestHeldConnect: a client whose session waits for an approval is told so, and
// goes on when it is given.
func TestHeldConnect(t *testing.T) {
	decided := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.gateway.Reviewer = proxytest.Reviewer{Message: "waits for oncall", Wait: until(decided)}
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if op.Info().Kind != proxy.KindConnect {
				return proxy.Verdict{}
			}
			return proxytest.Hold("oncall")
		}
	})
	time.AfterFunc(500*time.Millisecond, func() { close(decided) })
	got := r.run(strings.NewReader("early"), "ssh", "-F", r.config(), "gw", "cat")
	require.Equal(t, result{out: "early", err: "sallyport: waits for oncall\n"}, got)
}

// TestManyResizes: a window that is dragged while its shell waits for an approval
// ends up at its last size.
func TestManyResizes(t *testing.T) {
	decided := make(chan struct{})
	r := newRig(t, func(r *rig) {
		r.gateway.Reviewer = proxytest.Reviewer{Wait: func(context.Context) proxy.Verdict { <-decided; return proxy.Allow("oncall") }}
		r.journal.ask = func(op proxy.Op) proxy.Verdict {
			if op.Info().Kind != proxy.KindShell {
				return proxy.Verdict{}
			}
			return proxytest.Hold("oncall")
		}
	})
	s, err := r.mustClient().NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, nil))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	var out lockedBuffer
	s.Stdout = &out
	started := make(chan error, 1)
	go func() { started <- s.Shell() }()
	waitFor(t, "the question", func() bool { return r.journalAsked("shell") })
	for i := range 1000 {
		require.NoError(t, s.WindowChange(30, 100+i))
	}
	close(decided)
	require.NoError(t, <-started)
	waitFor(t, "the last size", func() bool {
		io.WriteString(in, "stty size\n")
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(out.String(), "30 1099")
	})
	io.WriteString(in, "exit\n")
	require.NoError(t, s.Wait())
}

// TestShutdown: what runs has its time, idle sessions end, and nobody new comes.
func TestShutdown(t *testing.T) {
	r := newRig(t, func(r *rig) { r.gateway.DrainTimeout = 9 * time.Second })
	idle := r.mustClient()
	s, err := idle.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.Run("true"))
	busy := make(chan result, 1)
	go func() { busy <- r.ssh("gw", "echo a; sleep 1; echo b") }()
	waitFor(t, "the command", func() bool { return r.journalAsked("exec echo a; sleep 1; echo b") })
	begin := time.Now()
	require.NoError(t, r.stop())
	require.Less(t, time.Since(begin), 8*time.Second, "nothing is waited for")
	require.Equal(t, result{out: "a\nb\n"}, <-busy)
	require.Error(t, idle.Wait())
}

// TestSilentPeer: a resource that answers nothing any more ends the session.
func TestSilentPeer(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.settings.KeepAlive = 500 * time.Millisecond
		h := r.inFrontOf(func(_ *gossh.ServerConn, _ gossh.Channel, requests <-chan *gossh.Request) {
			for req := range requests {
				req.Reply(true, nil)
			}
		})
		h.silent = true
	})
	got := r.ssh("gw", "true")
	require.Equal(t, result{err: "sallyport: the session was ended: the resource does not answer\n", code: 255}, got)
}
