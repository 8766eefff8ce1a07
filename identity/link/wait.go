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

// waiter is a client that waits at this gateway.
type waiter struct {
	links   *Links
	request proxy.LinkRequest
	name    string // of its document
	from    netip.Prefix
	since   time.Time
	wake    chan struct{} // the document has changed
	in      bool          // somebody has logged in
}

// counted is what is counted of clients that wait: those of an address, for a user, or both.
type counted struct {
	user string
	from netip.Prefix
}

func (w *waiter) counted() (address, user, both counted) {
	both = counted{w.request.Login.User, w.from}
	return counted{from: both.from}, counted{user: both.user}, both
}

// enter counts a client, unless too many wait.
func (l *Links) enter(w *waiter) bool {
	address, user, both := w.counted()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= MaxWaiting || l.counts[address] >= MaxPerAddress || l.counts[user] >= MaxPerUser && l.counts[both] > 0 {
		return false
	}
	if l.waiting == nil {
		l.waiting, l.counts = make(map[string]*waiter), make(map[counted]int)
	}
	l.waiting[w.name] = w
	l.total++
	for _, c := range []counted{address, user, both} {
		l.counts[c]++
	}
	return true
}

// leave ends the waiting. A client as which nobody has logged in counts for a while longer, so
// that those who come and go do not keep the store busy.
func (w *waiter) leave() {
	l := w.links
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, w.name)
	if w.in {
		w.free()
		return
	}
	time.AfterFunc(w.since.Add(leastCounted).Sub(l.now()), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		w.free()
	})
}

// free has the client count no more. The lock is held.
func (w *waiter) free() {
	l := w.links
	l.total--
	address, user, both := w.counted()
	for _, c := range []counted{address, user, both} {
		if l.counts[c]--; l.counts[c] == 0 {
			delete(l.counts, c)
		}
	}
}

// look has the client look at its document.
func (w *waiter) look() {
	select {
	case w.wake <- struct{}{}:
	default: // it looks soon
	}
}

// Why a client's waiting has ended.
var (
	errRefused   = fmt.Errorf("%w: it was refused in the browser", proxy.ErrUnauthenticated)
	errGuessed   = fmt.Errorf("%w: wrong codes were typed at the link: connect again for another one", proxy.ErrUnauthenticated)
	errOver      = fmt.Errorf("%w: the link is not there any more: connect again for another one", proxy.ErrUnauthenticated)
	errWithdrawn = fmt.Errorf("%w: login links are not offered here any more", proxy.ErrUnauthenticated)
)

// askAgain is after which time a document is read again that could not be read.
const askAgain = time.Second

// wait returns who has confirmed the link, once.
func (w *waiter) wait(ctx context.Context) (*proxy.Identity, error) {
	var again <-chan time.Time
	for {
		select {
		case <-w.wake:
		case <-again:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		again = nil
		d, k, err := w.links.get(ctx, w.name)
		switch {
		case errors.Is(err, ErrGone):
			return nil, errOver
		case err != nil:
			again = time.After(askAgain)
		case k.Refused:
			return nil, errRefused
		case k.By != nil:
			return w.confirmed(ctx, d, k)
		case !k.open():
			return nil, errGuessed
		}
	}
}

// confirmed returns who it is, unless the link was used.
func (w *waiter) confirmed(ctx context.Context, d identity.Document, k *kept) (*proxy.Identity, error) {
	d.Body = nil
	if _, err := w.links.Documents.Write(ctx, Kind, d); err != nil {
		return nil, fmt.Errorf("using a login link: %w", err)
	}
	if _, ok := w.links.Terms(w.request); !ok {
		return nil, errWithdrawn
	}
	w.in, k.By.Method = true, proxy.MethodLink
	return k.By, nil
}

// removal bounds how long the document of a link may take to be removed.
const removal = 5 * time.Second

// close has the link lead nowhere.
func (w *waiter) close() {
	w.leave()
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	for {
		d, err := w.links.Documents.Get(ctx, Kind, w.name)
		if err == nil {
			d.Body = nil
			_, err = w.links.Documents.Write(ctx, Kind, d)
		}
		switch {
		case errors.Is(err, identity.ErrConflict):
			continue // somebody has typed a code
		case err != nil && !errors.Is(err, identity.ErrNoDocument):
			w.links.log().Warn("a login link that nobody waits at could not be removed: it expires", "err", err)
		}
		return
	}
}
