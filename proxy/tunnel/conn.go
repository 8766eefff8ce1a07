package tunnel

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A link that is half open is noticed by these, also while nothing is sent.
var probes = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 6}

// unacknowledged is how long what was sent may stay without an acknowledgement.
const unacknowledged = time.Minute

// keepAlive has the system notice when the other end of a connection is gone.
func keepAlive(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return // a carrier, whose own connection has it
	}
	_ = t.SetKeepAliveConfig(probes) // without it a lost link is noticed later
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(bound)
	}
}

// whole is a connection below TLS whose end is an error, unless TLS has said that it ends: package tls takes an
// end between two records for a good one, and a stream that was cut would look complete.
type whole struct{ net.Conn }

var errCut = errors.New("the connection was cut")

// Read reads from the connection.
func (w whole) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// newName returns a name that nothing else has.
func newName() string { return rand.Text() }

// conn is a connection to a resource, by an agent. It does not show the connection below: what
// reads or writes there would be the bytes of TLS.
type conn struct {
	net.Conn // TLS
	nc       net.Conn
	server   *Server
	agent    *agent
	to       string            // the address that the agent has connected to
	cert     *x509.Certificate // of the agent, when the connection was opened
	print    fingerprint
	close    sync.Once
}

// Addr is the address of a resource that an agent connects to. It is not one of this machine's networks, whatever the agent
// itself is connected from: what crosses an agent is not local.
type Addr struct {
	Agent   string
	Address string // as it was dialled
}

// Network implements [net.Addr].
func (Addr) Network() string { return "agent" }

// String implements [net.Addr].
func (a Addr) String() string { return a.Address }

// RemoteAddr returns an [Addr].
func (c *conn) RemoteAddr() net.Addr { return Addr{c.agent.name, c.to} }

// Close closes the connection.
func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error { return c.Conn.(*tls.Conn).CloseWrite() }

// cut closes the connection at once, without a word.
func (c *conn) cut() {
	c.forget()
	c.nc.Close()
}

func (c *conn) forget() {
	c.close.Do(func() {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		delete(c.server.conns, c.nc)
		delete(c.agent.conns, c)
	})
}
