package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// How guessing is slowed down. A login is answered late, after so many failed ones of
// its address or its user; the answer is as late when it is right.
const (
	freeGuesses = 10                     // failed logins in a row that cost nothing
	firstDelay  = 250 * time.Millisecond // of the next one; each further one doubles it
	addressCap  = 8 * time.Second        // the longest delay between two logins of one address
	userCap     = 2 * time.Second        // the longest delay of one user's logins from everywhere
	longestWait = 16 * time.Second       // a login that would be answered later is refused at once
	forgetAfter = 30 * time.Second       // one failure is forgotten, and again
	provenFor   = 24 * time.Hour         // an address at which a user logged in counts as the user's own
	maxTracked  = 8192                   // addresses, users, and addresses of users
	maxUserName = 128                    // bytes of a claimed name that are kept
)

// guesses counts failed logins by address and by user. A user at an address where she
// logged in before is counted apart from both, so that the guesses of others neither
// slow her down nor lock her out. It is safe for concurrent use.
type guesses struct {
	mu     sync.Mutex
	failed map[guesser]*tries
	proven map[guesser]time.Time
}

// clipUser is as much of a claimed name as is kept, without the memory of the rest.
func clipUser(user string) string {
	if len(user) <= maxUserName {
		return user
	}
	return strings.ToValidUTF8(strings.Clone(user[:maxUserName]), "")
}

// guesser is an address, a user, or a user at an address.
type guesser struct {
	user string
	from netip.Prefix
}

// tries are the failed logins of one guesser.
type tries struct {
	n    int
	last time.Time // that n was counted
	next time.Time // when the next one may be answered
}

// now forgets what is long ago.
func (t *tries) now(now time.Time) {
	if past := int(now.Sub(t.last) / forgetAfter); past > 0 {
		t.n, t.last = max(0, t.n-past), now
	}
}

func (t *tries) delay(longest time.Duration) time.Duration {
	if t.n < freeGuesses {
		return 0
	}
	return min(longest, firstDelay<<min(t.n-freeGuesses, 16))
}

// begin counts a login as a failed one until it is known to be right, so that many at
// a time do not get around the delay. wait is how long its answer must wait; ok is
// false when that is too long.
func (g *guesses) begin(user string, remote net.Addr, now time.Time) (a *attempt, wait time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from, _ := network(remote) // all without an address are one
	user = clipUser(user)
	a = &attempt{of: g, own: guesser{user, from}}
	if t, known := g.proven[a.own]; known && now.Sub(t) < provenFor {
		a.counted = []*tries{g.tries(a.own, now)}
	} else {
		a.counted = []*tries{g.tries(guesser{from: from}, now), g.tries(guesser{user: user}, now)}
		wait = a.counted[1].delay(userCap)
	}
	at := a.counted[0]
	next := now
	if d := at.delay(addressCap); d > 0 {
		if next = at.next; now.After(next) {
			next = now
		}
		next = next.Add(d)
	}
	for _, t := range a.counted {
		t.n = min(t.n+1, freeGuesses+16)
		t.last = now
	}
	wait = max(wait, next.Sub(now))
	if wait > longestWait {
		return a, wait, false
	}
	at.next = next
	return a, wait, true
}

// tries returns what is counted of a guesser.
func (g *guesses) tries(key guesser, now time.Time) *tries {
	t := g.failed[key]
	if t == nil {
		if g.failed == nil {
			g.failed, g.proven = make(map[guesser]*tries), make(map[guesser]time.Time)
		}
		makeRoom(g.failed, func(t *tries) time.Time { return t.last })
		t = &tries{last: now}
		g.failed[key] = t
	}
	t.now(now)
	return t
}

// makeRoom forgets an old entry of a full map: the oldest of a few, so that it costs
// little.
func makeRoom[V any](m map[guesser]V, last func(V) time.Time) {
	if len(m) < maxTracked {
		return
	}
	var oldest guesser
	var at time.Time
	n := 0
	for k, v := range m {
		if t := last(v); n == 0 || t.Before(at) {
			oldest, at = k, t
		}
		if n++; n == 16 {
			break
		}
	}
	delete(m, oldest)
}

// attempt is one login while it is proven.
type attempt struct {
	of      *guesses
	own     guesser
	counted []*tries
}

// right takes back what begin counted: the login is right.
func (a *attempt) right(now time.Time) {
	g := a.of
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range a.counted {
		t.n = max(0, t.n-1)
	}
	makeRoom(g.proven, func(t time.Time) time.Time { return t })
	g.proven[a.own] = now
}

// ErrTooManyFailures wraps ErrUnauthenticated: so many logins of this address have failed
// that this one was not looked at.
var ErrTooManyFailures = fmt.Errorf("%w: too many logins of this address have failed", ErrUnauthenticated)

// guessable reports whether what proves an identity by this method can be guessed.
func (m Method) guessable() bool {
	switch m {
	case MethodPassword, MethodSCRAM, MethodChallenge, MethodInteractive:
		return true
	}
	return false
}

// answer waits until a login may be answered.
func (g *Gateway) answer(ctx context.Context, user string, remote net.Addr) (*attempt, error) {
	a, wait, ok := g.guesses.begin(user, remote, time.Now())
	if !ok {
		return a, ErrTooManyFailures
	}
	if wait <= 0 {
		return a, nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return a, nil
	case <-ctx.Done():
		return a, errors.Join(ErrUnauthenticated, context.Cause(ctx))
	case <-g.draining().Done():
		return a, errors.Join(ErrUnauthenticated, ErrShutdown)
	}
}

// Prove asks by who has given a proof to a way in of an assembly's own, such as an API:
// p.Remote and p.Protocol say where. As with [Conn.Authenticate], guesses are answered late,
// and failed logins are told. Who begins something with the identity tells of the login.
func (g *Gateway) Prove(ctx context.Context, p Proof, by Authenticator) (*Identity, error) {
	return g.prove(ctx, p, func() Authenticator { return by })
}

// prove asks the authenticator that there is once the proof may be looked at.
func (g *Gateway) prove(ctx context.Context, p Proof, by func() Authenticator) (*Identity, error) {
	var a *attempt
	if p.Method.guessable() {
		var err error
		if a, err = g.answer(ctx, p.User, p.Remote); err != nil {
			g.loginFailed(p, err)
			return nil, err
		}
	}
	var id *Identity
	err := ErrUnauthenticated
	if by := by(); by != nil {
		id, err = by.Authenticate(ctx, p)
	}
	if err == nil && (id == nil || id.Subject == "") {
		err = ErrUnauthenticated
	}
	if err != nil {
		g.loginFailed(p, err)
		return nil, err
	}
	if a != nil {
		a.right(time.Now())
	}
	return id, nil
}

func (g *Gateway) loginFailed(p Proof, err error) {
	g.Report(Event{Kind: EventLoginFailed, Protocol: p.Protocol, Remote: p.Remote, User: p.User, Err: err})
}
