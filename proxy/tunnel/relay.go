package tunnel

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	restSize = 2 << 10  // of the buffer of a direction in which nothing is sent
	flowSize = 32 << 10 // and of one that is busy
)

var flows = sync.Pool{New: func() any { return new([flowSize]byte) }}

// relay passes bytes between a resource and a gateway until both directions have ended. The end of one
// direction is passed on. When one fails both are cut, without the word of TLS by which a connection
// ends well: what is incomplete does not look complete.
func relay(resource net.Conn, gateway *tls.Conn) {
	var once sync.Once
	cut := func() {
		once.Do(func() {
			gateway.NetConn().Close()
			if t, ok := resource.(*net.TCPConn); ok {
				_ = t.SetLinger(0) // the resource sees that it was cut
			}
			resource.Close()
		})
	}
	var back sync.WaitGroup
	back.Go(func() {
		if pass(gateway, resource) != nil || gateway.CloseWrite() != nil {
			cut()
		}
	})
	if pass(resource, gateway) != nil || closeWrite(resource) != nil {
		cut()
	} else {
		// The gateway sends nothing more. Has it gone, too? Then nobody waits for the resource.
		_, _ = gateway.NetConn().Read(make([]byte, 1))
		resource.Close()
	}
	back.Wait()
	resource.Close()
	gateway.Close()
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// pass copies until src ends. A direction at rest has a small buffer.
func pass(dst io.Writer, src io.Reader) error {
	small := make([]byte, restSize)
	buf := small
	var big *[flowSize]byte
	defer func() {
		if big != nil {
			flows.Put(big)
		}
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == len(small) && big == nil:
			big = flows.Get().(*[flowSize]byte)
			buf = big[:]
		case n < len(small) && big != nil:
			flows.Put(big)
			big, buf = nil, small
		}
	}
}
