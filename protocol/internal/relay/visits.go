package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Visit is what one login does at one application: a session, which lasts over many requests and
// connections.
type Visit struct {
	key     visitKey
	visits  *Visits
	session *proxy.Session // once ready is closed without err
	ready   chan struct{}
	waiting chan struct{} // closed once an approval of the connection is waited for
	err     error
	subject string

	// Of visits.mu.
	waits   *proxy.Pending // for the approval of the connection
	active  int            // requests
	checked time.Time      // when the proof was looked at last
	idle    *time.Timer
	gone    bool          // no further request comes to it
	ended   error         // why it was ended before its session was open
	left    chan struct{} // closed when the last request has ended; nil: nobody waits for that

	holds   holds
	patient bool // the client waits for decisions, and does not send requests again

	idleTime func(*proxy.Resource) time.Duration

	stop context.CancelCauseFunc // of the opening

	leasing sync.Mutex // held while the credential is leased, and of what follows
	stale   bool       // the application has refused it
	renewed time.Time
}

// visitKey tells visits apart.
type visitKey struct{ proof, resource, address string }

// Visits are the open ones of a gateway. The zero value is ready.
type Visits struct {
	mu   sync.Mutex
	open map[visitKey]*Visit
}

// WaitingError says that an approval of the connection is waited for.
type WaitingError struct{ Pending *proxy.Pending }

// Error says so.
func (*WaitingError) Error() string { return "the connection waits for an approval" }

// Times of visits.
const (
	// checkEvery is how long a proof counts without being looked at again. What ends it ends the
	// session before.
	checkEvery = 15 * time.Second
	// openTime is how long a request waits for a session.
	openTime = 20 * time.Second
	// cutTime is how long requests of a session that has ended may take to end.
	cutTime = 5 * time.Second
)

// Entry is what a request shows of the visit that it belongs to.
type Entry struct {
	Conn     *proxy.Conn
	Protocol string
	Resource *proxy.Resource
	Account  string // empty: the first of the resource
	// Proof names what proves the person: a digest, since it is kept. Find returns who it proves now.
	Proof string
	Find  func(ctx context.Context) (*proxy.Identity, error)
	// Expected says that a proof may end without being a failed login, as that of a browser does.
	Expected bool
	// Params are those of the connection.
	Params map[string]string
	// Idle is how long somebody may ask nothing of a resource before the session ends.
	Idle func(*proxy.Resource) time.Duration
}

// Enter returns the visit that a request belongs to, which is to be left.
func (vs *Visits) Enter(ctx context.Context, e *Entry) (*Visit, error) {
	key := visitKey{e.Proof, e.Resource.Name, Address(e.Conn.RemoteAddr())}
	vs.mu.Lock()
	v := vs.open[key]
	if v != nil && (v.closed() || v.gone) {
		v = nil
	}
	if v != nil && v.opened() && time.Since(v.checked) < checkEvery {
		v.enter()
		vs.mu.Unlock()
		e.Conn.Proven()
		return v, nil
	}
	vs.mu.Unlock()
	id, err := e.Find(ctx)
	if err != nil {
		if v == nil && (errors.Is(err, proxy.ErrUnauthenticated) && !e.Expected) {
			e.Conn.Gateway().Report(proxy.Event{Kind: proxy.EventLoginFailed, Protocol: e.Protocol, Remote: e.Conn.RemoteAddr(), Err: err})
		}
		return nil, err
	}
	e.Conn.Proven()
	vs.mu.Lock()
	if v = vs.open[key]; v != nil && !v.closed() && !v.gone && v.subject == id.Subject {
		v.checked = time.Now()
	} else {
		v = vs.begin(ctx, e, key, id)
	}
	v.enter()
	vs.mu.Unlock()
	if err := v.await(ctx); err != nil {
		v.Leave()
		return nil, err
	}
	return v, nil
}

// begin opens a visit. vs.mu is held.
func (vs *Visits) begin(ctx context.Context, e *Entry, key visitKey, id *proxy.Identity) *Visit {
	v := &Visit{key: key, visits: vs, ready: make(chan struct{}), waiting: make(chan struct{}), subject: id.Subject, checked: time.Now(), idleTime: e.Idle}
	if vs.open == nil {
		vs.open = make(map[visitKey]*Visit)
	}
	vs.open[key] = v
	target := proxy.Target{Resource: e.Resource, Account: proxy.Account{Name: e.Account}}
	held := func(p *proxy.Pending) {
		vs.mu.Lock()
		defer vs.mu.Unlock()
		if v.waits == nil {
			close(v.waiting)
		}
		v.waits = p
	}
	g := e.Conn.Gateway()
	open := func(ctx context.Context) (*proxy.Session, *proxy.Connect, error) {
		return g.Open(ctx, proxy.OpenRequest{Identity: id, Target: target, Protocol: e.Protocol, Remote: e.Conn.RemoteAddr(), Params: e.Params, OnHold: held})
	}
	if e.Conn.IsKnown() { // the session is that of the connection, and ends with it
		v.patient, e.Conn.OnHold = true, held
		open = func(ctx context.Context) (*proxy.Session, *proxy.Connect, error) {
			return e.Conn.Open(ctx, id, target, e.Params)
		}
	} else { // nobody's request ends the opening: it may wait for an approval
		ctx = context.Background()
	}
	ctx, v.stop = context.WithCancelCause(ctx)
	go v.run(ctx, g, e.Resource, open) // ends with the session, which the gateway ends
	return v
}

// run opens the session, and closes it when it has ended.
func (v *Visit) run(ctx context.Context, g *proxy.Gateway, at *proxy.Resource, open func(context.Context) (*proxy.Session, *proxy.Connect, error)) {
	drains := context.AfterFunc(g.Draining(), func() { v.stop(proxy.ErrShutdown) })
	s, connect, err := open(ctx)
	drains()
	v.stop(nil)
	v.visits.mu.Lock()
	late := s // it was opened although the visit has ended
	if v.ended != nil {
		s, err = nil, fmt.Errorf("%w: %w", proxy.ErrUnauthenticated, v.ended)
	}
	v.session, v.err = s, err
	if err != nil {
		v.visits.forget(v)
	} else {
		v.idle = time.AfterFunc(v.idleTime(at), v.expire)
		if v.active > 0 {
			v.idle.Stop()
		}
	}
	v.visits.mu.Unlock()
	if err != nil {
		if late != nil {
			late.Done(connect, &proxy.Outcome{Err: err})
			late.Close(err)
		}
		close(v.ready)
		return
	}
	s.Handle(v.holds.hold, nil)
	s.Done(connect, &proxy.Outcome{})
	close(v.ready)
	drained := context.AfterFunc(s.Draining(), v.expire)
	<-s.Context().Done()
	drained()
	v.visits.mu.Lock()
	v.idle.Stop()
	v.visits.forget(v)
	var left chan struct{}
	if v.active > 0 {
		left = make(chan struct{})
		v.left = left
	}
	v.visits.mu.Unlock()
	if left != nil { // requests are being cut, and say how they have ended
		t := time.NewTimer(cutTime)
		defer t.Stop()
		select {
		case <-left:
		case <-t.C:
		}
	}
	s.Close(nil)
}

// opened reports whether the session is open and ready to be asked.
func (v *Visit) opened() bool {
	select {
	case <-v.ready:
		return v.err == nil
	default:
		return false
	}
}

// closed reports whether the session has ended.
func (v *Visit) closed() bool { return v.session != nil && v.session.Err() != nil }

// enter counts a request. visits.mu is held.
func (v *Visit) enter() {
	v.active++
	if v.idle != nil {
		v.idle.Stop()
	}
}

// Leave ends what Enter began.
func (v *Visit) Leave() {
	v.visits.mu.Lock()
	defer v.visits.mu.Unlock()
	v.active--
	if v.active == 0 && v.left != nil {
		close(v.left)
		v.left = nil
	}
	if v.active > 0 || v.idle == nil || v.gone {
		return
	}
	if v.session.Draining().Err() != nil {
		v.idle.Reset(0)
		return
	}
	v.idle.Reset(v.idleTime(v.session.Target.Resource))
}

// expire ends a visit that nobody uses.
func (v *Visit) expire() {
	v.visits.mu.Lock()
	defer v.visits.mu.Unlock()
	if v.active > 0 || v.gone {
		return
	}
	if v.holds.any() && v.session.Draining().Err() == nil {
		v.idle.Reset(v.idleTime(v.session.Target.Resource))
		return
	}
	v.visits.forget(v)
	v.session.Kill(proxy.ErrClientLeft)
}

// await waits until the session is open. It waits for people where the client does.
func (v *Visit) await(ctx context.Context) error {
	if v.patient { // the opening ends when she leaves; the connection is not let go before, since the session is its own
		<-v.ready
		return v.err
	}
	limit := time.NewTimer(openTime)
	defer limit.Stop()
	select {
	case <-v.ready:
		return v.err
	case <-v.waiting:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-limit.C:
		return context.DeadlineExceeded
	}
	select {
	case <-v.ready: // it was approved
		return v.err
	default:
	}
	v.visits.mu.Lock()
	defer v.visits.mu.Unlock()
	return &WaitingError{v.waits}
}

// forget has no further request come to a visit. mu is held.
func (vs *Visits) forget(v *Visit) {
	v.gone = true
	if vs.open[v.key] == v {
		delete(vs.open, v.key)
	}
}

// End ends the visits of a proof.
func (vs *Visits) End(proof string, why error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for key, v := range vs.open {
		if key.proof == proof {
			vs.forget(v)
			if v.session != nil {
				v.session.Kill(why)
			} else {
				v.ended = why
				v.stop(why)
			}
		}
	}
}

// Session is the visit's.
func (v *Visit) Session() *proxy.Session { return v.session }
