package postgres

import (
	"net"
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
	conn  net.Conn
	ahead []byte
	err   error
	done  chan struct{} // closed when reading ahead has stopped; nil when it does not
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

// watch reads ahead until stop, and ends the session when the client has left.
func (s *source) watch(session *proxy.Session) {
	if s.done != nil {
		return
	}
	done := make(chan struct{})
	s.done = done
	session.Go("postgres hold", func() error {
		defer close(done)
		buf := make([]byte, 4<<10)
		for len(s.ahead) < maxAhead {
			n, err := s.conn.Read(buf)
			s.ahead = append(s.ahead, buf[:n]...)
			if timedOut(err) {
				return nil // stop, or the session has ended
			}
			if err != nil {
				s.err = err
				return proxy.ErrClientLeft
			}
		}
		return nil
	})
}

// stop ends watch. Read may be called again when it has returned.
func (s *source) stop(session *proxy.Session) {
	if s.done == nil {
		return
	}
	s.conn.SetReadDeadline(time.Unix(1, 0))
	<-s.done
	s.done = nil
	s.conn.SetReadDeadline(time.Time{})
	if session.Err() != nil { // interrupt may have come before that
		s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}
