package mysql

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
)

// presence notices that the client has left while nobody reads what it sends: its
// operation is held, or the server is slow to answer. What such a client asked for would
// otherwise run for nobody. Clients wait for their answers with the connection open, so one
// that sends no more has left.
type presence struct {
	conn net.Conn
	gone func() // is called when the client has left

	turn  atomic.Uint64 // odd while nobody reads
	armed atomic.Bool   // the timer is set, or its function runs
	over  atomic.Bool
	timer *time.Timer
	seen  uint64 // the turn that its function saw last
}

const (
	lookEvery = 200 * time.Millisecond
	forever   = 1 << 62
)

func (p *presence) start(c net.Conn, gone func()) {
	p.conn, p.gone = transport(c), gone
	p.timer = time.AfterFunc(forever, p.tick)
}

// stop ends the looking for good.
func (p *presence) stop() {
	p.over.Store(true)
	p.timer.Stop()
}

// begin notes that nobody reads the client from now on. It costs little unless
// that lasts.
func (p *presence) begin() {
	p.turn.Add(1)
	if !p.armed.Load() && p.armed.CompareAndSwap(false, true) {
		p.timer.Reset(lookEvery)
	}
}

// end notes that the client is read again.
func (p *presence) end() { p.turn.Add(1) }

func (p *presence) tick() {
	turn := p.turn.Load()
	switch {
	case p.over.Load():
	case turn%2 == 0:
		p.armed.Store(false)
		// One that began meanwhile may have found the timer armed.
		if p.turn.Load()%2 == 1 && p.armed.CompareAndSwap(false, true) {
			p.timer.Reset(lookEvery)
		}
	case turn != p.seen: // it has begun since, and may end at once
		p.seen = turn
		p.timer.Reset(lookEvery)
	default:
		if peer, err := evloop.Look(p.conn); err == nil && peer != evloop.Present {
			p.gone()
			return
		}
		p.timer.Reset(lookEvery)
	}
}
