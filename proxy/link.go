package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Linker has people log in who have nothing with them that proves who they are: their
// client shows a link and a code, and waits until somebody has logged in there in a
// browser, and typed the code. It is safe for concurrent use.
type Linker interface {
	// Offer returns a link for a client. The error wraps ErrNoLink where the client has to
	// prove itself in another way, and ErrTooManyLinks where too many clients wait already.
	Offer(ctx context.Context, q LinkRequest) (Link, error)
}

// LinkRequest is a client that may be offered a link, and what it asks for. Nothing of it
// is proven.
type LinkRequest struct {
	Login    Login  // as the client claims
	Resource string // which the client asks for
	Protocol string
	Remote   net.Addr
}

// Link is a login that waits for a person.
type Link struct {
	// URL is the page where she logs in, and Code what she types there.
	URL, Code string
	// Expires is when nobody can log in there any more.
	Expires time.Time
	// Wait returns who has logged in there, with MethodLink, once she has typed the code.
	// Errors that wrap ErrUnauthenticated are shown to the client, and no others.
	Wait func(ctx context.Context) (*Identity, error)
	// Close ends the waiting: the link leads nowhere from then on. It is called once.
	Close func()
}

// Errors of a [Linker].
var (
	ErrNoLink       = errors.New("no login link is offered")
	ErrTooManyLinks = fmt.Errorf("%w: too many clients wait for a login in the browser: try again in a minute", ErrUnauthenticated)
)

// LinkError is why nobody has logged in at a link that was offered. Its text is for the
// client.
type LinkError struct{ Err error }

func (e *LinkError) Error() string { return e.Err.Error() }
func (e *LinkError) Unwrap() error { return e.Err }

// Link offers the client a link, where the gateway's Linker does, and returns who has
// logged in there. show shows it to the client. The error wraps ErrNoLink where nothing was
// offered; every other one than ErrClientLeft is a *LinkError, after which the client gets
// no further attempt.
//
// While it waits the connection counts as no unauthenticated one, has no session, and may
// last longer than the handshake. The handler ends ctx with ErrClientLeft as its cause when
// the client leaves.
func (c *Conn) Link(ctx context.Context, login Login, resource string, show func(Link) error) (*Identity, error) {
	linker := c.gateway.Revision().Linker
	if linker == nil {
		return nil, ErrNoLink
	}
	l, err := linker.Offer(ctx, LinkRequest{Login: login, Resource: resource, Protocol: c.protocol, Remote: c.RemoteAddr()})
	if errors.Is(err, ErrNoLink) {
		return nil, err
	}
	var id *Identity
	if err == nil {
		defer l.Close()
		id, err = c.await(ctx, l, show)
	}
	if errors.Is(err, ErrClientLeft) {
		return nil, err // it has proven nothing wrong
	}
	if err != nil {
		c.failed = true
		c.gateway.loginFailed(Proof{User: login.User, Remote: c.RemoteAddr(), Protocol: c.protocol}, err)
		if !errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrUnavailable) {
			err = errLinkUnchecked // what went wrong inside is for the record
		}
		return nil, &LinkError{err}
	}
	c.gateway.event(Event{Kind: EventLogin, Protocol: c.protocol, Remote: c.RemoteAddr(), User: login.User, Identity: id})
	return id, nil
}

// Why nobody has logged in at a link.
var (
	errLinkExpired   = fmt.Errorf("%w: nobody has logged in at the link in time: connect again for another one", ErrUnauthenticated)
	errLinkUnchecked = fmt.Errorf("%w: the login cannot be checked now: try again", ErrUnauthenticated)
)

// await waits until somebody has logged in at l, and has the handshake go on.
func (c *Conn) await(ctx context.Context, l Link, show func(Link) error) (*Identity, error) {
	if err := c.SetDeadline(l.Expires.Add(cutTime)); err != nil { // and it can be told
		return nil, err
	}
	c.gateway.authenticated(c)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(c.gateway.draining(), func() { end(fmt.Errorf("%w: %w", ErrUnauthenticated, ErrShutdown)) })
	defer stop()
	ctx, expire := context.WithDeadlineCause(ctx, l.Expires, errLinkExpired)
	defer expire()
	if err := show(l); err != nil {
		return nil, errors.Join(ErrClientLeft, err)
	}
	id, err := l.Wait(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	// What she may has changed, perhaps, since she was asked for.
	rev, rechecks := c.gateway.Revision(), c.gateway.rechecks.Load()
	if a, ok := rev.Authenticator.(Refresher); ok && id != nil {
		if id, err = a.Refresh(ctx, id); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
		}
	}
	if id == nil || id.Subject == "" {
		return nil, ErrUnauthenticated
	}
	c.mu.Lock()
	c.proven, c.rechecks = rev, rechecks
	c.mu.Unlock()
	return id, c.SetDeadline(time.Now().Add(or(c.gateway.HandshakeTimeout, defaultHandshakeTimeout)))
}
