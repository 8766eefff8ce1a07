package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Session is one identity at one resource, from the first byte to the last. Its
// exported fields are read-only. Its methods are safe for concurrent use.
//
// A *Session shows the session as one revision describes it: the interceptors of a
// later revision are given another *Session with the same ID, whose resource may
// have other labels. Everything else is shared.
type Session struct {
	ID       string // 26 characters, unique, ordered by time, safe in file names
	Identity *Identity
	Target   Target
	Protocol string
	Remote   net.Addr
	Via      string // how the client came; empty is by a listener. See Client
	Started  time.Time
	Deadline time.Time // zero means no deadline
	// Dry says that the session only asks what would be answered: nothing runs,
	// nothing waits, and nothing is to be counted or recorded.
	Dry bool

	before *chain // of the revision before, while this one's is made
	*session
}

// session is what all revisions' views of a session share.
type session struct {
	gateway *Gateway
	ctx     context.Context
	cancel  context.CancelCauseFunc
	params  map[string]string // of its Connect
	client  *Client           // nil: it came by a listener
	now     func() time.Time

	renewing  sync.Mutex // held while a revision's chain is made
	chain     atomic.Pointer[chain]
	connected atomic.Bool // its Connect was allowed and is on record
	// Whether any revision's interceptors wanted to see data and texts.
	wantsFlow, wantsTell atomic.Bool

	// Set by the handler before its first Ask.
	onHold    func(op Op, p *Pending)
	onRewrite func(op Op, text []byte) error
	onRemind  atomic.Pointer[func(text string) bool]
	frozen    atomic.Pointer[frozen] // nil: it goes on
	spoken    atomic.Bool            // there are words

	goroutines sync.WaitGroup
	lastID     atomic.Uint64
	timer      *time.Timer // ends the session at its deadline
	vacate     func()      // takes its place back; nil: it is counted here alone

	mu       sync.Mutex
	lease    *Lease
	active   metaList                          // operations between Ask and Done
	holds    map[*Meta]context.CancelCauseFunc // parked operations
	admitted approvals                         // by which it could connect
	notes    []Note                            // of a dry session
	words    []string                          // that the user is to hear with the next answer
	asking   int                               // operations inside the chain
	watch    *time.Timer                       // ends the session when the chain is stuck
	armed    bool
	closed   bool
}

// Errors that end a session or refuse it.
var (
	ErrDeadline = errors.New("the session reached its time limit")
	ErrIdle     = errors.New("the session was idle for too long")
	ErrShutdown = errors.New("the gateway is shutting down")
	ErrStuck    = errors.New("a decision took too long")
	ErrCanceled = errors.New("canceled by the client")
	ErrTooMany  = errors.New("too many sessions")

	// ErrCredentialLost ends a session whose credential was not renewed.
	ErrCredentialLost = errors.New("the session's credential at the resource has expired")

	// ErrClientLeft is what a handler kills a session with when the client has
	// taken its leave. Close hooks and events are then told of an ordinary end.
	ErrClientLeft = errors.New("the client left")
)

// RefusedError says that Connect was refused.
type RefusedError struct {
	Verdict Verdict
	By      string // the interceptor that refused; empty for the core
}

// Error returns the verdict's message, fit for the user.
func (e *RefusedError) Error() string { return e.Verdict.Message() }

// InterceptError says that an interceptor could not begin, which refuses the
// session. Its text is fit for the user; an interceptor that has something to
// say to her returns a *RefusedError.
type InterceptError struct {
	Interceptor string
	Err         error // what it said, for the operator
}

// Error names the interceptor.
func (e *InterceptError) Error() string {
	return "the session is refused, because " + e.Interceptor + " cannot begin; the gateway's log says why"
}

// Unwrap returns what the interceptor said.
func (e *InterceptError) Unwrap() error { return e.Err }

// CredentialError says that a session's credential could not be had. Its text
// is fit for the user: it says nothing of where secrets are kept.
type CredentialError struct {
	Target Target
	Err    error // what the source said, for the operator
}

// Error names the target.
func (e *CredentialError) Error() string {
	return "the gateway has no credential for " + e.Target.String() + "; its log says why"
}

// Unwrap returns what the source said.
func (e *CredentialError) Unwrap() error { return e.Err }

// PanicError says that code panicked. It holds where, never the panic's value,
// which may contain data.
type PanicError struct{ Where string }

// Error names the place.
func (e *PanicError) Error() string { return "internal error in " + e.Where }

// Context ends with the session; context.Cause tells why.
func (s *Session) Context() context.Context { return s.ctx }

// Kill ends the session because of cause, which the client is told. It returns
// at once; calls after the first do nothing.
func (s *Session) Kill(cause error) { s.cancel(cause) }

// Now returns the time by the gateway's clock, in a dry session the time that is
// asked about.
func (s *Session) Now() time.Time {
	if s.session == nil || s.now == nil {
		return time.Now()
	}
	return s.now()
}

// Gateway returns the gateway that opened the session.
func (s *Session) Gateway() *Gateway { return s.gateway }

// Err returns why the session ended, nil while it lives.
func (s *Session) Err() error { return context.Cause(s.ctx) }

// Operations returns how many operations were asked so far, and how many of them
// are held for a decision now.
func (s *Session) Operations() (asked uint64, held int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID.Load(), len(s.holds)
}

// Draining ends when the gateway shuts down: a handler then ends the session at
// its next idle moment, with ErrShutdown.
func (s *Session) Draining() context.Context { return s.gateway.draining() }

// Handle sets how operations are parked and rewritten on this wire. A handler
// calls it once, before its first Ask. hold is called when op is parked, in the
// goroutine that asks, before it waits; it may wrap p.Wait, where an operation that was
// approved has to wait for its client too. rewrite replaces op's text and everything derived from
// it, such as its Facts; where it is nil, rewriting verdicts refuse.
func (s *Session) Handle(hold func(op Op, p *Pending), rewrite func(op Op, text []byte) error) {
	s.onHold, s.onRewrite = hold, rewrite
}

// HandleReminders sets how the user is told something while nothing is asked. tell returns
// whether somebody is told, and does not wait for them to read. A handler that has no way to
// do that does not call it.
func (s *Session) HandleReminders(tell func(text string) bool) { s.onRemind.Store(&tell) }

// Remind tells the user something that belongs to no operation, such as that the session
// ends soon, and reports whether somebody is told: on many protocols a client listens only
// while it waits for an answer.
func (s *Session) Remind(text string) bool {
	tell := s.onRemind.Load()
	return tell != nil && (*tell)(text)
}

// Go runs f in a goroutine of the session's. A panic in f ends the session, and
// so does an error, as its cause. Close waits for f; nothing waits for an f that
// starts after Close was called.
func (s *Session) Go(name string, f func() error) {
	s.mu.Lock()
	waited := !s.closed
	if waited {
		s.goroutines.Add(1)
	}
	s.mu.Unlock()
	go func() {
		if waited {
			defer s.goroutines.Done()
		}
		if err := s.Protect(name, f); err != nil {
			s.Kill(err)
		}
	}()
}

// Protect runs f and turns a panic into a *PanicError, after logging where it
// happened.
func (s *Session) Protect(name string, f func() error) error {
	return s.gateway.protect(name, s, f)
}

// Wants reports which hooks any interceptor has set, in this revision or an
// earlier one. What was once wanted stays so; a handler asks before each
// operation, since a revision can bring more.
func (s *Session) Wants() (flow, tell bool) { return s.wantsFlow.Load(), s.wantsTell.Load() }

// Dial opens a connection to the session's resource, within the gateway's dial
// timeout. The address is the directory's, never the client's.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) {
	return s.gateway.Dial(context.WithValue(ctx, sessionKey{}, s.ID), s.Target.Resource)
}

type sessionKey struct{}

// SessionID returns the identifier of the session that a [Dialer] is asked to connect for;
// empty when the connection is the gateway's own, or that of several sessions.
func SessionID(ctx context.Context) string {
	id, _ := ctx.Value(sessionKey{}).(string)
	return id
}

// Credential leases the credential for the session's account. It is held until
// the session closes; fresh, after the resource refused it, replaces it by one
// that no cache has held.
func (s *Session) Credential(ctx context.Context, fresh bool) (Credential, error) {
	source := s.gateway.Revision().Credentials
	if source == nil {
		return Credential{Username: s.Target.Account.Username}, nil
	}
	request := LeaseRequest{Target: s.Target, Identity: s.Identity, Session: s.ID}
	if fresh {
		request.Refused = s.refused()
	}
	lease, err := source.Lease(ctx, request)
	if err != nil {
		s.gateway.log().Warn("no credential", "target", s.Target.String(), "session", s.ID, "err", err)
		return Credential{}, &CredentialError{Target: s.Target, Err: err}
	}
	s.mu.Lock()
	old, closed := s.lease, s.closed
	if !closed {
		s.lease = lease
	}
	s.mu.Unlock()
	if closed {
		old = lease
	}
	release(old)
	if closed {
		return Credential{}, context.Cause(s.ctx)
	}
	if lease.Lost != nil {
		s.Go("credential", func() error { return s.watchLease(lease) })
	}
	return lease.Credential, nil
}

// refused returns the lease that the session holds, and an empty one when it holds none.
func (s *Session) refused() *Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return &Lease{}
	}
	return s.lease
}

// watchLease ends the session when the credential that it uses is lost.
func (s *Session) watchLease(l *Lease) error {
	select {
	case <-s.ctx.Done():
		return nil
	case <-l.Lost:
	}
	s.mu.Lock()
	used := s.lease == l
	s.mu.Unlock()
	if !used {
		return nil // a fresh one has replaced it
	}
	return ErrCredentialLost
}

// Leased returns the credential that the session holds, for further connections to
// its resource; false when it holds none.
func (s *Session) Leased() (Credential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		return Credential{}, false
	}
	return s.lease.Credential, true
}

func release(l *Lease) {
	if l != nil && l.Release != nil {
		l.Release()
	}
}

// Close ends the session: it waits for the session's goroutines, tells Done of
// every operation that was asked and never ended, calls the Close hooks in
// order and releases the credential. err is why; nil is an ordinary end. Calls
// after the first do nothing.
func (s *Session) Close(err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause // what ended it, rather than what broke when it ended
	}
	if errors.Is(err, ErrClientLeft) {
		err = nil
	}
	ended := err
	if ended == nil {
		ended = context.Canceled
	}
	s.cancel(ended)
	s.goroutines.Wait()
	s.timer.Stop()
	s.mu.Lock()
	if s.watch != nil {
		s.watch.Stop()
	}
	s.mu.Unlock()
	for op := s.firstActive(); op != nil; op = s.firstActive() {
		s.Done(op, &Outcome{Err: errUnfinished})
	}
	s.renewing.Lock() // a revision that comes now finds the session closed
	c := s.chain.Load()
	s.renewing.Unlock()
	if p := c.release(s, err); p != nil && err == nil {
		err = p
	}
	s.mu.Lock()
	lease := s.lease
	s.lease = nil
	s.mu.Unlock()
	if p := s.Protect("credential source", func() error { release(lease); return nil }); p != nil && err == nil {
		err = p
	}
	s.gateway.forget(s, err)
}

var errUnfinished = errors.New("the session ended before the operation did")

func (s *Session) firstActive() Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active.first()
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
