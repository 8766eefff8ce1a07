package secrets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	Source Source
	// MaxAge is how long a shared value is kept; zero, or more than [MaxAge], is that.
	MaxAge time.Duration
	// Timeout bounds each question to a provider; zero is 10 s.
	Timeout time.Duration
	// Journal is the file that lists the leases that are held, so that a gateway that was killed
	// revokes them when it starts again. It belongs to one process at a time. Empty: a
	// Source with a Leaser is refused.
	Journal string
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
	source  Source
	age     time.Duration
	timeout time.Duration
	report  func(Event)
	journal *journal

	ctx     context.Context // ends when Close begins
	stop    context.CancelFunc
	final   context.Context // ends when Close waits no longer
	abandon context.CancelFunc
	leases  sync.WaitGroup // leases that are not revoked

	mu       sync.Mutex
	closed   bool
	kept     map[string]*kept
	flights  map[string]*flight
	begun    uint64 // flights
	breakers map[string]*breaker
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
	b := &Broker{
		source: o.Source, age: o.MaxAge, timeout: o.Timeout, report: o.Report,
		kept: make(map[string]*kept), flights: make(map[string]*flight), breakers: make(map[string]*breaker),
	}
	if b.age <= 0 || b.age > MaxAge {
		b.age = MaxAge
	}
	if b.timeout <= 0 {
		b.timeout = defaultTimeout
	}
	if b.report == nil {
		b.report = func(Event) {}
	}
	leases := false
	for scheme, p := range o.Source {
		b.breakers[scheme] = &breaker{}
		_, is := p.(Leaser)
		leases = leases || is
	}
	if leases && o.Journal == "" {
		return nil, errors.New("opening the broker of secrets: a source has leases, and there is no journal for them: set Options.Journal")
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.final, b.abandon = context.WithCancel(context.Background())
	if o.Journal == "" {
		return b, nil
	}
	left, err := b.open(o.Journal)
	if err != nil {
		return nil, err
	}
	for _, e := range left {
		h := &held{broker: b, entry: e, scheme: e.Scheme}
		h.leaser, _ = o.Source[e.Scheme].(Leaser)
		b.leases.Add(1)
		go h.revoke()
	}
	return b, nil
}

func (b *Broker) open(path string) (left []entry, err error) {
	b.journal, left, err = openJournal(path)
	return left, err
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

// Fetch returns the secret of a reference that is not an account's. release, when it is not nil, gives
// it back.
func (b *Broker) Fetch(ctx context.Context, ref string, fresh bool) (secret proxy.Secret, release func(), err error) {
	v, h, err := b.get(ctx, ref, Use{Fresh: fresh})
	if err != nil {
		return proxy.Secret{}, nil, err
	}
	if h != nil {
		release = h.release
	}
	return v.secret(), release, nil
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
	if l, ok := b.source[ref.Scheme].(Leaser); ok && l.Leases(named) {
		v, h, err = b.lease(ctx, l, named, ref, u)
		return v, h, false, err
	}
	v, cached, err = b.share(ctx, named, u)
	return v, nil, cached, err
}

// share returns a value that is kept, or the answer to a question that all who need it now wait for. What
// was refused is answered by a question that began after the refusal.
func (b *Broker) share(ctx context.Context, ref Ref, u Use) (v *Value, cached bool, err error) {
	key := ref.String()
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
			go b.fly(f, key, question, ref, u)
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
func (b *Broker) fly(f *flight, key, question string, ref Ref, u Use) {
	u.Session, u.Identity, u.Account = "", nil, "" // the answer is everybody's
	f.value, f.err = b.ask(ref, u)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.flights, question)
	close(f.done)
	switch now := time.Now(); {
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
func (b *Broker) keep(key string, k *kept) {
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
func (b *Broker) ask(ref Ref, u Use) (v *Value, err error) {
	breaker := b.breakers[ref.Scheme]
	if err := breaker.enter(); err != nil {
		return nil, fmt.Errorf("secret from %s: %w", ref.Scheme, err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
	defer cancel()
	err = protect(func() error {
		v, err = b.source.resolve(ctx, ref, u)
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("secret from %s: %w: no answer within %s", ref.Scheme, ErrUnavailable, b.timeout)
	}
	breaker.leave(errors.Is(err, ErrUnavailable))
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

// Close revokes what is held, waits for that until ctx ends, and forgets what is kept. What was not revoked by
// then is left in the journal for the next process.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	clear(b.kept)
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
	if b.journal != nil {
		err = errors.Join(err, b.journal.close())
	}
	return err
}
