package tcp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// gone knows nobody any more.
type gone struct{ people }

func (gone) Refresh(context.Context, *proxy.Identity) (*proxy.Identity, error) {
	return nil, proxy.ErrUnauthenticated
}

// TestEnds: what ends a session ends both connections within a second, and not so that the client or the resource takes it for
// an orderly end.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"an administrator ends it": func(r *rig) { r.session().Kill(errors.New("ended by root")) },
		"the resource is gone": func(r *rig) {
			rev := *r.gateway.Revision()
			rev.Directory = proxy.Resources{}
			require.NoError(r.t, r.gateway.Use(&rev))
		},
		"the user is gone": func(r *rig) {
			rev := *r.gateway.Revision()
			rev.Authenticator = gone{}
			require.NoError(r.t, r.gateway.Use(&rev))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			r := start(t, func(c *net.TCPConn) {
				b := make([]byte, 1)
				_, err := io.ReadFull(c, b)
				if err == nil {
					_, err = c.Write(b)
				}
				if err == nil {
					_, err = c.Read(b)
				}
				ended <- err
			})
			c := r.dial()
			answers(t, c, "x")
			at := time.Now()
			end(r)
			closed(t, c, at)
			err := <-ended
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF, "the resource takes the end for the client's")
			require.Less(t, time.Since(at), time.Second)
			out := r.rules.outcome(t)
			require.EqualValues(t, 1, out.BytesIn)
			require.EqualValues(t, 1, out.BytesOut)
			require.Error(t, r.session().Err())
		})
	}
}

// TestEndsAtTheDeadline: a session has its time, whatever flows.
func TestEndsAtTheDeadline(t *testing.T) {
	r := start(t, echo, func(r *rig) { r.resource.MaxSession = 300 * time.Millisecond })
	c := r.dial()
	for {
		if _, err := c.Write([]byte("x")); err != nil {
			break
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	s := r.session()
	require.Less(t, time.Since(s.Deadline), time.Second)
	require.ErrorIs(t, s.Err(), proxy.ErrDeadline)
}

// TestEndsWhileStuck: a client that does not read, and a resource that does not, do not keep a session open.
func TestEndsWhileStuck(t *testing.T) {
	for name, of := range map[string]string{"the client does not read": "client", "the resource does not read": "resource"} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			release := make(chan struct{})
			r := start(t, func(c *net.TCPConn) {
				defer close(ended)
				if of == "resource" {
					<-release
					return
				}
				for {
					if _, err := c.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			})
			defer close(release)
			c := r.dial()
			stuck := make(chan struct{})
			if of == "resource" {
				require.NoError(t, c.SetWriteDeadline(time.Now().Add(500*time.Millisecond))) // until every buffer is full
				go func() {
					defer close(stuck)
					for {
						if _, err := c.Write(make([]byte, 64<<10)); err != nil {
							return
						}
					}
				}()
				<-stuck
			}
			at := time.Now()
			r.session().Kill(errors.New("ended by root"))
			if of == "client" {
				<-ended
			}
			r.rules.outcome(t)
			require.Less(t, time.Since(at), time.Second)
		})
	}
}

// TestIdle: with a bound, a session over which nothing flows ends, and one over which something does goes on, whichever way.
func TestIdle(t *testing.T) {
	const bound = time.Second
	r := start(t, func(c *net.TCPConn) {
		for range 8 { // for longer than the bound
			if _, err := c.Write([]byte("tick")); err != nil {
				return
			}
			time.Sleep(bound / 4) // what is tested is time
		}
		quiet(c)
	}, func(r *rig) { r.resource.Settings = Settings{Idle: bound} })
	c := r.dial()
	ticks := make([]byte, 8*4)
	_, err := io.ReadFull(c, ticks)
	require.NoError(t, err)
	last := time.Now()
	_, err = io.ReadAll(c)
	require.Error(t, err)
	require.ErrorIs(t, r.session().Err(), proxy.ErrIdle)
	require.GreaterOrEqual(t, time.Since(last), bound*9/10)

	for _, bad := range []time.Duration{-1, time.Millisecond} {
		require.ErrorContains(t, (&Settings{Idle: bad}).Validate(), "idle:")
	}
	require.NoError(t, (&Settings{}).Validate())
}

// TestShutdown: a connection may go on for the time of draining, and is cut then.
func TestShutdown(t *testing.T) {
	var s *proxy.Session
	t.Run("until the gateway ends", func(t *testing.T) {
		r := start(t, echo)
		c, _, err := r.client("alice").Dial(context.Background())
		require.NoError(t, err)
		answers(t, c, "x") // it is left open
		s = r.session()
	})
	require.ErrorIs(t, s.Err(), proxy.ErrShutdown)
}

// heard is a connection that keeps the types of the records of TLS that come.
type heard struct {
	net.Conn
	mu    sync.Mutex
	bytes []byte
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes = append(h.bytes, p[:n]...)
	return n, err
}

// alerts are how many alerts have come, of which an orderly end is one.
func (h *heard) alerts() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b := h.bytes; len(b) >= 5; b = b[5+int(binary.BigEndian.Uint16(b[3:])):] {
		if b[0] == 21 {
			n++
		}
	}
	return n
}

// TestResourceBreaks: where the connection to the resource breaks, the client is not told of an orderly end, and the record
// says so. What the resource has said before arrives.
func TestResourceBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		serve  func(c *net.TCPConn)
		alerts int
	}{
		"an orderly end": {func(c *net.TCPConn) { _, _ = c.Write([]byte("the answer")) }, 1},
		"a reset": {func(c *net.TCPConn) {
			_, _ = c.Write([]byte("the answer"))
			_, _ = io.ReadFull(c, make([]byte, 1))
			_ = c.SetLinger(0)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.serve)
			raw, err := net.Dial("tcp", r.addr)
			require.NoError(t, err)
			defer raw.Close()
			h := &heard{Conn: raw}
			config := r.config("alice")
			config.MaxVersion = tls.VersionTLS12 // whose records say what they are
			conn := tls.Client(h, config)
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			got := make([]byte, 10)
			_, err = io.ReadFull(conn, got)
			require.NoError(t, err)
			require.Equal(t, "the answer", string(got))
			_, err = conn.Write([]byte("x"))
			require.NoError(t, err)
			_, _ = io.ReadAll(conn)
			require.Equal(t, c.alerts, h.alerts())
			conn.NetConn().Close()
			if out := r.rules.outcome(t); c.alerts == 0 {
				require.ErrorIs(t, out.Err, errLost)
			}
		})
	}
}

// TestResourceEndsEarly: a resource that answers and leaves while the client still sends is heard to its end.
func TestResourceEndsEarly(t *testing.T) {
	const answer = "no more of it"
	r := start(t, func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		_, _ = io.WriteString(c, answer) // and what was not read has the system reset the connection
	})
	c := r.dial()
	go func() {
		for {
			if _, err := c.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	}()
	got, _ := io.ReadAll(io.LimitReader(c, int64(len(answer))))
	require.Equal(t, answer, string(got))
	require.NoError(t, c.NetConn().Close())
	r.rules.outcome(t)
}

// TestClientLeaves: what a client has sent reaches the resource, also where it leaves without a word of TLS, as many programs do.
func TestClientLeaves(t *testing.T) {
	for name, leave := range map[string]func(c *tls.Conn) error{
		"in an orderly way": func(c *tls.Conn) error { return c.Close() },
		"without a word":    func(c *tls.Conn) error { return c.NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			r := start(t, func(c *net.TCPConn) {
				b, _ := io.ReadAll(c)
				got <- string(b)
			})
			c := r.dial()
			_, err := io.WriteString(c, "SET a 1\r\n")
			require.NoError(t, err)
			require.NoError(t, leave(c))
			require.Equal(t, "SET a 1\r\n", <-got)
			out := r.rules.outcome(t)
			require.NoError(t, out.Err)
			require.EqualValues(t, 9, out.BytesIn)
			require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 5*time.Second, time.Millisecond)
		})
	}
}
