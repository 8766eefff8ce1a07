package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Gateway accepts connections, opens sessions and ends them. The zero value of
// each field is a safe default; a Gateway without an Authenticator or Directory
// refuses everybody. Fields must not change once Serve or Open was called. A
// Gateway must not be copied.
type Gateway struct {
	// The first revision. Use replaces it while the gateway serves.
	Authenticator Authenticator
	Directory     Directory
	Credentials   CredentialSource // nil: sessions use the account's user name without a secret
	Interceptors  []Interceptor    // asked in this order
	Certificates  []tls.Certificate
	Linker        Linker // nil: nobody logs in by a link
	Limits

	Dialer Dialer // nil: a plain net.Dialer
	// Via returns what opens connections to resources that have this name as their Via, such as an
	// agent in their network. Nil knows none: these resources cannot be reached.
	Via      func(name string) (Dialer, error)
	Reviewer Reviewer         // nil: what needs an approval is refused
	Places   Places           // nil: MaxPerIdentity counts the sessions of this gateway alone
	Now      func() time.Time // the clock that rules go by; nil: time.Now
	Log      *slog.Logger     // nil: slog.Default
	// Unrecorded lets interceptors leave notes that nobody records: users can then be
	// shown masked data, and the like, without evidence.
	Unrecorded bool
	// OnEvent is told of logins, sessions and failures. It must return quickly and
	// be safe for concurrent use. May be nil.
	OnEvent func(Event)

	HandshakeTimeout time.Duration // from accept to an open session; 0 is 30 s
	DialTimeout      time.Duration // 0 is 10 s
	AskTimeout       time.Duration // an operation longer in the chain ends its session; 0 is 30 s
	DrainTimeout     time.Duration // how long shutdown lets sessions end by themselves; 0 is 10 s

	mu       sync.Mutex
	drain    context.Context // ends when shutdown begins
	startEnd context.CancelFunc
	drained  bool
	revision atomic.Pointer[Revision]
	bringing atomic.Int32 // revisions to which open sessions were not brought yet
	rechecks atomic.Uint64
	renewed  atomic.Pointer[renewal]
	sessions map[string]*Session
	subjects map[string]int
	waits    waits
	unauth   connList

	addresses addresses
	guesses   guesses
	quiet     quiet
}

const (
	defaultHandshakeTimeout   = 30 * time.Second
	defaultDialTimeout        = 10 * time.Second
	defaultAskTimeout         = 30 * time.Second
	defaultDrainTimeout       = 10 * time.Second
	defaultMaxUnauthenticated = 4096
)

// Limits bound what clients may use of a gateway. The zero value of each means what is
// said there. They apply to what is opened from now on.
type Limits struct {
	MaxSession         time.Duration // the longest session; 0 means no limit
	MaxUnauthenticated int           // above it the oldest silent connection is closed; 0 is 4096
	MaxSessions        int           // open sessions; 0 means no limit
	MaxPerIdentity     int           // open sessions of one subject; 0 means no limit
	MaxPerAddress      int           // open connections of one IP address, or IPv6 /64; 0 means no limit
}

// Places counts the open sessions of people at several gateways, for MaxPerIdentity. It is safe
// for concurrent use.
type Places interface {
	// Enter counts one more session of a subject, which ends when leave is called. It returns
	// ErrTooMany where that is more than limit, and any other error where it cannot be known:
	// the gateway then goes by the number of its own sessions.
	Enter(ctx context.Context, subject string, limit int) (leave func(), err error)
}

// Handler speaks one protocol. It is used for many connections at once.
type Handler interface {
	// Protocol returns the protocol's name, such as "postgres".
	Protocol() string
	// ServeConn speaks with one client until it leaves. The gateway closes c
	// afterwards. The error says why the connection failed; nil is an ordinary
	// end.
	ServeConn(ctx context.Context, c *Conn) error
}

// Checker is implemented by handlers that some revisions leave without use.
type Checker interface {
	// Check says what of r leaves every client without a way in. Serve asks before it
	// accepts the first.
	Check(r *Revision) error
}

// Dial opens a connection to a resource, within the dial timeout.
func (g *Gateway) Dial(ctx context.Context, r *Resource) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, or(g.DialTimeout, defaultDialTimeout))
	defer cancel()
	network, address := "tcp", r.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	d, err := g.dialer(r)
	var c net.Conn
	if err == nil {
		c, err = d.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, fmt.Errorf("resource %s cannot be reached: %w", r.Name, err)
	}
	return c, nil
}

// dialer returns what opens connections to a resource. One that is reached via a name is never
// connected to in another way.
func (g *Gateway) dialer(r *Resource) (Dialer, error) {
	switch {
	case r.Via != "" && g.Via != nil:
		return g.Via(r.Via)
	case r.Via != "":
		return nil, fmt.Errorf("via %s: the gateway knows nothing of this name", r.Via)
	case g.Dialer != nil:
		return g.Dialer, nil
	}
	return &net.Dialer{}, nil
}

// EventKind says what an Event tells.
type EventKind uint8

// Kinds of events.
const (
	EventLogin        EventKind = iota + 1 // an identity was proven
	EventLoginFailed                       // a proof did not convince
	EventSessionStart                      // a session was opened
	EventSessionRefused
	EventSessionEnd
	EventPanic
	EventOverload // a connection was closed: a silent one to make room, or one too many of its address
	EventConnFailed
)

var eventNames = [...]string{
	"", "login", "login-failed", "session-start", "session-refused", "session-end", "panic", "overload", "connection-failed",
}

// String returns the kind's stable lower-case name.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return ""
}

// Event is something that happened at the gateway rather than in a session.
type Event struct {
	Kind     EventKind
	At       time.Time
	Protocol string
	Remote   net.Addr
	User     string // as claimed
	Identity *Identity
	Target   Target
	Session  *Session // nil when there is none
	Err      error
	// Count is how many events the event sums up: failed logins and connections of one
	// address that were too many to be told one by one. User and Err are those of the
	// last one. 0 is an event by itself.
	Count uint64
}

func (g *Gateway) log() *slog.Logger {
	if g.Log != nil {
		return g.Log
	}
	return slog.Default()
}

// Observer is an Interceptor that is told of what happens at the gateway besides
// sessions' operations: logins, refused ones, sessions, failures. Event must return
// quickly and be safe for concurrent use.
type Observer interface {
	Interceptor
	Event(e Event)
}

// Report tells the current revision's observers, and then OnEvent, of what happened at a
// way in of an assembly's own, such as a login at an API. Of what anybody can cause a
// bounded number is told one by one, and of names that are claimed a bounded part.
func (g *Gateway) Report(e Event) {
	e.User = clipUser(e.User)
	g.event(e)
}

// event tells the current revision's observers, and then OnEvent. Of what anybody can
// cause by connecting a bounded number is told one by one.
func (g *Gateway) event(e Event) {
	e.At = time.Now()
	if e.Kind.bounded() && !g.quiet.take(e, g.sumUp) {
		return
	}
	g.tellAll(e)
}

// sumUp tells what was not told one by one.
func (g *Gateway) sumUp() {
	for _, e := range g.quiet.end() {
		g.tellAll(e)
	}
}

func (g *Gateway) tellAll(e Event) {
	for _, i := range g.Revision().Interceptors {
		if o, ok := i.(Observer); ok {
			g.tell(i.Name(), o.Event, e)
		}
	}
	if g.OnEvent != nil {
		g.tell("OnEvent", g.OnEvent, e)
	}
}

func (g *Gateway) tell(who string, f func(Event), e Event) {
	defer func() {
		if v := recover(); v != nil {
			g.log().Error("panic while an event was told", "in", who, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
		}
	}()
	f(e)
}

// protect runs f, of session s unless it is nil, and turns a panic into a *PanicError.
func (g *Gateway) protect(where string, s *Session, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = g.recovered(where, v, s)
		}
	}()
	return f()
}

// recovered reports a panic. The panic's value is not shown: it may hold data.
func (g *Gateway) recovered(where string, v any, s *Session) error {
	err := &PanicError{Where: where}
	id := ""
	e := Event{Kind: EventPanic, Err: err, Session: s}
	if s != nil {
		id, e.Protocol, e.Remote, e.Identity, e.Target = s.ID, s.Protocol, s.Remote, s.Identity, s.Target
	}
	g.log().Error("panic", "in", where, "type", fmt.Sprintf("%T", v), "session", id, "stack", string(debug.Stack()))
	g.event(e)
	return err
}

// Serve accepts connections from ln and gives each to h, in a goroutine of its
// own, until ctx ends or ln fails. Then it stops accepting, lets sessions end
// for DrainTimeout, cuts the rest, and returns when every connection is closed:
// with nil after ctx ended, else with the listener's error. A handler that does not
// return within ten seconds after the cut is an error, and is not waited for. Serve may be called
// for several listeners at once; when one ends because of ctx, all sessions of
// the gateway are drained. A ctx that ends with [ErrWithdrawn] as its cause drains
// nothing: its connections go on, and Serve returns when they have ended.
//
// It fails at once when interceptors leave notes that nobody records, see
// [Gateway.Unrecorded], and when h is a [Checker] that finds something.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener, h Handler) error {
	r := g.Revision()
	err := g.recorded(r)
	if c, ok := h.(Checker); ok && err == nil {
		err = c.Check(r)
	}
	if err != nil {
		ln.Close()
		return err
	}
	var conns sync.WaitGroup
	connCtx, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	err = g.accept(connCtx, ln, h, &conns)
	ln.Close()
	withdrawn := errors.Is(context.Cause(ctx), ErrWithdrawn)
	if ctx.Err() != nil {
		err = nil
		if !withdrawn {
			g.startDrain()
		}
	}
	ended := make(chan struct{})
	go func() {
		conns.Wait()
		g.sumUp()
		close(ended)
	}()
	if withdrawn {
		select {
		case <-ended:
			return nil
		case <-g.draining().Done():
		}
	}
	t := time.NewTimer(or(g.DrainTimeout, defaultDrainTimeout))
	defer t.Stop()
	select {
	case <-ended:
		return err
	case <-t.C:
		cut(ErrShutdown)
	}
	select {
	case <-ended:
		return err
	case <-time.After(2 * cutTime):
		return errors.Join(err, fmt.Errorf("%w %v after they were cut; their records may lack an end", errUnended, 2*cutTime))
	}
}

// ErrWithdrawn is the cause with which the context of [Gateway.Serve] ends when nobody
// is to be served there any more, and the gateway goes on.
var ErrWithdrawn = errors.New("the gateway does not listen here any more")

// cutTime is how long a handler may take to tell a client why its session is cut. Its
// connection is closed then, and it has the same time again to return.
const cutTime = 5 * time.Second

var errUnended = errors.New("some connections have not ended")

func (g *Gateway) accept(ctx context.Context, ln net.Listener, h Handler, conns *sync.WaitGroup) error {
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if err != nil {
			if passes(err) {
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				g.log().Warn("accept", "err", err, "retry", pause)
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		conns.Go(func() { g.serveConn(ctx, nc, h, nil) })
	}
}

// passes reports whether accepting can succeed again: after running out of
// descriptors or memory, or a client that has left already; not when the listener
// is closed.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// serveConn serves one connection; client is nil where nobody knows yet who it is from.
func (g *Gateway) serveConn(ctx context.Context, nc net.Conn, h Handler, client *Client) {
	c := &Conn{Conn: nc, gateway: g, protocol: h.Protocol(), client: client}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(or(g.HandshakeTimeout, defaultHandshakeTimeout))); err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() {
		c.cut(context.Cause(ctx))
		time.AfterFunc(cutTime, func() { nc.Close() })
	})
	defer stop()
	leave, ok := g.addresses.enter(nc.RemoteAddr(), g.Revision().MaxPerAddress)
	if !ok {
		g.event(Event{Kind: EventOverload, Protocol: c.protocol, Remote: nc.RemoteAddr()})
		return
	}
	defer leave()
	if !g.admit(c) {
		return
	}
	defer g.authenticated(c)
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = g.recovered("handler "+c.protocol, v, c.session)
			}
		}()
		return h.ServeConn(ctx, c)
	}()
	if c.session != nil {
		c.session.Close(err)
	} else if err != nil {
		g.log().Debug("connection failed", "protocol", c.protocol, "remote", nc.RemoteAddr(), "err", err)
		if c.failed {
			return // its failed login was told
		}
		g.event(Event{Kind: EventConnFailed, Protocol: c.protocol, Remote: nc.RemoteAddr(), Err: err})
	}
}

// admit counts c as unauthenticated, closing the oldest silent connection when
// there are too many, so that a flood cannot lock others out.
func (g *Gateway) admit(c *Conn) bool {
	limit := or(g.Revision().MaxUnauthenticated, defaultMaxUnauthenticated)
	g.mu.Lock()
	if g.drained {
		g.mu.Unlock()
		return false
	}
	g.unauth.push(c)
	var oldest *Conn
	if g.unauth.len > limit {
		oldest = g.unauth.head
		g.unauth.remove(oldest)
	}
	g.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
		g.event(Event{Kind: EventOverload, Protocol: oldest.protocol, Remote: oldest.RemoteAddr()})
	}
	return true
}

func (g *Gateway) authenticated(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unauth.remove(c)
}

// Draining ends when the gateway shuts down: what rests is to end then.
func (g *Gateway) Draining() context.Context { return g.draining() }

func (g *Gateway) draining() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drainContext()
}

func (g *Gateway) drainContext() context.Context {
	if g.drain == nil {
		g.drain, g.startEnd = context.WithCancel(context.Background())
	}
	return g.drain
}

// startDrain tells handlers to end sessions when they are idle, and closes
// connections that have no session yet.
func (g *Gateway) startDrain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drained {
		return
	}
	g.drained = true
	g.drainContext()
	g.startEnd()
	for c := g.unauth.head; c != nil; c = c.next {
		c.Conn.Close()
	}
}

// Sessions returns the open sessions, oldest first.
func (g *Gateway) Sessions() []*Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*Session, 0, len(g.sessions))
	for _, s := range g.sessions {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Session) int { return a.Started.Compare(b.Started) })
	return list
}

// Session returns the open session with this identifier, nil when there is none.
func (g *Gateway) Session(id string) *Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessions[id]
}

// OpenRequest asks for a session.
type OpenRequest struct {
	Identity *Identity
	Target   Target // Account and Database may be zero: the resource's defaults
	Protocol string
	Remote   net.Addr
	Params   map[string]string // the connection's settings
	OnHold   func(p *Pending)  // told when Connect is parked; may be nil
	// Dry opens a session that only asks what would be answered: see [Session.Dry].
	// It counts towards no limit and is told to nobody. At is the time that it asks
	// about; zero is now.
	Dry bool
	At  time.Time

	revision *Revision // which the identity or the target is of; nil is the current one
	rechecks uint64    // that there were when the identity was proven
	client   *Client   // nil: it came by a listener
}

// Open opens a session: it fills in the target's defaults, runs the
// interceptors' Intercept and asks for Connect. It returns a *RefusedError when
// Connect is refused. The caller closes the session, and calls Done for the
// returned Connect operation once it knows whether the resource was reached.
//
// Handlers of connections use [Conn.Open].
func (g *Gateway) Open(ctx context.Context, r OpenRequest) (*Session, *Connect, error) {
	s, connect, err := g.open(ctx, r)
	if r.Dry {
		return s, connect, err
	}
	if err != nil {
		g.event(Event{Kind: EventSessionRefused, Protocol: r.Protocol, Remote: r.Remote, Identity: r.Identity, Target: r.Target, Err: err})
		return nil, nil, err
	}
	g.event(Event{Kind: EventSessionStart, Protocol: r.Protocol, Remote: r.Remote, Identity: r.Identity, Target: s.Target, Session: s})
	return s, connect, nil
}

func (g *Gateway) open(ctx context.Context, r OpenRequest) (*Session, *Connect, error) {
	if r.Identity == nil || r.Identity.Subject == "" {
		return nil, nil, ErrUnauthenticated
	}
	if r.Target.Resource == nil {
		return nil, nil, ErrNotFound
	}
	target, err := normalise(r.Target)
	if err != nil {
		return nil, nil, err
	}
	// A session whose user or resource is of an earlier revision begins there, and is
	// taken over by the current one, which may know them otherwise, before anything is
	// asked.
	rev := or(r.revision, g.Revision())
	if err := g.recorded(rev); err != nil {
		return nil, nil, err
	}
	rechecks := g.rechecks.Load()
	for was := r.rechecks; rechecks != was && !r.Dry; was, rechecks = rechecks, g.rechecks.Load() { // while she logged in, or since
		if r.Identity, err = refreshed(ctx, g.Revision(), r.Identity); err != nil {
			return nil, nil, err
		}
	}
	if target.Account, err = target.Resource.For(r.Identity, target.Account); err != nil {
		return nil, nil, &RefusedError{Verdict: Deny(CauseInternal, "", err.Error(), "")}
	}
	s := &Session{
		ID: newID(), Identity: r.Identity, Target: target, Protocol: r.Protocol, Remote: r.Remote,
		Started: time.Now(), Dry: r.Dry, session: &session{gateway: g, params: r.Params, now: g.Now, client: r.client},
	}
	if r.client != nil {
		s.Via = r.client.Via
	}
	if r.Dry && !r.At.IsZero() {
		s.now = func() time.Time { return r.At }
	}
	s.Deadline = r.Identity.Expires
	for _, d := range []time.Duration{g.Revision().MaxSession, target.Resource.MaxSession} {
		if end := s.Started.Add(d); d > 0 && (s.Deadline.IsZero() || end.Before(s.Deadline)) {
			s.Deadline = end
		}
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := g.register(ctx, s); err != nil {
		s.cancel(err)
		return nil, nil, err
	}
	s.timer = time.AfterFunc(1<<62, func() { s.cancel(ErrDeadline) })
	if !s.Deadline.IsZero() {
		s.timer.Reset(time.Until(s.Deadline))
	}
	if g.rechecks.Load() != rechecks { // a recheck may have come before there was the session
		s.Kill(errChanged)
	}
	c, err := s.build(ctx, rev, nil)
	s.chain.Store(c)
	if err != nil {
		s.Close(err)
		return nil, nil, err
	}
	if r.OnHold != nil {
		s.onHold = func(_ Op, p *Pending) { r.OnHold(p) }
	}
	connect := &Connect{Meta: Meta{Kind: KindConnect}, Target: target, Params: r.Params}
	if v := s.Ask(ctx, connect); v.Refuses() {
		err := &RefusedError{Verdict: *v, By: connect.By()}
		s.Close(err)
		return nil, nil, err
	}
	return s, connect, nil
}

// normalise fills in the defaults, once: what is authorised is what is used.
func normalise(t Target) (Target, error) {
	a, ok := t.Resource.Account(t.Account.Name)
	if !ok && (t.Account.Name != "" || len(t.Resource.Accounts) > 0) {
		return Target{}, fmt.Errorf("%w: account %q of %s", ErrNotFound, t.Account.Name, t.Resource.Name)
	}
	t.Account = a
	t.Database = or(t.Database, t.Resource.Database)
	return t, nil
}

// register counts a session, here and where else the person's are counted.
func (g *Gateway) register(ctx context.Context, s *Session) error {
	if s.Dry {
		return nil
	}
	limits := g.Revision().Limits
	err := g.enter(s, limits)
	if err != nil {
		return err
	}
	if err = g.place(ctx, s, limits); err != nil {
		g.exit(s)
	}
	return err
}

// enter counts a session here.
func (g *Gateway) enter(s *Session, limits Limits) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drained {
		return ErrShutdown
	}
	if g.full(s.Identity.Subject, limits) {
		return ErrTooMany
	}
	if g.sessions == nil {
		g.sessions, g.subjects = make(map[string]*Session), make(map[string]int)
	}
	g.sessions[s.ID] = s
	g.subjects[s.Identity.Subject]++
	return nil
}

// revised notes that a session is seen through a later revision.
func (g *Gateway) revised(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, open := g.sessions[s.ID]; open {
		g.sessions[s.ID] = s
	}
}

func (g *Gateway) forget(s *Session, err error) {
	if s.Dry {
		return
	}
	g.exit(s)
	g.event(Event{
		Kind: EventSessionEnd, Protocol: s.Protocol, Remote: s.Remote, Identity: s.Identity,
		Target: s.Target, Session: s, Err: err,
	})
}

// exit counts a session no more.
func (g *Gateway) exit(s *Session) {
	g.mu.Lock()
	delete(g.sessions, s.ID)
	if g.subjects[s.Identity.Subject]--; g.subjects[s.Identity.Subject] <= 0 {
		delete(g.subjects, s.Identity.Subject)
	}
	g.mu.Unlock()
	if s.vacate != nil {
		s.vacate()
	}
}
