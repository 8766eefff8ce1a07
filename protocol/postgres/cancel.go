package postgres

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// cancels maps the keys that clients were given to their sessions. A key is the
// server's process, which clients compare with what SQL tells them, and a secret
// of the gateway's own. Processes of several servers may have the same number.
type cancels struct {
	mu       sync.Mutex
	sessions map[uint32][]*session // by process
	wrong    map[string]guesses    // by address
}

// cancelKey is what a client sends to have its session's statement cancelled.
type cancelKey struct {
	pid    uint32
	secret []byte
}

// guesses are the wrong secrets that came from one address.
type guesses struct {
	n     int
	until time.Time // when they are forgotten
}

// A secret of protocol 3.0 has four bytes only, and who may look into the server
// knows its processes. So an address is not heard for a while after too many
// wrong secrets for sessions that there are.
const (
	maxGuesses   = 10
	guessMemory  = time.Minute
	maxAddresses = 1024
)

// register gives s a key: 4 secret bytes in protocol 3.0, 32 in 3.2. A server
// that names no process gets a random one.
func (c *cancels) register(s *session, version uint32) {
	secret := make([]byte, 4)
	if version >= wire.Version32 {
		secret = make([]byte, 32)
	}
	pid := s.upstream.pid
	for pid == 0 {
		var b [4]byte
		rand.Read(b[:])
		pid = binary.BigEndian.Uint32(b[:]) >> 1 // clients show it as a positive number
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions = make(map[uint32][]*session)
	}
	for {
		rand.Read(secret)
		if c.find(pid, secret) == nil {
			break
		}
	}
	s.key = cancelKey{pid, secret}
	c.sessions[pid] = append(c.sessions[pid], s)
}

func (c *cancels) unregister(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid := s.key.pid
	c.sessions[pid] = slices.DeleteFunc(c.sessions[pid], func(have *session) bool { return have == s })
	if len(c.sessions[pid]) == 0 {
		delete(c.sessions, pid)
	}
}

// find returns the session with this key, in a time that tells nothing of how much
// of a secret is right. c is locked.
func (c *cancels) find(pid uint32, secret []byte) *session {
	var found *session
	for _, s := range c.sessions[pid] {
		if subtle.ConstantTimeCompare(s.key.secret, secret) == 1 {
			found = s
		}
	}
	return found
}

// claim returns the session whose key a request from an address has, nil when it
// has none, or when too many guesses came from there.
func (c *cancels) claim(from string, r *wire.Startup, now time.Time) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.wrong[from]
	if now.After(g.until) {
		g = guesses{until: now.Add(guessMemory)}
	}
	if g.n >= maxGuesses {
		return nil
	}
	s := c.find(r.PID, r.Key)
	if s != nil || len(c.sessions[r.PID]) == 0 { // a key of an ended session is not a guess
		return s
	}
	if _, known := c.wrong[from]; !known && len(c.wrong) >= maxAddresses {
		for address := range c.wrong {
			delete(c.wrong, address)
			break
		}
	}
	if c.wrong == nil {
		c.wrong = make(map[string]guesses)
	}
	g.n++
	c.wrong[from] = g
	return nil
}

// request carries out a cancel request: a parked operation is given up, or the
// server is asked to cancel. Nothing is answered, as the protocol has it, so
// that keys cannot be tried out by their answers.
func (c *cancels) request(ctx context.Context, from net.Addr, r *wire.Startup) {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String() // it has no port
	}
	s := c.claim(host, r, time.Now())
	if s != nil && !s.session.CancelHolds() {
		s.cancels.Add(1)
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
