package control

import (
	"net"
	"sync"
)

// Bounds of the connections of one listener that others than users of the machine reach.
const (
	MaxConnections = 1000
	MaxPerAddress  = 100
)

// Bound limits the open connections of a listener, of all addresses and of one, so that
// nobody uses up the gateway's descriptors. One too many is closed.
func Bound(ln net.Listener, total, perAddress int) net.Listener {
	return &bounded{Listener: ln, total: total, perAddress: perAddress, open: make(map[string]int)}
}

type bounded struct {
	net.Listener
	total, perAddress int

	mu   sync.Mutex
	all  int
	open map[string]int
}

// Accept returns the next connection that is not one too many.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := host(c.RemoteAddr().String())
		if b.enter(from) {
			return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { b.leave(from) })}, nil
		}
		c.Close()
	}
}

func (b *bounded) enter(from string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= b.total || b.open[from] >= b.perAddress {
		return false
	}
	b.all++
	b.open[from]++
	return true
}

func (b *bounded) leave(from string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.open[from]--; b.open[from] == 0 {
		delete(b.open, from)
	}
}

type boundedConn struct {
	net.Conn
	leave func()
}

func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
