package aws

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bodyIdle is how long a client may send nothing of a body that is waited for.
const bodyIdle = 30 * time.Second

var errSlow = errors.New("nothing of the body came for too long")

// awaited is a client's body that is given up when nothing of it comes for a time. Time in which nobody reads it, since the account is slow, does not count.
type awaited struct {
	io.ReadCloser
	from  *http.ResponseController
	wait  time.Duration
	timer *time.Timer
	late  atomic.Bool
}

func (a *awaited) Read(p []byte) (int, error) {
	if a.late.Load() {
		return 0, errSlow
	}
	if a.timer == nil {
		a.timer = time.AfterFunc(a.wait, a.wake)
	} else {
		a.timer.Reset(a.wait)
	}
	n, err := a.ReadCloser.Read(p)
	if !a.timer.Stop() { // the connection is not used again, whatever has come
		return 0, errSlow
	}
	return n, err
}

// wake ends the read that waits. The deadline stays in the past, so that the server closes the connection. It ends the request too, so that others
// than who reads may learn of it first: late says why.
func (a *awaited) wake() {
	a.late.Store(true)
	_ = a.from.SetReadDeadline(time.Now()) // what has ended already has none
}
