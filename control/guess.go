package control

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of passwords that are tried, besides those of [proxy.Gateway.Prove] by address and
// by user, which somebody with many addresses and names gets around.
const (
	checkedAtATime = 2                // the rest of the gateway's turns is for its listeners
	guessesWaiting = 64               // that wait for their turn; more are told to come again
	longestTurn    = 10 * time.Second // that one waits
	knownFor       = 24 * time.Hour   // that a user's address has turns at once
)

// guesses bound how many wrong passwords are looked at, of all addresses together. It is
// safe for concurrent use.
type guesses struct {
	all     *limiter
	network *limiter // of one IPv6 network
	turns   chan struct{}
	waiting chan struct{}
	seed    maphash.Seed
	known   *[4096]atomic.Int64 // when users logged in last, by user and address, in nanoseconds
}

func newGuesses() guesses {
	return guesses{
		all: newLimiter(200*time.Millisecond, 100), network: newLimiter(2*time.Second, 50),
		turns: make(chan struct{}, checkedAtATime), waiting: make(chan struct{}, guessesWaiting),
		seed: maphash.MakeSeed(), known: new([4096]atomic.Int64),
	}
}

var errTurn = errors.New("too many passwords are tried")

// begin waits for the turn of a password, and returns what takes back that it counts as
// wrong. Users at an address at which they have logged in before do not wait for others.
func (g *guesses) begin(ctx context.Context, p *proxy.Proof) (right func(), err error) {
	from := p.Remote.String()
	known := &g.known[maphash.String(g.seed, host(from)+" "+p.User)%uint64(len(g.known))]
	login := func() { known.Store(time.Now().UnixNano()) }
	if time.Since(time.Unix(0, known.Load())) < knownFor {
		return login, nil
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return nil, errTurn
	}
	network := customer(from)
	for end := time.Now().Add(longestTurn); ; {
		now := time.Now()
		wait := g.network.wait(network, now)
		if network == "" || wait == 0 {
			wait = g.all.take("", now)
		}
		if wait == 0 {
			break
		}
		if now.Add(wait).After(end) {
			return nil, errTurn
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if network != "" {
		g.network.take(network, time.Now())
	}
	return func() {
		login()
		g.all.give("")
		if network != "" {
			g.network.give(network)
		}
	}, nil
}

// guarded has passwords wait for their turn.
type guarded struct {
	*guesses
	by proxy.Authenticator
}

// Authenticate implements [proxy.Authenticator].
func (g guarded) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	right, err := g.begin(ctx, &p)
	if err != nil {
		return nil, err
	}
	select {
	case g.turns <- struct{}{}:
		defer func() { <-g.turns }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	id, err := g.by.Authenticate(ctx, p)
	if err == nil && id != nil {
		right()
	}
	return id, err
}

// tryPassword is who a password proves, with a code where she has a second factor.
func (h *Handler) tryPassword(c *call, user, password, code string) (*proxy.Identity, error) {
	return h.try(c, proxy.Proof{User: user, Password: proxy.NewSecret(password), Code: proxy.NewSecret(code)}, c.portal.Passwords)
}

// try is who a proof that can be guessed is of. All that is wrong gets the same answer, at the same
// time.
func (h *Handler) try(c *call, p proxy.Proof, by proxy.Authenticator) (*proxy.Identity, error) {
	begun := time.Now()
	p.Method, p.Remote, p.Protocol = proxy.MethodPassword, remote(c.Request), apiProtocol
	id, err := h.Gateway.Prove(c.Context(), p, guarded{&h.limits.guesses, by})
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, errTurn), errors.Is(err, proxy.ErrTooManyFailures):
		return nil, wait(c.w, longestTurn)
	}
	even(c.Context(), begun)
	return nil, loginError(err)
}

var errUnchecked = &Error{http.StatusServiceUnavailable, CodeUnavailable, "the login could not be checked now: try again"}
