package aws

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// seen are the signatures of requests that change something: one that comes again is a replay, since clients sign every attempt
// anew. The zero value is ready.
type seen struct {
	mu       sync.Mutex
	now, old generation
	turned   time.Time
}

// generation are those of one span of time, and how many of them each person has sent.
type generation struct {
	of   map[mark]struct{}
	sent map[string]int
}

// mark is the beginning of a signature's digest.
type mark [16]byte

const (
	// A signature counts for Skew before and after its time.
	seenFor = 2 * sigv4.Skew
	// maxSeen bounds how many are remembered, and maxSeenOwn how many of one person.
	maxSeen    = 1 << 20
	maxSeenOwn = maxSeen / 4
)

func markOf(signature string) mark {
	sum := sha256.Sum256([]byte(signature))
	return mark(sum[:len(mark{})])
}

// add reports whether a signature is new. full says that no more can be remembered of the person who has sent it.
func (s *seen) add(who, signature string, at time.Time) (fresh, full bool) {
	p := markOf(signature)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.of == nil || at.Sub(s.turned) > seenFor {
		s.old = s.now
		s.now = generation{map[mark]struct{}{}, map[string]int{}}
		if at.Sub(s.turned) > 2*seenFor {
			s.old = generation{}
		}
		s.turned = at
	}
	if _, ok := s.now.of[p]; ok {
		return false, false
	}
	if _, ok := s.old.of[p]; ok {
		return false, false
	}
	if len(s.now.of) >= maxSeen || s.now.sent[who] >= maxSeenOwn {
		return false, true
	}
	s.now.of[p] = struct{}{}
	s.now.sent[who]++
	return true, false
}

// forget takes back what add has remembered: the request has not run, and its client may send it once more as it is.
func (s *seen) forget(who, signature string) {
	p := markOf(signature)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.old.of, p)
	if _, ok := s.now.of[p]; !ok {
		return
	}
	delete(s.now.of, p)
	if s.now.sent[who]--; s.now.sent[who] == 0 {
		delete(s.now.sent, who)
	}
}
