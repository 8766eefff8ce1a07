package postgres

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
	"github.com/sallyport/sallyport/proxy"
)

// presence notices that the client has left while nobody reads what it sends: its
// operation is held, or the server is slow to answer or to take what it is sent.
// What such a client asked for would otherwise run for nobody, and its connection
// to the server would stay.
//
// A client that has closed its connection looks like one that only sends no more
// and waits for its answers, or, when what it has sent was not read, like one that
// is there, until something is written to it: its system answers with a reset.
// So such clients are asked, by a message that changes nothing.
type presence struct {
	look func() (evloop.Peer, error) // what has become of the client's connection
	ask  func()                      // writes something to the client, soon
	gone func()                      // is called when the client has left

	turn  atomic.Uint64 // odd while nobody reads
	armed atomic.Bool   // the timer is set, or its function runs
	over  atomic.Bool
	timer *time.Timer
	seen  uint64 // the turn that its function saw last
	asked bool   // since it looked last
}

const (
	lookEvery  = 200 * time.Millisecond
	lookAnswer = 20 * time.Millisecond // after asking
	askBlindly = time.Second           // where nothing can be seen but that writing fails
)

const forever = 1 << 62

func (p *presence) start(look func() (evloop.Peer, error), ask, gone func()) {
	p.look, p.ask, p.gone = look, ask, gone
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

// goOn notes that what was begun gets ahead.
func (p *presence) goOn() { p.turn.Add(2) }

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
		p.seen, p.asked = turn, false
		p.timer.Reset(lookEvery)
	default:
		p.watch()
	}
}

func (p *presence) watch() {
	peer, err := p.look()
	switch {
	case err != nil:
		p.ask()
		p.timer.Reset(askBlindly)
	case peer == evloop.Gone:
		p.gone()
	case peer != evloop.Present && !p.asked:
		p.ask()
		p.asked = true
		p.timer.Reset(lookAnswer)
	default:
		p.asked = false
		p.timer.Reset(lookEvery)
	}
}

// look tells what has become of the other side of l. While l is polled, it is
// read.
func (l *line) look() (evloop.Peer, error) {
	c := l.conn.Load()
	if c == nil {
		return evloop.Present, nil
	}
	return evloop.Look(transport(*c))
}

// lookEarly is look for a client that waits for its session. It has asked for
// nothing whose answer could be owed, so one that sends no more has left.
func (l *line) lookEarly() (evloop.Peer, error) {
	peer, err := l.look()
	if peer == evloop.Ended {
		peer = evloop.Gone
	}
	return peer, err
}

// parkedConnect tells the client that its session waits for an approval, and
// calls left when it cannot be told. The handshake's deadline is the hold's from
// here on.
func (s *session) parkedConnect(c *proxy.Conn, h *proxy.Pending, left func()) {
	err := c.SetDeadline(h.Deadline)
	if err == nil {
		_, err = s.client.Write(holdNotice(h))
	}
	if err != nil {
		left()
	}
}

// transport is the connection under TLS and all else that wraps it.
func transport(c net.Conn) net.Conn {
	for {
		switch w := c.(type) {
		case *proxy.Conn:
			c = w.Conn
		case *prefixed:
			c = w.Conn
		case *tls.Conn:
			c = w.NetConn()
		default:
			return c
		}
	}
}
