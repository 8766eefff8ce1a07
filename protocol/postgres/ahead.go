package postgres

import (
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// maxAhead is how much is read of what a client sends while the gateway waits, to
// see whether the client is still there.
const maxAhead = 64 << 10

// source is what up reads the client from. While an operation is parked, or the
// server has yet to tell what a name means, nobody reads, and a client that
// leaves would not be noticed: what it asked for could be approved hours later
// and run for nobody. So the source reads ahead then.
type source struct {
	conn     *line
	ahead    []byte
	err      error
	done     chan struct{} // closed when reading ahead has stopped; nil when it does not
	stopping atomic.Bool
}

func (s *source) Read(b []byte) (int, error) {
	if len(s.ahead) > 0 {
		n := copy(b, s.ahead)
		if s.ahead = s.ahead[n:]; len(s.ahead) == 0 {
			s.ahead = nil
		}
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.conn.Read(b)
}

// watch reads ahead until stop, in a goroutine that start begins. When the client
// has left that goroutine's function fails with ErrClientLeft. session may be nil,
// when none is open.
func (s *source) watch(start func(name string, f func() error), session *proxy.Session) {
	if s.done != nil {
		return
	}
	done := make(chan struct{})
	s.done = done
	s.stopping.Store(false)
	start("postgres hold", func() error {
		defer close(done)
		buf := make([]byte, 4<<10)
		for len(s.ahead) < maxAhead {
			n, err := s.conn.Read(buf)
			s.ahead = append(s.ahead, buf[:n]...)
			if timedOut(err) {
				if session == nil || session.Err() != nil {
					return nil
				}
				// First the deadline, then the question: stop asks for the end before it
				// sets the deadline. Otherwise up is asked to rest, and cannot now.
				s.conn.SetReadDeadline(time.Time{})
				if s.stopping.Load() || session.Err() != nil {
					return nil
				}
				continue
			}
			if err != nil {
				s.err = err
				return proxy.ErrClientLeft
			}
		}
		return nil
	})
}

// stop ends watch, and reports whether there was one. Read may be called again
// when it has returned. session may be nil, when none is open.
func (s *source) stop(session *proxy.Session) bool {
	if s.done == nil {
		return false
	}
	s.stopping.Store(true)
	s.conn.SetReadDeadline(time.Unix(1, 0))
	<-s.done
	s.done = nil
	s.conn.SetReadDeadline(time.Time{})
	if session != nil && session.Err() != nil { // interrupt may have come before that
		s.conn.SetReadDeadline(time.Unix(1, 0))
	}
	return true
}

// parkedConnect tells the client that its session waits for an approval, and has
// leave called if it goes away meanwhile. The handshake's deadline is the
// hold's from here on.
func (s *session) parkedConnect(c *proxy.Conn, h *proxy.Pending, leave func(error)) {
	err := c.SetDeadline(h.Deadline)
	if err == nil {
		_, err = s.client.Write(holdNotice(h))
	}
	if err != nil {
		leave(proxy.ErrClientLeft)
		return
	}
	s.up.source.watch(func(_ string, f func() error) {
		go func() {
			if err := f(); err != nil {
				leave(err)
			}
		}()
	}, nil)
}
