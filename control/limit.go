package control

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter lets each key do something at a rate, after a burst. It has a fixed size: keys
// that fall together share a rate, so that no number of addresses fills the memory.
type limiter struct {
	every time.Duration
	burst int64
	seed  maphash.Seed
	slots [4096]atomic.Int64 // when the key has done nothing for as long as its burst takes, in nanoseconds
}

func newLimiter(every time.Duration, burst int64) *limiter {
	return &limiter{every: every, burst: burst, seed: maphash.MakeSeed()}
}

func (l *limiter) slot(key string) *atomic.Int64 {
	return &l.slots[maphash.String(l.seed, key)%uint64(len(l.slots))]
}

// wait returns how long a key has to wait; zero is not at all. It counts nothing.
func (l *limiter) wait(key string, now time.Time) time.Duration {
	ahead := l.slot(key).Load() - now.UnixNano()
	return max(0, time.Duration(ahead)-time.Duration(l.burst-1)*l.every)
}

// take counts one, unless the key has to wait.
func (l *limiter) take(key string, now time.Time) time.Duration {
	for s := l.slot(key); ; {
		if wait := l.wait(key, now); wait > 0 {
			return wait
		}
		before := s.Load()
		if s.CompareAndSwap(before, max(before, now.UnixNano())+int64(l.every)) {
			return 0
		}
	}
}

// give takes back one that was counted.
func (l *limiter) give(key string) { l.slot(key).Add(-int64(l.every)) }

// limits are those of callers from other machines.
type limits struct {
	address  *limiter // requests of an address that need no proof
	identity *limiter // requests of somebody who is known
	failed   *limiter // proofs of an address that did not convince
	password *limiter // wrong passwords of an address
	name     *limiter // wrong passwords for a name
}

func newLimits() *limits {
	return &limits{
		address:  newLimiter(100*time.Millisecond, 200),
		identity: newLimiter(50*time.Millisecond, 200),
		failed:   newLimiter(500*time.Millisecond, 100),
		password: newLimiter(5*time.Second, 10),
		name:     newLimiter(5*time.Second, 30),
	}
}

// host is what limits go by: an address without its port. Addresses of one customer's
// IPv6 network are one.
func host(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr().String()
		}
	}
	return ip.String()
}
