package control

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// Bounds of the connections of one listener that others than users of the machine reach.
const (
	MaxConnections = 1000
	MaxPerAddress  = 100
)

// Bound limits the open connections of a listener, of all addresses and of one, so that
// nobody uses up the gateway's descriptors. One too many of its address is closed. At the
// total the oldest is closed that has proven nobody, see [Proven], and the new one where
// all have.
func Bound(ln net.Listener, total, perAddress int) net.Listener {
	return &bounded{Listener: ln, total: total, perAddress: perAddress, open: make(map[string]int)}
}

type bounded struct {
	net.Listener
	total, perAddress int

	mu     sync.Mutex
	all    int
	open   map[string]int
	silent list.List // the *boundedConn that have proven nobody, oldest first
}

// Accept returns the next connection that is not one too many.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		in := &boundedConn{Conn: c, of: b, from: host(c.RemoteAddr().String())}
		if b.enter(in) {
			return in, nil
		}
		c.Close()
	}
}

func (b *bounded) enter(c *boundedConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[c.from] >= b.perAddress {
		return false
	}
	if b.all >= b.total {
		oldest := b.silent.Front()
		if oldest == nil {
			return false
		}
		b.leave(oldest.Value.(*boundedConn))
	}
	b.all++
	b.open[c.from]++
	c.silent = b.silent.PushBack(c)
	return true
}

// leave frees a connection's place and closes it, with the lock held.
func (b *bounded) leave(c *boundedConn) error {
	if !c.left {
		c.left = true
		b.proven(c)
		b.all--
		if b.open[c.from]--; b.open[c.from] == 0 {
			delete(b.open, c.from)
		}
	}
	return c.Conn.Close()
}

func (b *bounded) proven(c *boundedConn) {
	if c.silent != nil {
		b.silent.Remove(c.silent)
		c.silent = nil
	}
}

type boundedConn struct {
	net.Conn
	of     *bounded
	from   string
	silent *list.Element // nil once the connection has proven somebody, or has left
	left   bool
}

func (c *boundedConn) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.of.leave(c)
}

type boundKey struct{}

// BoundContext notes by which connection of a listener of [Bound] requests come, also below
// TLS. It is for http.Server's ConnContext.
func BoundContext(ctx context.Context, c net.Conn) context.Context {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	if in, ok := c.(*boundedConn); ok {
		return context.WithValue(ctx, boundKey{}, in)
	}
	return ctx
}

// Proven notes that the connection of a request has proven who is at the other end: it does
// not give way to others any more.
func Proven(r *http.Request) {
	if c, ok := r.Context().Value(boundKey{}).(*boundedConn); ok {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.proven(c)
	}
}
