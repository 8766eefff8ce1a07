package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// Waiting is a client that waits at a link, as its page shows it.
type Waiting struct {
	Login    proxy.Login // as it claims
	Resource string
	Protocol string
	Address  netip.Addr // it is at; not valid where it has no IP address
	Expires  time.Time
	Left     int // codes that may still be typed

	anyAddress bool
}

// Find returns the client that waits at a link, by its identifier. The error wraps ErrGone
// when none does.
func (l *Links) Find(ctx context.Context, id string) (*Waiting, error) {
	_, k, err := l.get(ctx, nameOf(id))
	if err != nil {
		return nil, err
	}
	if !k.open() {
		return nil, ErrGone
	}
	return k.waiting(), nil
}

func (k *kept) waiting() *Waiting {
	return &Waiting{
		Login: k.Login, Resource: k.Resource, Protocol: k.Protocol, Address: k.Address, Expires: k.Expires, Left: Tries - k.Wrong, anyAddress: k.AnyAddress,
	}
}

// Near reports whether a browser's address is the client's.
func (w *Waiting) Near(browser netip.Addr) bool {
	return browser.IsValid() && w.Address.IsValid() && networkOf(browser) == networkOf(w.Address)
}

// Person is who answers at a link's page.
type Person struct {
	Identity *proxy.Identity
	Name     string     // that she logs in with at listeners
	Browser  netip.Addr // its address
}

// Errors of answers. All wrap proxy.ErrUnauthenticated.
var (
	ErrElsewhere = fmt.Errorf("%w: the client that waits is at another address than the browser", proxy.ErrUnauthenticated)
	ErrOther     = fmt.Errorf("%w: the client that waits names another user", proxy.ErrUnauthenticated)
	ErrNoPerson  = fmt.Errorf("%w: a login link is confirmed by a person, and not by a program", proxy.ErrUnauthenticated)
	ErrCode      = fmt.Errorf("%w: this is not the code that the client shows", proxy.ErrUnauthenticated)
)

// May returns why a person may not answer for the client.
func (w *Waiting) May(p Person) error {
	id := p.Identity
	switch {
	case !w.anyAddress && !w.Near(p.Browser):
		return ErrElsewhere
	case id == nil || id.Subject == "" || id.Kind != proxy.Human || id.Claims[identity.ClaimToken] != "" || id.Claims[identity.ClaimCertificate] != "":
		return ErrNoPerson
	case p.Name != w.Login.User:
		return ErrOther
	}
	return nil
}

// Confirm logs the client in as a person who has typed its code, once record, which may be
// nil, returns nil. A wrong code is ErrCode, and counts: after Tries of them the link is dead.
func (l *Links) Confirm(ctx context.Context, id, code string, p Person, record func() error) error {
	return l.answer(ctx, id, p, func(k *kept) (answer, err error) {
		if !matches(code, k.Code) {
			k.Wrong++
			return ErrCode, nil
		}
		if record != nil {
			if err := record(); err != nil {
				return nil, err
			}
		}
		by := *p.Identity
		k.By = &by
		return nil, nil
	})
}

// Refuse ends the client's waiting.
func (l *Links) Refuse(ctx context.Context, id string, p Person) error {
	return l.answer(ctx, id, p, func(k *kept) (answer, err error) {
		k.Refused = true
		return nil, nil
	})
}

// answer changes a link as a person says who may, and has the client see it. On an error of
// change the link stays as it is.
func (l *Links) answer(ctx context.Context, id string, p Person, change func(*kept) (answer, err error)) error {
	name := nameOf(id)
	for {
		d, k, err := l.get(ctx, name)
		if err != nil {
			return err
		}
		if !k.open() {
			return ErrGone
		}
		if err := k.waiting().May(p); err != nil {
			return err
		}
		answer, err := change(k)
		if err != nil {
			return err
		}
		if err := l.write(ctx, d, k); errors.Is(err, identity.ErrConflict) {
			continue // another answer came first
		} else if err != nil {
			return fmt.Errorf("answering for a client that waits at a login link: %w", err)
		}
		l.Follow(name)
		return answer
	}
}
