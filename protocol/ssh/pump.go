package ssh

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// pump moves one stream of bytes, through the filters of its operation when
// there are any. It reads only when what it read before was taken, so a slow
// reader slows the sender, and it holds no more than one buffer.
type pump struct {
	src  io.Reader
	dst  io.Writer
	flow *proxy.Flow // nil: nobody is interested
	// watch is given the bytes and passes on what is to be passed on, in as many
	// pieces as it likes; nil for most streams.
	watch func(b []byte, pass func([]byte) error) error
	// last passes on what watch has kept, when the source has ended; nil for most
	// streams.
	last func(pass func([]byte) error) error
	// before is called when bytes have arrived, and they are passed on when it
	// returns; nil for most streams.
	before func()
	// held waits while the session is frozen.
	held func()
	// protect runs the filters' timed release; see proxy.Session.Protect.
	protect func(name string, f func() error) error

	count atomic.Uint64 // bytes read
	turn  atomic.Uint64 // odd while a read is waiting
	done  chan struct{} // closed when run has returned

	// With filters that release what they held after a time of silence:
	mu    sync.Mutex // held while bytes pass the filters
	timer *time.Timer
	again bool // the timed release is to come once more
	out   []byte
	ended bool
	late  error // what the timed release failed with

	window atomic.Pointer[windowChange] // a new size that filters are not told of yet
}

// filterError says that a filter would not let data pass. Nothing of it went
// on.
type filterError struct{ err error }

func (e *filterError) Error() string { return "the data was withheld: " + e.err.Error() }

func (e *filterError) Unwrap() error { return e.err }

const (
	restingBuffer = 1 << 10  // while little moves: most sessions sit at a prompt
	movingBuffer  = 32 << 10 // the largest packet of a channel
)

var movingBuffers = sync.Pool{New: func() any { return new([movingBuffer]byte) }}

// run moves bytes until the source ends. It returns nil at its end, a
// *filterError, or the error of either side.
func (p *pump) run() error {
	defer close(p.done)
	defer p.stop()
	resting := make([]byte, restingBuffer)
	buf := resting
	var moving *[movingBuffer]byte
	defer func() {
		if moving != nil {
			movingBuffers.Put(moving)
		}
	}()
	for {
		p.turn.Add(1)
		n, err := p.src.Read(buf)
		p.turn.Add(1)
		if n > 0 {
			p.count.Add(uint64(n))
			p.held()
			if p.before != nil {
				p.before()
			}
			if err := p.pass(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if p.last != nil {
				if err := p.last(p.filter); err != nil {
					return err
				}
			}
			return p.end()
		case err != nil:
			return err
		}
		if n == len(buf) && moving == nil {
			moving = movingBuffers.Get().(*[movingBuffer]byte)
			buf = moving[:]
		} else if n <= restingBuffer/2 && moving != nil {
			movingBuffers.Put(moving)
			moving, buf = nil, resting
		}
	}
}

// pass moves b on.
func (p *pump) pass(b []byte) error {
	if p.watch != nil {
		return p.watch(b, p.filter)
	}
	return p.filter(b)
}

// filter moves b through the filters.
func (p *pump) filter(b []byte) error {
	if !p.flow.HasBytes() {
		_, err := p.dst.Write(b)
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellSize()
	if p.late != nil {
		return p.late
	}
	out, err := p.flow.Bytes(p.out[:0], b)
	if err != nil {
		return &filterError{err}
	}
	err = p.write(out)
	if after := p.flow.IdleAfter(); after > 0 {
		p.again = true
		if p.timer == nil {
			p.timer = time.AfterFunc(after, p.idle)
		} else {
			p.timer.Reset(after)
		}
	}
	return err
}

func (p *pump) write(out []byte) error {
	if cap(out) <= 2*movingBuffer {
		p.out = out[:0]
	} else {
		p.out = nil
	}
	if len(out) == 0 {
		return nil
	}
	_, err := p.dst.Write(out)
	return err
}

// resize tells the filters of a terminal's new size: now, or before the next
// bytes when some are being passed on, which may wait for the client.
func (p *pump) resize(w windowChange) {
	if !p.flow.HasBytes() {
		return
	}
	p.window.Store(&w)
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		p.tellSize()
	}
}

// tellSize tells the filters of a size that waits.
func (p *pump) tellSize() {
	w := p.window.Swap(nil)
	if w == nil || p.ended || p.late != nil {
		return
	}
	p.late = p.protect("ssh filter", func() error {
		if err := p.flow.Resize(size(w.Columns), size(w.Rows)); err != nil {
			return &filterError{err}
		}
		return nil
	})
}

// idle releases what filters held back for bytes that did not come.
func (p *pump) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.late != nil {
		return
	}
	err := p.protect("ssh filter", func() error {
		out, err := p.flow.Idle(p.out[:0])
		if err != nil {
			return &filterError{err}
		}
		return p.write(out)
	})
	p.late = err
	if p.again && err == nil {
		p.again = false
		p.timer.Reset(p.flow.IdleAfter())
	}
}

func (p *pump) end() error {
	if !p.flow.HasBytes() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.late != nil {
		return p.late
	}
	p.ended = true
	out, err := p.flow.End(p.out[:0])
	if err != nil {
		return &filterError{err}
	}
	return p.write(out)
}

func (p *pump) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// settled waits until everything that had arrived when it was called has been
// passed on: the pump has ended, or waits for more. The library keeps data and
// requests apart, so this is how "the data, then the exit status" stays in that
// order. stop ends the wait.
func (p *pump) settled(stop <-chan struct{}) {
	const first, last = 200 * time.Microsecond, 5 * time.Millisecond
	// No more than a window's worth can have been waiting.
	enough := p.count.Load() + window
	seen := p.turn.Load()
	for look := first; ; look = min(2*look, last) {
		select {
		case <-p.done:
			return
		case <-stop:
			return
		case <-time.After(look):
		}
		turn := p.turn.Load()
		if look > first && turn%2 == 1 && turn == seen || p.count.Load() > enough {
			return
		}
		seen = turn
	}
}

// window is the library's window for a channel.
const window = 2 << 20
