package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// rawClient speaks bytes.
type rawClient struct {
	t testing.TB
	net.Conn
}

// dial opens a connection on which nothing has been said.
func (g *gate) dial(t testing.TB) *rawClient {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &rawClient{t, c}
}

// raw logs in as alice and returns the connection, which is idle.
func (g *gate) raw(t testing.TB) *rawClient {
	t.Helper()
	host, port, err := net.SplitHostPort(g.addr)
	require.NoError(t, err)
	conn, err := loggedIn("sslmode=disable user=alice+orders password=wonder host=" + host + " port=" + port + " dbname=" + g.db)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{t, conn}
}

// patience is how long a message may take, so that what hangs is told and not waited for.
const patience = time.Minute

func (c *rawClient) send(b ...[]byte) {
	c.t.Helper()
	require.NoError(c.t, c.SetWriteDeadline(time.Now().Add(patience)))
	_, err := c.Write(bytes.Join(b, nil))
	require.NoError(c.t, err)
}

// message reads one message of the gateway's; 0 at the end of the connection.
func (c *rawClient) message() (typ byte, body []byte) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience)) // fails when the connection has ended, as the read does
	var h [5]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		require.False(c.t, isTimeout(err), "the connection hangs")
		return 0, nil
	}
	n := binary.BigEndian.Uint32(h[1:])
	require.GreaterOrEqual(c.t, n, uint32(4))
	require.Less(c.t, n, uint32(64<<20))
	body = make([]byte, n-4)
	_, err := io.ReadFull(c, body)
	require.NoError(c.t, err)
	return h[0], body
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// until reads to a message of this type, or to the end, and returns the types
// on the way and the last error's text.
func (c *rawClient) until(stop byte) (types, failed string) {
	c.t.Helper()
	for {
		typ, body := c.message()
		if typ == 0 {
			return types + "$", failed
		}
		types += string(typ)
		if typ == wire.ErrorResponse {
			failed = string(wire.ErrorField(body, 'C')) + " " + string(wire.ErrorField(body, 'M'))
		}
		if typ == stop {
			return types, failed
		}
	}
}

// ended requires that the gateway closes the connection, and returns the last
// error's text.
func (c *rawClient) ended() string {
	c.t.Helper()
	types, failed := c.until(0)
	require.True(c.t, strings.HasSuffix(types, "$"), types)
	return failed
}

// works requires that a query gets its answer.
func (c *rawClient) works() {
	c.t.Helper()
	c.send(wire.AppendQuery(nil, []byte("SELECT 1")))
	types, failed := c.until(wire.ReadyForQuery)
	require.Equal(c.t, "TDCZ", types, failed)
}

func msg(typ byte, body ...byte) []byte { return wire.AppendMessage(nil, typ, body) }

// backdoor starts a server that a test scripts, and returns where it listens.
func backdoor(t testing.TB, serve func(c net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
				c.SetDeadline(time.Now().Add(patience))
				serve(c)
			}()
		}
	}()
	return ln.Addr().String()
}

// hostile is a gate whose resource is a scripted server.
func hostile(t testing.TB, c gateConfig, serve func(c net.Conn)) *gate {
	t.Helper()
	address := backdoor(t, serve)
	resource := c.resource
	c.resource = func(r *proxy.Resource) {
		if resource != nil {
			resource(r)
		}
		r.Address = address
	}
	return startGate(t, c)
}

// welcome plays a server that logs everybody in.
func welcome(c net.Conn) bool {
	if st, err := wire.ReadStartup(c, nil); err != nil || st.Kind == wire.StartupCancel {
		return false
	}
	b := wire.AppendAuth(nil, 0, nil)
	b = wire.AppendStatus(b, "server_version", "15.0")
	b = wire.AppendStatus(b, "client_encoding", "UTF8")
	b = wire.AppendStatus(b, "standard_conforming_strings", "on")
	b = wire.AppendKey(b, 1, []byte{1, 2, 3, 4})
	b = append(b, msg(wire.ReadyForQuery, 'I')...)
	_, err := c.Write(b)
	return err == nil
}

// answering plays a server that answers every query with the same bytes.
func answering(answer []byte) func(c net.Conn) {
	return func(c net.Conn) {
		if !welcome(c) {
			return
		}
		r := wire.NewReader(c)
		for {
			typ, _, err := r.ReadMessage(1 << 20)
			if err != nil {
				return
			}
			if typ == wire.Query {
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	}
}

// memory is what the process has in use.
func memory() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// login logs alice in with these parameters, by SCRAM, and returns the
// connection once she has sent her proof.
func (g *gate) login(t testing.TB, params []wire.Parameter) *rawClient {
	t.Helper()
	c := g.dial(t)
	c.login(params)
	return c
}

func (c *rawClient) login(params []wire.Parameter) {
	c.t.Helper()
	c.send(wire.AppendStartup(nil, wire.Version30, params))
	typ, _ := c.message()
	require.Equal(c.t, byte(wire.Authentication), typ)
	client := scram.Client{Password: "wonder"}
	mechanism, first, err := client.First([]string{scram.Mechanism})
	require.NoError(c.t, err)
	c.send(msg(wire.Password, append(binary.BigEndian.AppendUint32([]byte(mechanism+"\x00"), uint32(len(first))), first...)...))
	_, body := c.message()
	final, err := client.Final(body[4:])
	require.NoError(c.t, err)
	c.send(msg(wire.Password, final...))
}
