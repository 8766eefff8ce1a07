package secrets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Limits of a Broker.
const (
	// MaxAge is how long a shared value is kept at most.
	MaxAge         = time.Minute
	defaultTimeout = 10 * time.Second
	negativeAge    = time.Second
)

// Options are what a Broker is made of.
type Options struct {
	// Source has the providers that the broker uses as long as it lives.
	Source Source
	// Own has further providers, which belong to the broker: those with a method Close() are
	// closed when it does not use them any more. See [Broker.With].
	Own Source
	// MaxAge is how long a shared value is kept; zero, or more than [MaxAge], is that.
	MaxAge time.Duration
	// Timeout bounds each question to a provider; zero is 10 s.
	Timeout time.Duration
	// Journal is the file that lists the leases that are held, so that a gateway that was killed
	// revokes them when it starts again. It belongs to one process at a time. Empty: a
	// Leaser is refused, unless Brief is set.
	Journal string
	// Brief is for a process that ends soon, such as a command, and needs no journal: when it is
	// killed, its leases end in their own time.
	Brief bool
	// Report is told of every event, in the goroutine that causes it. May be nil.
	Report func(Event)
}

// EventKind says what happened to a secret.
type EventKind uint8

// Kinds of events.
const (
	Resolved EventKind = iota // a secret was asked for
	Renewed                   // a lease was renewed
	Revoked                   // a lease was revoked
	Lost                      // a lease ended while it was in use
)

var eventNames = [...]string{"resolve", "renew", "revoke", "lost"}

// String returns the kind's stable lower-case name.
func (k EventKind) String() string { return eventNames[k] }

// Event is something that happened to a secret. It holds nothing of the secret.
type Event struct {
	Kind    EventKind
	Ref     string // as configured
	Actor   string // the subject that it happened for; empty is the gateway itself
	Session string
	Lease   string
	Version string
	Expires time.Time
	Cached  bool // it came from memory
	Took    time.Duration
	Err     error // nil: it went well
}

// Broker is a proxy.CredentialSource that remembers: values that sessions may share for at most MaxAge,
// failures for a second, services that do not answer, and leases. It is safe for concurrent
// use.
type Broker struct {
	*core
	source  Source
	origins map[string]*origin // by scheme
}

// core is what all brokers that With makes of one share.
type core struct {
	age     time.Duration
	timeout time.Duration
	report  func(Event)
	lasting Source
	brief   bool
	journal *journal

	ctx     context.Context // ends when Drain begins
	stop    context.CancelFunc
	final   context.Context // ends when Drain waits no longer
	abandon context.CancelFunc
	life    context.Context // ends with Close
	end     context.CancelFunc
	leases  sync.WaitGroup // leases that are not revoked

	mu      sync.Mutex
	drained bool // there are no more leases
	closed  bool
	kept    map[string]*kept
	flights map[string]*flight
	begun   uint64           // flights
	left    []entry          // leases of an earlier process whose scheme has no leaser
	owned   map[*origin]bool // that are not closed
	numbers uint64           // of origins
}

// kept is an answer that is remembered.
type kept struct {
	value *Value
	err   error
	until time.Time
}

// flight is a question that is being asked.
type flight struct {
	number uint64
	done   chan struct{}
	value  *Value
	err    error
}

// NewBroker returns a broker, which begins to revoke the leases that an earlier process left in the
// journal.
func NewBroker(o Options) (*Broker, error) {
	c := &core{
		age: o.MaxAge, timeout: o.Timeout, report: o.Report, lasting: o.Source, brief: o.Brief,
		kept: make(map[string]*kept), flights: make(map[string]*flight), owned: make(map[*origin]bool),
	}
	if c.age <= 0 || c.age > MaxAge {
		c.age = MaxAge
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.report == nil {
		c.report = func(Event) {}
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.life, c.end = context.WithCancel(context.Background())
	c.final, c.abandon = context.WithCancel(context.Background())
	if o.Journal != "" {
		var err error
		if c.journal, c.left, err = openJournal(o.Journal); err != nil {
			return nil, err
		}
	}
	b, err := (&Broker{core: c}).With(o.Own)
	if err != nil {
		return nil, errors.Join(err, c.journal.close())
	}
	for _, e := range c.left {
		c.report(Event{Kind: Revoked, Lease: e.Lease, Err: fmt.Errorf("revoking a lease of an earlier process: there is no source %s with leases any more", e.Scheme)})
	}
	return b, nil
}

// With returns a broker that has other providers of its own, and shares everything else with b: what
// is kept, leases and their journal. Providers that both have go on with what is known of their
// services. A gateway makes one for every revision of its configuration, and retires the one before. On an error
// the providers of own stay the caller's.
func (b *Broker) With(own Source) (*Broker, error) {
	next := &Broker{core: b.core, source: make(Source), origins: make(map[string]*origin)}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, from := range []Source{b.lasting, own} {
		for scheme, p := range from {
			if next.origins[scheme] != nil {
				return nil, fmt.Errorf("opening the broker of secrets: there are two sources of the scheme %s", scheme)
			}
			o := b.origins[scheme]
			if o == nil || !identical(o.provider, p) {
				b.numbers++
				o = &origin{provider: p, number: b.numbers}
				o.leaser, _ = p.(Leaser)
			}
			if o.leaser != nil && b.journal == nil && !b.brief {
				return nil, errors.New("opening the broker of secrets: a source has leases, and there is no journal for them: set Options.Journal")
			}
			next.source[scheme], next.origins[scheme] = p, o
		}
	}
	for scheme := range own {
		o := next.origins[scheme]
		o.uses++
		b.owned[o] = true
	}
	b.left = slices.DeleteFunc(b.left, func(e entry) bool {
		o := next.origins[e.Scheme]
		if o == nil || o.leaser == nil {
			return false
		}
		h := &held{core: b.core, origin: o, entry: e}
		o.uses++
		b.leases.Add(1)
		go h.revoke()
		return true
	})
	return next, nil
}

// Retire says that b is not asked any more. Providers of its own that no other broker of the
// same core has are closed when their last lease has been revoked.
func (b *Broker) Retire() {
	for scheme, o := range b.origins {
		if _, lasts := b.lasting[scheme]; !lasts {
			b.leave(o)
		}
	}
}

// Check reports whether ref is a reference that b can follow, without following it.
func (b *Broker) Check(ref string) error { return b.source.Check(ref) }

// Local reports whether ref leads to something of the gateway's own host; see [Source.Local].
func (b *Broker) Local(ref string) bool { return b.source.Local(ref) }

// Lease returns the account's credential. An account without a reference has a user name
// only.
func (b *Broker) Lease(ctx context.Context, r proxy.LeaseRequest) (*proxy.Lease, error) {
	account := r.Target.Account
	if account.Secret == "" {
		return &proxy.Lease{Credential: proxy.Credential{Username: account.Username}}, nil
	}
	v, h, err := b.get(ctx, account.Secret, use(r))
	if err != nil {
		return nil, err
	}
	lease := &proxy.Lease{}
	if h != nil {
		lease.Lost, lease.Release = h.lost, h.release
	}
	if lease.Credential, err = v.credential(account); err != nil {
		if h != nil {
			h.release()
		}
		return nil, err
	}
	return lease, nil
}

// Fetch returns the secret of a reference that is not an account's. release gives it back; it is not
// nil where err is.
func (b *Broker) Fetch(ctx context.Context, ref string, fresh bool) (secret proxy.Secret, release func(), err error) {
	v, h, err := b.get(ctx, ref, Use{Fresh: fresh})
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	if h == nil {
		return v.secret(), func() {}, nil
	}
	return v.secret(), h.release, nil
}

// get follows a reference and reports that it did.
func (b *Broker) get(ctx context.Context, text string, u Use) (*Value, *held, error) {
	ref, err := b.source.parse(text)
	if err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	e := Event{Kind: Resolved, Ref: ref.String(), Session: u.Session}
	if u.Identity != nil {
		e.Actor = u.Identity.Subject
	}
	v, h, cached, err := b.find(ctx, ref, u)
	e.Cached, e.Took, e.Err = cached, time.Since(begun), err
	if v != nil {
		e.Version, e.Lease, e.Expires = v.Version, v.Lease, v.Expires
	}
	b.report(e)
	return v, h, err
}

func (b *Broker) find(ctx context.Context, ref Ref, u Use) (v *Value, h *held, cached bool, err error) {
	named, err := ref.For(u.Identity)
	if err != nil {
		return nil, nil, false, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	o := b.origins[ref.Scheme]
	if o.leaser != nil && o.leaser.Leases(named) {
		v, h, err = b.lease(ctx, o, named, ref, u)
		return v, h, false, err
	}
	v, cached, err = b.share(ctx, o, named, u)
	return v, nil, cached, err
}

// share returns a value that is kept, or the answer to a question that all who need it now wait for. What
// was refused is answered by a question that began after the refusal.
func (b *core) share(ctx context.Context, o *origin, ref Ref, u Use) (v *Value, cached bool, err error) {
	key := fmt.Sprintf("%d %s", o.number, ref)
	question := key
	if u.Fresh { // its answer depends on what was refused
		sum := sha256.Sum256([]byte(u.Refused.Reveal()))
		question += "\x00" + string(sum[:])
	}
	b.mu.Lock()
	arrived := b.begun
	for {
		if k := b.kept[key]; k != nil && time.Now().Before(k.until) && (k.err != nil || !u.Fresh) {
			b.mu.Unlock()
			return k.value, true, k.err
		}
		if u.Fresh {
			delete(b.kept, key)
		}
		f := b.flights[question]
		if f == nil {
			b.begun++
			f = &flight{number: b.begun, done: make(chan struct{})}
			b.flights[question] = f
			go b.fly(f, o, key, question, ref, u)
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, false, fmt.Errorf("secret from %s: %w", ref.Scheme, context.Cause(ctx))
		case <-f.done:
		}
		if !u.Fresh || f.number > arrived {
			return f.value, false, f.err
		}
		b.mu.Lock()
	}
}

// fly asks the question and keeps the answer as long as it may.
func (b *core) fly(f *flight, o *origin, key, question string, ref Ref, u Use) {
	u.Session, u.Identity, u.Account = "", nil, "" // the answer is everybody's
	f.value, f.err = b.ask(b.life, o, ref, u)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.flights, question)
	close(f.done)
	_, near := o.provider.(near)
	switch now := time.Now(); {
	case f.err != nil && near:
	case f.err != nil:
		b.keep(key, &kept{err: f.err, until: now.Add(negativeAge)})
	case f.value.Shared:
		until := now.Add(b.age)
		if !f.value.Expires.IsZero() && f.value.Expires.Before(until) {
			until = f.value.Expires
		}
		b.keep(key, &kept{value: f.value, until: until})
	}
}

// keep remembers k, and forgets it in time: a secret does not stay in memory because nobody asks for
// it. The caller holds b.mu.
func (b *core) keep(key string, k *kept) {
	if b.closed {
		return
	}
	b.kept[key] = k
	time.AfterFunc(time.Until(k.until), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.kept[key] == k {
			delete(b.kept, key)
		}
	})
}

// ask asks a provider, unless its service has not answered for a while. The question does not end with who
// asks first, since others wait for it too.
func (b *core) ask(ctx context.Context, o *origin, ref Ref, u Use) (v *Value, err error) {
	if err := o.breaker.enter(); err != nil {
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	err = protect(func() error {
		v, err = o.resolve(ctx, ref, u)
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("secret from %s: %w: no answer within %s", ref.Scheme, ErrUnavailable, b.timeout)
	}
	o.breaker.leave(errors.Is(err, ErrUnavailable))
	return v, err
}

// errPanic is all that is said of a provider's panic, whose value may hold a secret.
var errPanic = errors.New("the provider panicked")

func protect(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return f()
}

// Drain revokes what is leased and waits for that until ctx ends; there are no more leases then. What was
// not revoked by then is left in the journal for the next process. Shared secrets can be had until Close. It is for
// all brokers of the same core.
func (b *Broker) Drain(ctx context.Context) error {
	b.mu.Lock()
	b.drained = true
	b.mu.Unlock()
	b.stop()
	done := make(chan struct{})
	go func() {
		b.leases.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("closing the broker of secrets: leases are left, which the journal names: %w", context.Cause(ctx))
	}
	b.abandon()
	<-done
	return err
}

// Close drains the broker, forgets what is kept and closes the providers of the broker's own. It is for all
// brokers of the same core.
func (b *Broker) Close(ctx context.Context) error {
	err := b.Drain(ctx)
	b.mu.Lock()
	b.closed = true
	clear(b.kept)
	owned := b.owned
	b.owned = nil
	b.mu.Unlock()
	b.end()
	for o := range owned {
		o.close()
	}
	return errors.Join(err, b.journal.close())
}
