package tcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// TestWaysIn: a certificate and the TLS server name are enough for a program; a client that the gateway talks to may have a
// password, and may name the resource in each way. What was agreed on by TLS for the resource does not matter.
func TestWaysIn(t *testing.T) {
	r := start(t, echo)
	nothing := func(c *Client) { c.TLS.Certificates = nil }
	for name, change := range map[string]func(c *Client){
		"by certificate":                 func(*Client) {},
		"by certificate and user":        func(c *Client) { c.User = "alice" },
		"the resource in the user name":  func(c *Client) { c.TLS.ServerName, c.User = "127.0.0.1", "alice+cache" },
		"the account, too":               func(c *Client) { c.TLS.ServerName, c.User = "127.0.0.1", "alice+cache+default" },
		"the resource by itself":         func(c *Client) { c.TLS.ServerName, c.Resource = "", "cache" },
		"a password":                     func(c *Client) { nothing(c); c.User, c.Password = "bob", proxy.NewSecret("wonder") },
		"a password and a certificate":   func(c *Client) { c.User, c.Password = "bob", proxy.NewSecret("wonder") },
		"everything names the same":      func(c *Client) { c.User, c.Resource = "alice+cache", "cache" },
		"the server name in other cases": func(c *Client) { c.TLS.ServerName = "CACHE.Gw.Test" },
	} {
		t.Run(name, func(t *testing.T) {
			c := r.client("alice")
			change(c)
			conn, note, err := c.Dial(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			require.Contains(t, note, "does not see what is sent")
			answers(t, conn, "PING\r\n")
		})
	}
	t.Run("a program", func(t *testing.T) { answers(t, r.program("alice"), "PING\r\n") })
	t.Run("a program with protocols of its own", func(t *testing.T) {
		answers(t, r.program("alice", func(c *tls.Config) { c.NextProtos = []string{"postgresql", "h2"} }), "PING\r\n")
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		answers(t, r.program("alice", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "PING\r\n")
	})
	t.Run("a listener of its own", func(t *testing.T) {
		r := start(t, echo, func(r *rig) { r.handler.Resource, r.handler.Domain = "cache", "" })
		answers(t, r.program("alice", func(c *tls.Config) { c.ServerName = "127.0.0.1" }), "PING\r\n")
	})
}

// TestOperation: what is decided about says where the connection leads, and that nobody sees what flows; it is what is explained.
func TestOperation(t *testing.T) {
	r := start(t, echo)
	c := r.dial()
	answers(t, c, "x")
	require.NoError(t, c.Close())
	r.rules.outcome(t)
	got := r.rules.ops[0]
	require.True(t, got.Opaque)
	require.Equal(t, "tcp", got.Network)
	op, err := Operation(proxy.Target{Resource: r.resource}, "")
	require.NoError(t, err)
	same := op.(*proxy.Forward)
	require.Equal(t, []any{got.Network, got.Host, got.Port, got.Opaque}, []any{same.Network, same.Host, same.Port, same.Opaque})
	op, err = Operation(proxy.Target{Resource: &proxy.Resource{Name: "x", Address: "unix:/run/x.sock"}}, "connect")
	require.NoError(t, err)
	require.Equal(t, "unix /run/x.sock", op.(*proxy.Forward).Network+" "+op.(*proxy.Forward).Host)
	for _, t0 := range []proxy.Target{{}, {Resource: r.resource}} {
		_, err = Operation(t0, "GET secret")
		require.Error(t, err)
	}
}

// TestBytes: what is passed on arrives as it was, both ways at once, with a resource with TLS and without; it is counted to the byte.
func TestBytes(t *testing.T) {
	const size = 9<<20 + 12345
	for name, secured := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			up, down := make([]byte, size), make([]byte, size/2)
			_, _ = rand.Read(up)
			_, _ = rand.Read(down)
			sum := make(chan [32]byte, 1)
			ca := testserver.NewAuthority()
			serve := func(raw *net.TCPConn) {
				c := io.ReadWriteCloser(raw)
				if secured {
					c = tls.Server(raw, ca.ServerConfig("127.0.0.1"))
				}
				var out sync.WaitGroup
				out.Go(func() {
					for b := down; len(b) > 0; {
						n := min(len(b), 70001)
						if _, err := c.Write(b[:n]); err != nil {
							return
						}
						b = b[n:]
					}
				})
				h := sha256.New()
				_, _ = io.Copy(h, c)
				out.Wait()
				sum <- [32]byte(h.Sum(nil))
				c.Close()
			}
			r := start(t, serve, func(r *rig) {
				if secured {
					r.resource.TLS = proxy.TLS{RootCAs: ca.Pool}
				}
			})
			c := r.dial()
			var in sync.WaitGroup
			in.Go(func() {
				for b := up; len(b) > 0; {
					n := min(len(b), 99991)
					if _, err := c.Write(b[:n]); err != nil {
						t.Error(err)
						return
					}
					b = b[n:]
				}
				if err := c.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			in.Wait()
			require.True(t, bytes.Equal(down, got))
			require.Equal(t, sha256.Sum256(up), <-sum)
			out := r.rules.outcome(t)
			require.NoError(t, out.Err)
			require.EqualValues(t, len(up), out.BytesIn)
			require.EqualValues(t, len(down), out.BytesOut)
			require.Empty(t, r.told(proxy.EventPanic))
		})
	}
}

// TestHalfClose: either side may end what it sends, and go on reading.
func TestHalfClose(t *testing.T) {
	t.Run("the client first", func(t *testing.T) {
		r := start(t, func(c *net.TCPConn) {
			b, err := io.ReadAll(c) // until the client has ended its side
			if err == nil {
				var n [8]byte
				binary.BigEndian.PutUint64(n[:], uint64(len(b)))
				_, _ = c.Write(n[:])
			}
		})
		for name, c := range map[string]*tls.Conn{"told": r.dial(), "not told": r.program("alice")} {
			_, err := c.Write(make([]byte, 100_000))
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
			b, err := io.ReadAll(c)
			require.NoError(t, err, name)
			require.EqualValues(t, 100_000, binary.BigEndian.Uint64(b), name)
		}
	})
	t.Run("the resource first", func(t *testing.T) {
		got := make(chan []byte, 1)
		r := start(t, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "bye")
			_ = c.CloseWrite()
			b, _ := io.ReadAll(c)
			got <- b
		})
		c := r.dial()
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "bye", string(b))
		_, err = io.WriteString(c, "and this")
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		require.Equal(t, "and this", string(<-got))
		out := r.rules.outcome(t)
		require.NoError(t, out.Err)
		require.EqualValues(t, 8, out.BytesIn)
		require.EqualValues(t, 3, out.BytesOut)
	})
}

// TestReach connects, with TLS where the resource has it, and sends nothing.
func TestReach(t *testing.T) {
	heard := make(chan int, 1)
	r := start(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		heard <- len(b)
	})
	reach := func() error {
		s, _, err := r.gateway.Open(t.Context(), proxy.OpenRequest{
			Identity: &proxy.Identity{Subject: "ops"}, Target: proxy.Target{Resource: r.resource}, Protocol: "tcp", Remote: &net.TCPAddr{},
		})
		require.NoError(t, err)
		defer s.Close(nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Second) // the server says nothing
		defer stop()
		return Reach(ctx, s)
	}
	require.NoError(t, reach())
	require.Zero(t, <-heard)
	r.resource.TLS.Mode = proxy.TLSVerifyFull
	require.ErrorContains(t, reach(), "TLS")
}

// TestIdleMemory: a connection over which nothing flows holds little, after much has, too.
func TestIdleMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's own memory would be measured")
	}
	const count, most = 200, 96 << 10
	r := start(t, echo)
	memory := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	answers(t, r.dial(), "warm")
	before := memory()
	conns := make([]*tls.Conn, count)
	for i := range conns {
		conns[i] = r.dial()
		answers(t, conns[i], "PING\r\n")
	}
	each := (memory() - before) / count
	t.Logf("%d bytes for each idle connection, with the test's own client and server", each)
	require.Less(t, each, uint64(most))
}

func BenchmarkPass(b *testing.B) {
	x := &splice{}
	from, to := net.Pipe()
	defer from.Close()
	go io.Copy(io.Discard, to)
	payload := make([]byte, largeBuffer)
	b.SetBytes(largeBuffer)
	b.ReportAllocs()
	s := &side{from, from}
	for b.Loop() {
		_ = x.write(s, payload, &x.in)
	}
}
