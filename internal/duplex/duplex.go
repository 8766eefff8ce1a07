// Package duplex connects two parts of one process, as a network would: what is
// written at one end is buffered, in bounds, until it is read at the other.
package duplex

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Buffer is how many bytes wait in each direction; a writer of more waits for the reader.
const Buffer = 64 << 10

// Pair returns the two ends of a connection. server is what a server has accepted: its remote
// address is from.
func Pair(from net.Addr) (client, server net.Conn) {
	up, down := newStream(), newStream()
	return &conn{in: down, out: up, local: from, remote: here{}}, &conn{in: up, out: down, local: here{}, remote: from}
}

// here is the address of what has none.
type here struct{}

func (here) Network() string { return "process" }
func (here) String() string  { return "process" }

type conn struct {
	in, out       *stream
	local, remote net.Addr
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

// Close ends both directions. What was written before can still be read at the other end.
func (c *conn) Close() error {
	c.out.end()
	c.in.abandon()
	return nil
}

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error {
	c.out.end()
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.readable.set(t)
	c.out.writable.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.in.readable.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.out.writable.set(t); return nil }

// stream is one direction.
type stream struct {
	mu                 sync.Mutex
	buf                []byte // a ring of Buffer bytes, made with the first write
	from, n            int
	ended              bool // nothing follows
	abandoned          bool // nobody reads
	readable, writable side
}

// side is who waits at one end of a stream.
type side struct {
	stream *stream
	cond   *sync.Cond
	end    time.Time
	timer  *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.readable = side{stream: s, cond: sync.NewCond(&s.mu)}
	s.writable = side{stream: s, cond: sync.NewCond(&s.mu)}
	return s
}

// set sets the deadline of those who wait, and of those to come.
func (d *side) set(t time.Time) {
	d.stream.mu.Lock()
	defer d.stream.mu.Unlock()
	d.end = t
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			d.stream.mu.Lock()
			defer d.stream.mu.Unlock()
			d.cond.Broadcast()
		})
	}
	d.cond.Broadcast()
}

// over reports whether the deadline has passed. The stream is locked.
func (d *side) over() bool { return !d.end.IsZero() && !time.Now().Before(d.end) }

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.abandoned:
			return 0, net.ErrClosed
		case s.readable.over():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case s.n > 0:
			read := 0
			for read < len(b) && s.n > 0 {
				n := copy(b[read:], s.buf[s.from:min(s.from+s.n, len(s.buf))])
				s.from, s.n, read = (s.from+n)%len(s.buf), s.n-n, read+n
			}
			s.writable.cond.Broadcast()
			return read, nil
		case s.ended:
			return 0, io.EOF
		}
		s.readable.cond.Wait()
	}
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.abandoned:
			return written, io.ErrClosedPipe
		case s.writable.over():
			return written, os.ErrDeadlineExceeded
		case written == len(b):
			return written, nil
		case s.n < Buffer:
			if s.buf == nil {
				s.buf = make([]byte, Buffer)
			}
			at := (s.from + s.n) % len(s.buf)
			n := copy(s.buf[at:min(len(s.buf), at+len(s.buf)-s.n)], b[written:])
			s.n, written = s.n+n, written+n
			s.readable.cond.Broadcast()
			continue
		}
		s.writable.cond.Wait()
	}
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.readable.cond.Broadcast()
	s.writable.cond.Broadcast()
}

func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned = true
	s.buf, s.from, s.n = nil, 0, 0
	s.readable.cond.Broadcast()
	s.writable.cond.Broadcast()
}
