package control

import (
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// attended is a socket whose session somebody attends in a browser: a database that she works with, or files that she moves. Its fields
// below mu are read under it, and written by update.
type attended struct {
	*socket
	asides chan any // frames of those who must not wait
	told   sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, with every change
	session *proxy.Session
}

// attend has a socket attended, until it ends. Up to so many frames of those who must not wait are kept while the browser does not read.
func (a *attended) attend(s *socket, asides int) {
	a.socket, a.asides, a.changed = s, make(chan any, asides), make(chan struct{})
	go a.tellAsides()
}

func (a *attended) update(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.changed)
	a.changed = make(chan struct{})
}

// tell sends a frame. When it cannot, the socket ends.
func (a *attended) tell(v any) {
	if err := a.send(v); err != nil {
		a.cancel(err)
	}
}

// aside sends a frame, and does not wait for that.
func (a *attended) aside(v any) {
	select {
	case a.asides <- v:
	default:
		a.cancel(wrongFrame("the browser does not read"))
	}
}

func (a *attended) tellAsides() {
	for {
		select {
		case v := <-a.asides:
			a.tell(v)
		case <-a.ctx.Done():
			return
		}
	}
}

// over tells why the session has ended, after the frames that are told before that, and ends the socket. Only the first call does.
func (a *attended) over(err error, before ...any) {
	a.told.Do(func() {
		for _, v := range before {
			a.tell(v)
		}
		a.mu.Lock()
		reason := endReason(a.session)
		a.mu.Unlock()
		if reason == "" && err != nil {
			reason = err.Error()
		}
		a.tell(socketEnded{Type: "ended", Reason: reason})
		a.cancel(errClosed)
	})
}
