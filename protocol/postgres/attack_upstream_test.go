package postgres

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// A server that plays with SCRAM is not logged in to, learns nothing, and costs
// little.
func TestAttack10HostileServers(t *testing.T) {
	offer := func(mechanisms ...string) []byte {
		return wire.AppendAuth(nil, wire.AuthSASL, []byte(strings.Join(mechanisms, "\x00")+"\x00\x00"))
	}
	answer := func(m string) []byte { return wire.AppendAuth(nil, wire.AuthSASLContinue, []byte(m)) }
	const salt = ",s=QSXCR+Q6sek8bf92,i="
	for name, second := range map[string]func(nonce string) []byte{
		"iteration count 1":       func(n string) []byte { return answer("r=" + n + "x" + salt + "1") },
		"iteration count 2^31":    func(n string) []byte { return answer("r=" + n + "x" + salt + "2147483648") },
		"iteration count 2^31-1":  func(n string) []byte { return answer("r=" + n + "x" + salt + "2147483647") },
		"iteration count -4096":   func(n string) []byte { return answer("r=" + n + "x" + salt + "-4096") },
		"another nonce":           func(string) []byte { return answer("r=abcdefghijklmnopqrstuvwxyz" + salt + "4096") },
		"no nonce of its own":     func(n string) []byte { return answer("r=" + n + salt + "4096") },
		"64 KiB of a nonce":       func(n string) []byte { return answer("r=" + n + strings.Repeat("x", 65536) + salt + "4096") },
		"the end before a proof":  func(string) []byte { return wire.AppendAuth(nil, wire.AuthOK, nil) },
		"a proof before ours":     func(string) []byte { return wire.AppendAuth(nil, wire.AuthSASLFinal, []byte("v=AAAA")) },
		"offered again":           func(string) []byte { return offer("SCRAM-SHA-256") },
		"in clear after all":      func(string) []byte { return wire.AppendAuth(nil, wire.AuthCleartext, nil) },
		"ready without an answer": func(string) []byte { return msg(wire.ReadyForQuery, 'I') },
		"nothing but a type":      func(string) []byte { return msg(wire.Authentication) },
		"a huge message":          func(string) []byte { return []byte{wire.Authentication, 0x7f, 0xff, 0xff, 0xff} },
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan []byte, 2)
			g := hostile(t, gateConfig{}, func(c net.Conn) {
				if _, err := wire.ReadStartup(c, nil); err != nil {
					return
				}
				c.Write(offer("SCRAM-SHA-256"))
				r := wire.NewReader(c)
				_, body, err := r.ReadMessage(1 << 16)
				if err != nil {
					return
				}
				_, nonce, _ := bytes.Cut(body, []byte("r="))
				c.Write(second(string(nonce)))
				rest, _ := io.ReadAll(c)
				heard <- rest
			})
			begun := time.Now()
			out := g.psql(t, "SELECT 1")
			require.Contains(t, out, "FATAL")
			require.Less(t, time.Since(begun), 5*time.Second)
			g.stop()
			rest := string(<-heard)
			require.NotContains(t, rest, ",p=", "no proof is given")
			require.NotContains(t, rest, g.pg.Password)
		})
	}
	t.Run("a wrong proof", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) {
			if _, err := wire.ReadStartup(c, nil); err != nil {
				return
			}
			c.Write(offer("SCRAM-SHA-256"))
			r := wire.NewReader(c)
			_, body, err := r.ReadMessage(1 << 16)
			if err != nil {
				return
			}
			_, nonce, _ := bytes.Cut(body, []byte("r="))
			c.Write(answer("r=" + string(nonce) + "x" + salt + "4096"))
			r.ReadMessage(1 << 16)
			c.Write(wire.AppendAuth(nil, wire.AuthSASLFinal, []byte("v=rmF9pqV8S7suAoZWja4dJRkFsKQ6Qe2sL6T5cQ3n1gU=")))
			c.Write(append(wire.AppendAuth(nil, wire.AuthOK, nil), msg(wire.ReadyForQuery, 'I')...))
			io.ReadAll(c)
		})
		require.Contains(t, g.psql(t, "SELECT 1"), "FATAL")
	})
	t.Run("only what we do not speak", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) {
			if _, err := wire.ReadStartup(c, nil); err == nil {
				c.Write(offer("SCRAM-SHA-256-PLUS", "OAUTHBEARER"))
				io.ReadAll(c)
			}
		})
		require.Contains(t, g.psql(t, "SELECT 1"), "FATAL")
	})
}

// rotating counts leases; only a fresh one holds the right password.
type rotating struct {
	right, wrong proxy.Credential
	leased       atomic.Int32
	released     atomic.Int32
}

func (r *rotating) Lease(_ context.Context, q proxy.LeaseRequest) (*proxy.Lease, error) {
	r.leased.Add(1)
	c := r.wrong
	if q.Refused != nil {
		c = r.right
	}
	return &proxy.Lease{Credential: c, Release: func() { r.released.Add(1) }}, nil
}

// A credential that was changed is asked for once more, and what the server says
// about one that it refuses is not passed on.
func TestAttack74Credentials(t *testing.T) {
	for name, rightful := range map[string]bool{"rotated": true, "wrong": false} {
		t.Run(name, func(t *testing.T) {
			source := &rotating{wrong: proxy.Credential{Username: "hidden_account", Password: proxy.NewSecret("hunter2")}}
			g := startGate(t, gateConfig{gateway: func(g *proxy.Gateway) {
				source.right = proxy.Credential(g.Credentials.(proxytest.Credential))
				if !rightful {
					source.right = source.wrong
				}
				g.Credentials = source
			}})
			out := g.psql(t, "SELECT 'works'")
			require.Equal(t, rightful, strings.Contains(out, "works"), out)
			require.NotContains(t, out, "hidden_account")
			require.NotContains(t, out, "hunter2")
			require.EqualValues(t, 2, source.leased.Load(), "once more, and no oftener")
			g.stop()
			require.EqualValues(t, 2, source.released.Load())
		})
	}
}

// The address that is dialled is the resource's, whatever the client's names
// hold.
func TestAttack75Names(t *testing.T) {
	asked := make(chan []wire.Parameter, 10)
	g := hostile(t, gateConfig{resource: func(r *proxy.Resource) { r.Database = "" }}, func(c net.Conn) {
		if st, err := wire.ReadStartup(c, nil); err == nil {
			asked <- append([]wire.Parameter(nil), st.Params...)
		}
	})
	for _, database := range []string{"host=evil port=1", "postgres://evil/x", "a b='c'", "x\nhost=evil", "/tmp"} {
		c := g.login(t, []wire.Parameter{{Name: "user", Value: "alice+orders"}, {Name: "database", Value: database}})
		c.until(0)
		got := <-asked
		require.Contains(t, got, wire.Parameter{Name: "database", Value: database}, "a name and nothing else")
	}
	for _, user := range []string{"alice+127.0.0.1:1", "alice+orders:1", "alice+orders host=evil", "alice+../orders"} {
		c := g.login(t, []wire.Parameter{{Name: "user", Value: user}})
		_, failed := c.until(0)
		require.NotEmpty(t, failed, user)
	}
	require.Empty(t, asked)
}

// A server that is slow, or stops in the middle of a row, holds up nobody but
// its own session, and that one can be ended.
func TestSlowServer(t *testing.T) {
	description := msg(wire.RowDescription, append(append([]byte{0, 1}, "a\x00"...), make([]byte, 18)...)...)
	g := hostile(t, gateConfig{}, func(c net.Conn) {
		if !welcome(c) {
			return
		}
		c.Read(make([]byte, 1024))
		c.Write(append(description, wire.AppendRow(nil, [][]byte{[]byte("half")})[:8]...))
		io.ReadAll(c) // and says nothing more
	})
	c := g.raw(t)
	c.send(query("SELECT 1"))
	io.ReadFull(c, make([]byte, len(description)+8))
	g.raw(t) // another may come in
	for _, s := range g.Sessions() {
		s.Kill(proxy.ErrDeadline)
	}
	begun := time.Now()
	io.ReadAll(c)
	require.Less(t, time.Since(begun), 5*time.Second)
	require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// A client that does not read its result, and a server that does not read what
// is sent, do not prevent ending their session.
func TestStuckPeers(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		g := startGate(t, gateConfig{})
		c := g.raw(t)
		c.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
		time.Sleep(200 * time.Millisecond) // until every buffer is full
		g.raw(t).works()
		begun := time.Now()
		for _, s := range g.Sessions() {
			s.Kill(proxy.ErrDeadline)
		}
		require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 5*time.Second, 10*time.Millisecond)
		require.Less(t, time.Since(begun), 5*time.Second)
	})
	t.Run("server", func(t *testing.T) {
		g := hostile(t, gateConfig{}, func(c net.Conn) {
			if welcome(c) {
				time.Sleep(10 * time.Second)
			}
		})
		c := g.raw(t)
		go func() {
			row := msg(wire.CopyData, make([]byte, 1<<20)...)
			for {
				if _, err := c.Write(row); err != nil {
					return
				}
			}
		}()
		time.Sleep(300 * time.Millisecond)
		for _, s := range g.Sessions() {
			s.Kill(proxy.ErrDeadline)
		}
		require.Eventually(t, func() bool { return len(g.Sessions()) == 0 }, 5*time.Second, 10*time.Millisecond)
	})
}

// When the server says why it ends a connection, that is what the client is told,
// and nothing else.
func TestServersFatal(t *testing.T) {
	clearAndTLS(t, func(t *testing.T, config gateConfig, secure bool) {
		g := startGate(t, config)
		kill := func(c *rawClient) {
			out, err := g.pg.Exec(context.Background(), "postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '"+g.db+"' AND "+ofClients)
			require.NoError(t, err)
			require.Equal(t, "1", out)
		}
		for name, c := range map[string]struct {
			bring func(c *rawClient)
			code  string
		}{
			"at rest":    {kill, "57P01"},
			"in a query": {func(c *rawClient) { c.send(query("SELECT pg_sleep(60)")); g.active(t); kill(c) }, "57P01"},
			"in a batch": {func(c *rawClient) {
				c.send(parse("", "SELECT pg_sleep(60)"), bind("", ""), execute("", 0), sync1)
				g.active(t)
				kill(c)
			}, "57P01"},
			"by itself":         {func(c *rawClient) { c.send(query("SELECT pg_terminate_backend(pg_backend_pid())")) }, "57P01"},
			"while a COPY runs": {func(c *rawClient) { c.send(query("COPY (SELECT pg_sleep(60)) TO STDOUT")); g.active(t); kill(c) }, "57P01"},
			"while it reads a COPY": {func(c *rawClient) {
				c.send(query("CREATE TEMP TABLE t (a int); COPY t FROM STDIN"))
				c.until(wire.CopyInResponse)
				kill(c)
			}, "57P01"},
			"idle in a transaction": {func(c *rawClient) { c.send(query("SET idle_in_transaction_session_timeout = 100; BEGIN")) }, "25P03"},
			"idle":                  {func(c *rawClient) { c.send(query("SET idle_session_timeout = 100")) }, "57P05"},
			"and the client sends on": {func(c *rawClient) {
				c.send(query("SELECT pg_terminate_backend(pg_backend_pid())"), bytes.Repeat(query("SELECT 1"), 1000))
			}, "57P01"},
		} {
			t.Run(name, func(t *testing.T) {
				conn := g.session(t, secure)
				c.bring(conn)
				var codes []string
				for {
					typ, body := conn.message()
					if typ == 0 {
						break
					}
					if typ == wire.ErrorResponse {
						codes = append(codes, string(wire.ErrorField(body, 'S'))+" "+string(wire.ErrorField(body, 'C')))
					}
				}
				require.Equal(t, []string{"FATAL " + c.code}, codes)
				g.idle(t)
			})
		}
	})
}

// active waits until the server works for the gate's only session.
func (g *gate) active(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := g.pg.Exec(context.Background(), "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+g.db+"' AND state = 'active' AND query LIKE '%pg_sleep%'")
		return err == nil && n == "1"
	}, 10*time.Second, time.Millisecond)
}
