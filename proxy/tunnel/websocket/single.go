package websocket

import (
	"io"
	"log"
	"net"
	"sync"
)

// discard is told of what clients do wrong.
var discard = log.New(io.Discard, "", 0)

// single is a listener of one connection. After it, Accept waits until the connection is closed.
type single struct {
	conn  net.Conn
	mu    sync.Mutex
	given bool
	once  sync.Once
	ended chan struct{}
}

// Accept returns the connection, once.
func (s *single) Accept() (net.Conn, error) {
	s.mu.Lock()
	given := s.given
	s.given = true
	s.mu.Unlock()
	if !given {
		return &watched{Conn: s.conn, of: s}, nil
	}
	<-s.ended
	return nil, net.ErrClosed
}

// Close ends what waits for a further connection.
func (s *single) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// Addr returns the address of this end.
func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }

type watched struct {
	net.Conn
	of *single
}

// Close closes the connection, and ends its listener.
func (w *watched) Close() error {
	err := w.Conn.Close()
	w.of.Close()
	return err
}
