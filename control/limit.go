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

// rates are those of an address, and of the IPv6 network that it may be of many of.
type rates struct{ address, network *limiter }

// networkShare is how many times the rate of an address a network has.
const networkShare = 10

func newRates(every time.Duration, burst int64) *rates {
	return &rates{newLimiter(every, burst), newLimiter(every/networkShare, burst*networkShare)}
}

// take counts one of an address, as [limiter.take] does.
func (r *rates) take(remote string, now time.Time) time.Duration {
	address, network := host(remote), customer(remote)
	if d := r.network.wait(network, now); network != "" && d > 0 {
		return d
	}
	d := r.address.take(address, now)
	if d == 0 && network != "" {
		d = r.network.take(network, now)
	}
	return d
}

// limits are those of callers from other machines.
type limits struct {
	open     *rates   // requests of an address that need no proof
	failed   *rates   // proofs of an address that did not convince
	identity *limiter // requests of somebody who is known
	guesses  guesses
}

func newLimits() *limits {
	return &limits{
		open:     newRates(100*time.Millisecond, 200),
		failed:   newRates(500*time.Millisecond, 100),
		identity: newLimiter(50*time.Millisecond, 200),
		guesses:  newGuesses(),
	}
}

// host is what limits go by: an address without its port. Addresses of one IPv6 subnet are
// one.
func host(remote string) string { return prefix(remote, 64) }

// customer is the IPv6 network of many subnets that an address is of, as providers give one
// to a customer; empty for IPv4.
func customer(remote string) string {
	if at, err := netip.ParseAddrPort(remote); err != nil || at.Addr().Unmap().Is4() {
		return ""
	}
	return prefix(remote, 48)
}

func prefix(remote string, bits int) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap()
	if ip.Is6() {
		if p, err := ip.Prefix(bits); err == nil {
			return p.Addr().String()
		}
	}
	return ip.String()
}
