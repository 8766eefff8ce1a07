package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// side is one of the two connections: what is read and written, and what is closed to end it at once.
type side struct {
	net.Conn          // TLS or not
	raw      net.Conn // under it
}

// close closes the connection without a word of TLS, so that nobody takes the end for one that the other side meant.
func (s *side) close() error { return s.raw.Close() }

// closeWrite says that nothing more comes.
func (s *side) closeWrite() error {
	if w, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// cut closes connections so that nobody takes that for an orderly end. What is on the way is dropped.
func cut(list ...*side) {
	for _, s := range list { // of all before any is closed, since others close what belongs to one that is
		if t, ok := s.raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // where it fails, the connection is closed as any
		}
	}
	for _, s := range list {
		s.close()
	}
}

// Sizes of buffers, in bytes. A connection over which little is said keeps the small ones; the large ones are shared.
const (
	smallBuffer = 1 << 10
	largeBuffer = 32 << 10
)

var buffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

const forever time.Duration = 1 << 62

// lingering is how long a client may send nothing once the resource has ended its side. One that does not close its connection would otherwise
// stay for ever.
const lingering = time.Minute

// splice passes on what flows between a client and a resource.
type splice struct {
	session          *proxy.Session
	client, upstream side
	ahead            []byte        // what the client has sent already
	idle             time.Duration // 0: unbounded
	timer            *time.Timer   // of idle

	in, out atomic.Uint64 // bytes that were passed on
	last    atomic.Int64  // when something was, in Unix nanoseconds, where idle is set
	ending  atomic.Bool   // the resource has ended its side
	lost    atomic.Bool   // the resource's connection broke
}

// errLost is for the record.
var errLost = errors.New("the connection to the resource broke")

// run passes bytes on until both sides have ended, one of them has broken, or the session has ended. Sides end one by one, as their connections do.
func (x *splice) run() proxy.Outcome {
	defer context.AfterFunc(x.session.Context(), func() { cut(&x.client, &x.upstream) })()
	if x.idle > 0 {
		x.last.Store(time.Now().UnixNano())
		x.timer = time.AfterFunc(forever, x.rest)
		x.timer.Reset(x.idle)
		defer x.timer.Stop()
	}
	ended := make(chan struct{})
	x.session.Go("what the resource sends", func() error {
		defer close(ended)
		x.pass(&x.upstream, &x.client, &x.out)
		return nil
	})
	x.pass(&x.client, &x.upstream, &x.in)
	<-ended
	x.upstream.close()
	out := proxy.Outcome{BytesIn: x.in.Load(), BytesOut: x.out.Load()}
	if x.lost.Load() && x.session.Err() == nil {
		out.Err = errLost
	}
	return out
}

// rest ends the session when nothing was sent for long enough, and looks again otherwise.
func (x *splice) rest() {
	left := x.idle - time.Since(time.Unix(0, x.last.Load()))
	if left > 0 {
		x.timer.Reset(left)
		return
	}
	x.session.Kill(proxy.ErrIdle)
}

// pass passes on what one side sends until that ends, and then ends the other's.
func (x *splice) pass(from, to *side, count *atomic.Uint64) {
	fromUpstream := from == &x.upstream
	var read, wrote error
	if !fromUpstream && len(x.ahead) > 0 {
		wrote = x.write(to, x.ahead, count)
		x.ahead = nil
	}
	if wrote == nil {
		read, wrote = x.copy(from, to, count)
	}
	switch {
	case read == nil && wrote == nil:
		if fromUpstream {
			x.ending.Store(true)
			_ = x.client.SetReadDeadline(time.Now().Add(lingering)) // where it fails, the next read does
		}
		if to.closeWrite() == nil {
			return
		}
	case read == nil && !fromUpstream: // the resource takes no more; what it has said before still reaches the client
		x.lost.Store(true)
		_ = x.upstream.SetReadDeadline(time.Now().Add(lingering))
		return
	case wrote == nil && fromUpstream:
		x.lost.Store(true)
	}
	from.close()
	to.close()
}

// copy passes on what one side sends. Errors are nil at its end.
func (x *splice) copy(from, to *side, count *atomic.Uint64) (read, wrote error) {
	small := make([]byte, smallBuffer)
	buf := small
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			buffers.Put(large)
		}
	}()
	for {
		if from == &x.client && x.ending.Load() {
			_ = from.SetReadDeadline(time.Now().Add(lingering))
		}
		n, err := from.Read(buf)
		if n > 0 {
			if werr := x.write(to, buf[:n], count); werr != nil {
				return nil, werr
			}
		}
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		case large == nil && n == len(buf):
			large = buffers.Get().(*[largeBuffer]byte)
			buf = large[:]
		case large != nil && n <= smallBuffer:
			buffers.Put(large)
			large, buf = nil, small
		}
	}
}

// write passes bytes on, and counts those that were.
func (x *splice) write(to *side, b []byte, count *atomic.Uint64) error {
	n, err := to.Write(b)
	count.Add(uint64(n))
	if x.idle > 0 {
		x.last.Store(time.Now().UnixNano())
	}
	return err
}
