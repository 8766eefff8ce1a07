package evloop

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// loop is one poller of the system's and the goroutine that waits in it.
type loop struct {
	set    *Set
	poller int
	waker  int // an eventfd, by which the goroutine is told to end

	mu      sync.Mutex
	pairs   map[uint64]*Pair
	last    uint64 // token
	runner  int    // which goroutine waits; an earlier one only finishes its call
	current *Pair  // whose call is under way in that goroutine
	calls   uint64
	ended   bool
	asleep  bool // the watch waits for a call

	awake chan struct{}
	done  chan struct{}
}

func newLoop(s *Set) (*loop, error) {
	poller, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	waker, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		syscall.Close(poller)
		return nil, errno
	}
	l := &loop{
		set: s, poller: poller, waker: int(waker), pairs: make(map[uint64]*Pair),
		awake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := l.control(syscall.EPOLL_CTL_ADD, l.waker, 0); err != nil {
		l.close()
		return nil, err
	}
	go l.run(0)
	go l.watch()
	return l, nil
}

func (l *loop) close() {
	syscall.Close(l.poller)
	syscall.Close(l.waker)
}

// control registers fd so that its events carry token, or takes it out.
func (l *loop) control(op, fd int, token uint64) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(token), Pad: int32(token >> 32)}
	return syscall.EpollCtl(l.poller, op, fd, &e)
}

func (l *loop) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pairs)
}

func (l *loop) add(p *Pair) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last += 2
	p.token = l.last
	for i, fd := range p.fds {
		if err := l.control(syscall.EPOLL_CTL_ADD, fd, p.token|uint64(i)); err != nil {
			for _, added := range p.fds[:i] {
				l.control(syscall.EPOLL_CTL_DEL, added, 0)
			}
			return err
		}
	}
	l.pairs[p.token] = p
	return nil
}

// remove takes p out, and reports whether it was in; its call, if one is under
// way, no longer holds the loop.
func (l *loop) remove(p *Pair, slow bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.gone {
		return false
	}
	p.gone, p.slow, p.interrupted = true, slow, p.running
	delete(l.pairs, p.token)
	for _, fd := range p.fds {
		l.control(syscall.EPOLL_CTL_DEL, fd, 0)
	}
	close(p.left)
	if p.running == None {
		close(p.idle)
	}
	if l.current == p {
		l.current = nil
		l.runner++
		go l.run(l.runner)
	}
	return true
}

// end has the loop's goroutines end. No pair is left in it.
func (l *loop) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	close(l.done)
	one := [8]byte{1, 1} // not zero, in either order of bytes
	syscall.Write(l.waker, one[:])
}

// yieldEvery is how often the goroutine yields. One that never does is taken for
// a hog after 10 ms: the runtime's monitor then takes its processor away in the
// middle of system calls, many times a millisecond, and does not sleep itself.
const yieldEvery = 32

// run waits for events and serves them, until the loop ends or another
// goroutine has taken over.
func (l *loop) run(me int) {
	var events [128]syscall.EpollEvent
	for waits := 1; ; waits++ {
		if waits%yieldEvery == 0 {
			runtime.Gosched()
		}
		n, err := syscall.EpollWait(l.poller, events[:], -1)
		if err != nil && err != syscall.EINTR {
			// Only a mistake of this package's can be the cause.
			panic("evloop: waiting: " + err.Error())
		}
		for i := range max(n, 0) {
			token := uint64(uint32(events[i].Fd)) | uint64(uint32(events[i].Pad))<<32
			if token == 0 {
				if l.over(me) {
					return
				}
				continue
			}
			side := First + Side(token&1)
			p := l.begin(token&^1, side)
			if p == nil {
				continue // it left after the event
			}
			p.ready(side)
			if !l.finish(me, p) {
				return // what else had happened is told to the goroutine that took over
			}
		}
	}
}

// over reports whether the loop has ended, and closes its descriptors then.
func (l *loop) over(me int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended || l.runner != me {
		return false
	}
	l.close()
	return true
}

func (l *loop) begin(token uint64, side Side) *Pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pairs[token]
	if p == nil {
		return nil
	}
	p.running, l.current = side, p
	l.calls++
	if l.asleep {
		l.asleep = false
		l.awake <- struct{}{}
	}
	return p
}

// finish notes the end of p's call and reports whether me is still the goroutine
// that waits.
func (l *loop) finish(me int, p *Pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.running = None
	if p.gone {
		close(p.idle)
	}
	if l.runner != me {
		return false
	}
	l.current = nil
	return true
}

// watch takes out pairs whose calls take too long. While nothing happens it
// sleeps.
func (l *loop) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	var seen uint64
	for calm := 0; ; {
		select {
		case <-t.C:
		case <-l.done:
			return
		}
		l.mu.Lock()
		stuck := l.current
		if l.calls != seen {
			stuck, seen, calm = nil, l.calls, 0
		} else if stuck == nil {
			calm++
		}
		sleep := calm >= watchCalm
		l.asleep = sleep
		l.mu.Unlock()
		if stuck != nil {
			stuck.leave(true)
		}
		if !sleep {
			continue
		}
		calm = 0
		t.Stop()
		select {
		case <-l.awake:
		case <-l.done:
			return
		}
		t.Reset(watchEvery)
	}
}
