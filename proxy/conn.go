package proxy

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Conn is a client's connection, as a [Handler] gets it. Until a session is
// open, the handshake timeout is its deadline.
type Conn struct {
	net.Conn
	// OnHold is told when Connect is parked. A handler sets it before Open, to
	// tell the client and to extend the connection's deadline. May be nil.
	OnHold func(p *Pending)

	gateway  *Gateway
	protocol string
	client   *Client // nil: it is not known yet who the client is

	mu      sync.Mutex
	session *Session
	cutBy   error
	looked  *Revision // of the last Lookup
	proven  *Revision // of the last Authenticate
	// rechecks are those that there were when the client was proven.
	rechecks uint64
	failed   bool  // a login did; of the handler's goroutine
	hopeless error // why no password proves who is asking; of the handler's goroutine

	prev, next *Conn
	listed     bool
}

// Gateway returns the gateway that accepted the connection.
func (c *Conn) Gateway() *Gateway { return c.gateway }

// Lookup returns the resource of that name, if it is of the connection's
// protocol. Otherwise the error tells clients what that of Open does about a resource
// that they may not use.
func (c *Conn) Lookup(ctx context.Context, name string) (*Resource, error) {
	rev := c.gateway.Revision()
	if rev.Directory == nil {
		return nil, unusable(name)
	}
	r, err := rev.Directory.Lookup(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil, unusable(name)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.looked = rev
	c.mu.Unlock()
	if r.Type != c.protocol {
		return nil, unusable(name)
	}
	return r, nil
}

// unusable is the failure of a client that asks for a resource that does not exist, or
// that it may not use: it does not learn which.
func unusable(name string) error {
	return fmt.Errorf("%w, or you may not use it: %q", ErrNotFound, name)
}

// Verifier returns the SCRAM verifier of user; ok is false when only a password
// sent as it is can prove her, or the authenticator knows no verifiers.
func (c *Conn) Verifier(ctx context.Context, user string) (verifier string, ok bool, err error) {
	c.hopeless = nil
	src, is := c.gateway.Revision().Authenticator.(VerifierSource)
	if !is {
		return "", false, nil
	}
	verifier, ok, err = src.Verifier(ctx, user)
	if ok && errors.Is(err, ErrUnauthenticated) {
		c.hopeless, err = err, nil
	}
	return verifier, ok, err
}

// Authenticate asks the gateway's Authenticator. From success on the connection
// no longer counts as unauthenticated. Where many logins of the client's address or of
// the user have failed, proofs that can be guessed are answered late, and of one address
// only so many at a time: the error is ErrTooManyFailures then.
func (c *Conn) Authenticate(ctx context.Context, p Proof) (*Identity, error) {
	p.Remote, p.Protocol = c.RemoteAddr(), c.protocol
	var rev *Revision
	var rechecks uint64
	id, err := c.gateway.prove(ctx, p, func() Authenticator {
		rev, rechecks = c.gateway.Revision(), c.gateway.rechecks.Load()
		return rev.Authenticator
	})
	if err != nil {
		c.failed = true
		return nil, err
	}
	c.mu.Lock()
	c.proven, c.rechecks = rev, rechecks
	c.mu.Unlock()
	c.gateway.authenticated(c)
	c.gateway.event(Event{Kind: EventLogin, Protocol: c.protocol, Remote: c.RemoteAddr(), User: p.User, Identity: id})
	return id, nil
}

// Proven notes that the assembly has found out who sends something on the connection, in a way
// of its own, such as by a cookie: it no longer counts as unauthenticated. Sessions of who that
// is are opened by [Gateway.Open], and several may be.
func (c *Conn) Proven() { c.gateway.authenticated(c) }

// LoginFailed reports a proof that the handler itself found wrong, such as a
// SCRAM exchange that failed. It returns when the client may be told: late, where many
// logins have failed.
func (c *Conn) LoginFailed(user string, err error) {
	if c.hopeless != nil {
		err = fmt.Errorf("%w: %w", c.hopeless, err)
	}
	if _, late := c.gateway.answer(context.Background(), user, c.RemoteAddr()); late != nil {
		err = late // it would have been refused if it were right
	}
	c.failed = true
	c.gateway.loginFailed(Proof{User: user, Remote: c.RemoteAddr(), Protocol: c.protocol}, err)
}

// Open opens the connection's session; see [Gateway.Open]. A connection has one
// session. The gateway closes it when ServeConn has returned. The deadline of
// the handshake is lifted by Established. To a client, a resource that the access rules
// keep from it is one that does not exist: the error wraps ErrNotFound.
func (c *Conn) Open(ctx context.Context, id *Identity, t Target, params map[string]string) (*Session, *Connect, error) {
	if c.session != nil {
		return nil, nil, errors.New("the connection has a session already")
	}
	s, connect, err := c.gateway.Open(ctx, OpenRequest{
		Identity: id, Target: t, Protocol: c.protocol, Remote: c.RemoteAddr(), Params: params, OnHold: c.OnHold, revision: c.begun(), rechecks: c.proofs(),
		client: c.client,
	})
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Verdict.Cause == CausePolicy || errors.Is(err, ErrNotFound) && t.Resource != nil {
		err = unusable(t.Resource.Name) // why is on record
	}
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	c.session = s
	cut := c.cutBy
	c.mu.Unlock()
	if cut != nil {
		s.Kill(cut)
	}
	if c.client != nil && c.client.Opened != nil {
		c.client.Opened(s)
	}
	return s, connect, nil
}

// proofs returns how many times users had been rechecked when the client's was proven.
func (c *Conn) proofs() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rechecks
}

// begun returns an earlier revision that knew the connection's user or resource; nil
// when the current one knew both.
func (c *Conn) begun() *Revision {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range []*Revision{c.proven, c.looked} {
		if r != nil && r != c.gateway.Revision() {
			return r
		}
	}
	return nil
}

// Established lifts the handshake's deadline: the session is up.
func (c *Conn) Established() error { return c.SetDeadline(time.Time{}) }

// cut ends the connection because of cause: its session is killed, so that the
// handler can tell the client; without a session it is closed.
func (c *Conn) cut(cause error) {
	c.mu.Lock()
	c.cutBy = cause
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.Kill(cause)
		return
	}
	c.Conn.Close()
}

// connList lists connections, oldest first. Its owner holds the lock.
type connList struct {
	head, tail *Conn
	len        int
}

func (l *connList) push(c *Conn) {
	c.prev, c.next, c.listed = l.tail, nil, true
	if l.tail != nil {
		l.tail.next = c
	} else {
		l.head = c
	}
	l.tail = c
	l.len++
}

func (l *connList) remove(c *Conn) {
	if !c.listed {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.tail = c.prev
	}
	c.prev, c.next, c.listed = nil, nil, false
	l.len--
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID returns 48 bits of time in milliseconds and 80 random bits.
func newID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}
