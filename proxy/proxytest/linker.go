package proxytest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// What clients are shown by a Linker.
const (
	LinkURL  = "https://gw.example.com/link/XYZ"
	LinkCode = "BCDFG-HJKLM"
)

// Linker is a [proxy.Linker] at whose links a test says who has logged in. [NewLinker] makes one.
type Linker struct {
	// Who is sent to one client that waits; nil says that the login was refused.
	Who chan *proxy.Identity
	// Offered and Closed count links.
	Offered, Closed atomic.Int32

	resource, busy string
}

// NewLinker returns a Linker of links for a resource. The login of the user busy finds that too many clients wait already; it may be
// empty.
func NewLinker(resource, busy string) *Linker {
	return &Linker{Who: make(chan *proxy.Identity, 1), resource: resource, busy: busy}
}

// Offer implements [proxy.Linker].
func (l *Linker) Offer(_ context.Context, q proxy.LinkRequest) (proxy.Link, error) {
	switch {
	case l.busy != "" && q.Login.User == l.busy:
		return proxy.Link{}, proxy.ErrTooManyLinks
	case q.Resource != l.resource:
		return proxy.Link{}, proxy.ErrNoLink
	}
	l.Offered.Add(1)
	return proxy.Link{
		URL: LinkURL, Code: LinkCode, Expires: time.Now().Add(time.Minute), Close: func() { l.Closed.Add(1) }, Wait: l.wait,
	}, nil
}

func (l *Linker) wait(ctx context.Context) (*proxy.Identity, error) {
	select {
	case id := <-l.Who:
		if id == nil {
			return nil, fmt.Errorf("%w: it was refused in the browser", proxy.ErrUnauthenticated)
		}
		return id, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
