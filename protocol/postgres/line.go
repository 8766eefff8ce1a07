package postgres

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
	"github.com/sallyport/sallyport/proxy"
)

// line is one of a session's two connections: an ordinary one, or, while the
// session is polled, a descriptor that an event loop watches. Then Read returns
// evloop.ErrNothing rather than wait, and a Write that would have to wait makes
// the session leave the loop first.
type line struct {
	conn atomic.Pointer[net.Conn] // nil while polled
	fd   int                      // while polled
	// leave has the session leave the loop and returns when it has, with the line
	// an ordinary connection again. It is set before the line is polled.
	leave func()
	local net.Addr
	peer  net.Addr
	owned bool // conn was made by attach, and is closed by nobody else
}

func newLine(c net.Conn) *line {
	l := &line{local: c.LocalAddr(), peer: c.RemoteAddr()}
	l.conn.Store(&c)
	return l
}

// detach turns the line into a descriptor, if its connection has one. Nobody may
// use the line meanwhile.
func (l *line) detach() error {
	fd, err := evloop.Detach(underlying(*l.conn.Load()))
	if err != nil {
		return err
	}
	l.fd = fd
	l.conn.Store(nil)
	return nil
}

// attach turns the line into a connection again. A Read or Write of the
// descriptor's may be under way; release closes it afterwards.
func (l *line) attach() {
	c, err := evloop.Attach(l.fd)
	if err != nil {
		c = brokenConn{err}
	}
	l.owned = true
	l.conn.Store(&c)
}

// release closes the descriptor, once nobody uses it any more.
func (l *line) release() { evloop.Close(l.fd) }

func (l *line) Read(b []byte) (int, error) {
	if c := l.conn.Load(); c != nil {
		return (*c).Read(b)
	}
	return evloop.Read(l.fd, b)
}

func (l *line) Write(b []byte) (int, error) {
	if c := l.conn.Load(); c != nil {
		return (*c).Write(b)
	}
	n, err := evloop.Write(l.fd, b)
	if err != nil || n == len(b) {
		return n, err
	}
	l.leave()
	m, err := (*l.conn.Load()).Write(b[n:])
	return n + m, err
}

// Close closes the connection. A line is not polled when it is closed.
func (l *line) Close() error { return (*l.conn.Load()).Close() }

// closeOwned closes the connection if nobody else does.
func (l *line) closeOwned() {
	if l.owned {
		l.Close()
	}
}

// CloseWrite ends what is written, where the connection can.
func (l *line) CloseWrite() error { return closeWrite(underlying(*l.conn.Load())) }

// endWrites is CloseWrite without a word of TLS's own, for which there may be no
// room.
func (l *line) endWrites() error { return closeWrite(transport(*l.conn.Load())) }

func closeWrite(c net.Conn) error {
	if hc, ok := c.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return errors.ErrUnsupported
}

// underlying is the connection that the gateway accepted as c.
func underlying(c net.Conn) net.Conn {
	if pc, ok := c.(*proxy.Conn); ok {
		return pc.Conn
	}
	return c
}

func (l *line) LocalAddr() net.Addr  { return l.local }
func (l *line) RemoteAddr() net.Addr { return l.peer }

// The deadlines are those of the connection; a descriptor has none.

func (l *line) SetDeadline(t time.Time) error      { return (*l.conn.Load()).SetDeadline(t) }
func (l *line) SetReadDeadline(t time.Time) error  { return (*l.conn.Load()).SetReadDeadline(t) }
func (l *line) SetWriteDeadline(t time.Time) error { return (*l.conn.Load()).SetWriteDeadline(t) }

// brokenConn is in the place of a connection that could not be made again, as
// when the process is out of descriptors. It fails.
type brokenConn struct{ err error }

func (c brokenConn) Read([]byte) (int, error)         { return 0, c.err }
func (c brokenConn) Write([]byte) (int, error)        { return 0, c.err }
func (c brokenConn) Close() error                     { return nil }
func (c brokenConn) LocalAddr() net.Addr              { return nil }
func (c brokenConn) RemoteAddr() net.Addr             { return nil }
func (c brokenConn) SetDeadline(time.Time) error      { return nil }
func (c brokenConn) SetReadDeadline(time.Time) error  { return nil }
func (c brokenConn) SetWriteDeadline(time.Time) error { return nil }
