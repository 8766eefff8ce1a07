package aws

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// seen are the signatures of requests that change something: one that comes again is a replay, since clients sign every attempt
// anew. The zero value is ready.
type seen struct {
	mu       sync.Mutex
	now, old map[string]struct{}
	turned   time.Time
}

const (
	// A signature counts for Skew before and after its time.
	seenFor = 2 * sigv4.Skew
	maxSeen = 1 << 19
)

// add reports whether a signature is new. full says that no more can be remembered.
func (s *seen) add(signature string, at time.Time) (fresh, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || at.Sub(s.turned) > seenFor {
		s.old, s.now = s.now, map[string]struct{}{}
		if at.Sub(s.turned) > 2*seenFor {
			s.old = nil
		}
		s.turned = at
	}
	if _, ok := s.now[signature]; ok {
		return false, false
	}
	if _, ok := s.old[signature]; ok {
		return false, false
	}
	if len(s.now) >= maxSeen {
		return false, true
	}
	s.now[signature] = struct{}{}
	return true, false
}

// forget takes back what add has remembered: the request has not run, and its client may send it once more as it is.
func (s *seen) forget(signature string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, signature)
	delete(s.old, signature)
}
