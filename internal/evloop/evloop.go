// Package evloop waits for many connections in one goroutine.
//
// Go's own network poller wakes a goroutine for each connection that became
// readable, and with it often a thread; a relay that has a connection on either
// side pays for that twice a round trip. Here one goroutine blocks in the
// system's poller and calls what is to be done itself, one pair of connections
// after the other. A call that takes its time does not keep the others waiting:
// another goroutine takes over.
//
// It exists on Linux. Elsewhere Watch fails with errors.ErrUnsupported.
package evloop

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Side is one of the two descriptors of a Pair.
type Side uint8

// Sides. The zero value is not one of them.
const (
	None Side = iota
	First
	Second
)

// Set is a set of loops: as many as there is use for, started with the first
// pair and ended with the last. The zero value is ready for use. It is safe for
// concurrent use and must not be copied.
type Set struct {
	mu    sync.Mutex
	loops []*loop
}

// perProcessors is how many processors share a loop: a relay leaves the others
// to those on its two sides.
const perProcessors = 2

// Watch has ready called whenever one of the descriptors can be read without
// blocking, or has failed, until the pair leaves. Calls for one pair never
// overlap. ready must not panic. The descriptors stay the caller's, who closes
// them after Leave, when Idle is closed.
func (s *Set) Watch(first, second int, ready func(Side)) (*Pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.choose()
	if err != nil {
		return nil, err
	}
	p := &Pair{
		loop: l, fds: [2]int{first, second}, ready: ready,
		left: make(chan struct{}), idle: make(chan struct{}),
	}
	if err := l.add(p); err != nil {
		s.endIfEmpty(l)
		return nil, err
	}
	return p, nil
}

// choose returns the loop that has the fewest pairs.
func (s *Set) choose() (*loop, error) {
	if len(s.loops) < max(1, runtime.GOMAXPROCS(0)/perProcessors) {
		l, err := newLoop(s)
		if err != nil {
			return nil, err
		}
		s.loops = append(s.loops, l)
		return l, nil
	}
	return slices.MinFunc(s.loops, func(a, b *loop) int { return a.len() - b.len() }), nil
}

// endIfEmpty ends l if nothing is left in it. The set is locked.
func (s *Set) endIfEmpty(l *loop) {
	if l.len() > 0 {
		return
	}
	s.loops = slices.DeleteFunc(s.loops, func(have *loop) bool { return have == l })
	l.end()
}

// Pair is two descriptors that are served together.
type Pair struct {
	loop  *loop
	fds   [2]int
	ready func(Side)
	token uint64

	// Of the loop's lock.
	running     Side
	interrupted Side
	slow        bool
	gone        bool

	left, idle chan struct{}
}

// Leave takes the pair out: no call of ready begins any more. One that is under
// way goes on, and the loop goes on without it. Leave may be called from ready,
// by several goroutines and more than once; it does not wait.
func (p *Pair) Leave() { p.leave(false) }

func (p *Pair) leave(slow bool) {
	s := p.loop.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.loop.remove(p, slow) {
		s.endIfEmpty(p.loop)
	}
}

// Left is closed when the pair has left.
func (p *Pair) Left() <-chan struct{} { return p.left }

// Idle is closed when the pair has left and no call of ready is under way.
func (p *Pair) Idle() <-chan struct{} { return p.idle }

// Interrupted is the side for which ready was under way when the pair left. It
// is to be asked after that.
func (p *Pair) Interrupted() Side { return p.interrupted }

// Slow reports whether the pair was taken out because a call of ready took too
// long. It is to be asked after Left is closed.
func (p *Pair) Slow() bool { return p.slow }

// ErrNothing says that a descriptor had nothing to read.
var ErrNothing = errors.New("nothing to read")

const (
	watchEvery = 20 * time.Millisecond // a call that outlasts two of these is slow
	watchCalm  = 50                    // so many times nothing happened: the watch sleeps
)
