package postgres

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// cancels maps the keys that clients were given to their sessions. The keys are
// the gateway's own: they tell nothing about the server's.
type cancels struct {
	mu  sync.Mutex
	byP map[uint32]*session
}

// cancelKey is what a client sends to have its session's statement cancelled.
type cancelKey struct {
	pid    uint32
	secret []byte
}

// register gives s a key: 4 secret bytes in protocol 3.0, 32 in 3.2.
func (c *cancels) register(s *session, version uint32) cancelKey {
	secret := make([]byte, 4)
	if version >= wire.Version32 {
		secret = make([]byte, 32)
	}
	rand.Read(secret)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byP == nil {
		c.byP = make(map[uint32]*session)
	}
	var b [4]byte
	for {
		rand.Read(b[:])
		pid := binary.BigEndian.Uint32(b[:]) >> 1 // clients show it as a positive number
		if _, taken := c.byP[pid]; pid != 0 && !taken {
			c.byP[pid] = s
			return cancelKey{pid, secret}
		}
	}
}

func (c *cancels) unregister(k cancelKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byP, k.pid)
}

// request carries out a cancel request: a parked operation is given up, or the
// server is asked to cancel. Nothing is answered, as the protocol has it, so
// that keys cannot be tried out by their answers.
func (c *cancels) request(ctx context.Context, r *wire.Startup) {
	c.mu.Lock()
	s := c.byP[r.PID]
	c.mu.Unlock()
	if s == nil || subtle.ConstantTimeCompare(s.key.secret, r.Key) != 1 {
		return
	}
	if !s.session.CancelHolds() {
		s.cancelUpstream(ctx)
	}
}

// cancelUpstream asks the server to cancel what the session runs. At most one
// request is under way for a session: more would cancel no more.
func (s *session) cancelUpstream(ctx context.Context) {
	if s.upstream.key == nil || !s.cancelling.CompareAndSwap(false, true) {
		return
	}
	defer s.cancelling.Store(false)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := s.server().secure(ctx)
	if err != nil {
		return
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		c.SetDeadline(end)
	}
	if _, err := c.Write(wire.AppendCancel(nil, s.upstream.pid, s.upstream.key)); err != nil {
		return
	}
	// The server closes once it has passed the request on. A client that sees its
	// own connection closed may rely on that.
	io.Copy(io.Discard, io.LimitReader(c, 1))
}
