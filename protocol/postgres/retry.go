package postgres

import (
	"net"
	"sync"
	"time"
)

// retries remembers logins over TLS that have just failed. Clients that only prefer
// TLS, as libpq does by itself, then try again without it, and show the answer to
// that last: it is why the first attempt has failed, and only then that TLS is
// required.
type retries struct {
	mu     sync.Mutex
	failed map[retry]time.Time
}

type retry struct{ address, user string }

const (
	retryWithin = 2 * time.Second
	maxRetries  = 1024
)

func retryOf(from net.Addr, user string) retry {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String() // it has no port
	}
	return retry{host, user}
}

// note notes that a login over TLS has failed.
func (r *retries) note(from net.Addr, user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = make(map[retry]time.Time)
	}
	if len(r.failed) >= maxRetries {
		clear(r.failed)
	}
	r.failed[retryOf(from, user)] = time.Now()
}

// take reports whether one without TLS is the second attempt after such a failure,
// once.
func (r *retries) take(from net.Addr, user string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := retryOf(from, user)
	at, ok := r.failed[k]
	delete(r.failed, k)
	return ok && time.Since(at) < retryWithin
}
