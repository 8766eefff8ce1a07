package mysql

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// down carries what the server sends to the client, and knows what it belongs to. It is
// used by one goroutine, except where noted.
type down struct {
	*session
	reader *wire.Reader // reads the server

	pos   int    // in reader.Buffered: what was walked
	start int    // in reader.Buffered: what was passed on
	need  int    // bytes that the next packet takes
	rest  int    // bytes of the current packet that are still to come
	mode  mode   // what is done with them
	going bool   // the current payload goes on in the next packet
	long  []byte // of a row of several packets, as far as it has come
	out   []byte // to be sent before the run from start

	cur    *answer // whose packets are numbered
	seq    byte    // of the server's next packet
	outSeq byte    // of the client's
	muted  bool    // the client was told an error in the place of data: nothing more of this answer

	codes map[uint16]string

	status atomic.Uint32 // the server's, as reported last
	fatal  bool          // the server has said why it leaves
	ended  atomic.Bool   // the server has left, or broke the protocol
	over   atomic.Bool   // the client is gone
}

// mode is what is done with a packet's bytes.
type mode uint8

const (
	modePass mode = iota
	modeDrop
	modeGather
)

const (
	maxControl = 1 << 20  // packets other than rows
	maxOut     = 64 << 10 // collected before it is written
	maxColumns = 1 << 16
)

var past = time.Unix(1, 0)

// run reads until the server leaves or the session ends.
func (d *down) run() error {
	for {
		if err := d.reader.Fill(d.need); err != nil {
			if err = d.woken(err); err != nil {
				return err
			}
			continue
		}
		if err := d.walk(); err != nil {
			d.ended.Store(!errors.Is(err, proxy.ErrClientLeft) && !errors.Is(err, proxy.ErrShutdown) && d.session.session.Err() == nil)
			return err
		}
	}
}

// finish has run return: the client is gone.
func (d *down) finish() {
	d.over.Store(true)
	d.upstream.conn.SetReadDeadline(past)
}

// stir has run look whether it is to go on.
func (d *down) stir() { d.upstream.conn.SetReadDeadline(past) }

// woken tells apart why reading stopped: the end of the session, the gateway draining, or
// the server's end.
func (d *down) woken(err error) error {
	switch {
	case d.session.session.Err() != nil:
		return d.session.session.Err()
	case d.over.Load():
		return proxy.ErrClientLeft
	case !timedOut(err):
		d.ended.Store(true)
		if ended(err) || left(err) {
			return errServerLeft
		}
		return fmt.Errorf("%w: %w", errServerLeft, err)
	}
	if err := d.upstream.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if d.session.session.Err() != nil { // interrupt came before that
		return d.session.session.Err()
	}
	return d.drained()
}

// drained returns ErrShutdown when the gateway drains and the session is at rest.
func (d *down) drained() error {
	if d.session.session.Draining().Err() != nil && !d.up.guarding.Load() && d.turn.owed.Load() == nil && d.atBoundary() && uint16(d.status.Load())&wire.StatusInTransaction == 0 {
		return proxy.ErrShutdown
	}
	return nil
}

// atBoundary reports whether the client has whole packets only.
func (d *down) atBoundary() bool { return d.rest == 0 && !d.going }

// nextSeq is the number of a packet that would be sent now.
func (d *down) nextSeq() byte {
	switch a := d.turn.owed.Load(); {
	case a == nil || a.complete():
		return 1
	case a == d.cur:
		return d.outSeq
	default:
		return a.outSeq
	}
}

// write writes to the client, whose connection fails when it has left. While the session is frozen it waits.
func (d *down) write(b []byte) error {
	d.session.session.Await(d.session.session.Context())
	if _, err := d.client.Write(b); err != nil && d.session.session.Err() == nil {
		return proxy.ErrClientLeft
	}
	return d.session.session.Err()
}

// walk passes on every packet that is buffered.
func (d *down) walk() error {
	d.pos, d.start, d.need = 0, 0, 0
	err := d.packets()
	if err2 := d.flush(); err == nil {
		err = err2
	}
	d.reader.Discard(d.pos)
	if err == nil {
		err = d.settle()
	}
	return err
}

// settle lets the client have its turn, once it has its whole answer.
func (d *down) settle() error {
	if a := d.cur; a != nil && a == d.turn.owed.Load() && a.complete() {
		d.cur, d.muted = nil, false
		d.turn.settle()
	}
	return d.drained()
}

// phaseDone is the phase of an answer that is complete.
const phaseDone phase = 255

func (a *answer) complete() bool { return a.phase == phaseDone }

func (d *down) packets() error {
	b := d.reader.Buffered()
	for {
		left := len(b) - d.pos
		if d.rest > 0 {
			n := min(d.rest, left)
			if n == 0 {
				return nil
			}
			d.take(n)
			if d.rest -= n; d.rest == 0 && !d.going && d.mode == modeGather {
				if err := d.gathered(); err != nil {
					return err
				}
			}
			continue
		}
		if left < wire.HeaderLen {
			d.need = wire.HeaderLen
			return nil
		}
		n, seq := wire.Header(b[d.pos:])
		a := d.turn.owed.Load()
		if a != nil && a.complete() {
			a = nil // what comes after it belongs to nothing
		}
		if a != d.cur && a != nil {
			d.cur, d.seq, d.outSeq, d.muted = a, a.seq, a.outSeq, false
		}
		if a != nil && a.infile != nil && a.infile.over.Load() {
			d.seq, d.outSeq, a.refused = a.infile.to, a.infile.seq, a.infile.refuse
			a.infile = nil
		}
		if a == nil { // such as that the server leaves
			if left < wire.HeaderLen+n && n <= maxControl {
				d.need = wire.HeaderLen + n
				return nil
			}
			return d.unasked(b[d.pos:], n)
		}
		if seq != d.seq {
			return fmt.Errorf("%w: the server sent %d, want %d", wire.ErrSequence, seq, d.seq)
		}
		if d.going {
			d.begin(n, d.mode)
			if d.mode == modeGather && len(d.long)+n > d.settings.maxData() {
				return fmt.Errorf("%w: a row of more than %d bytes", wire.ErrTooLarge, d.settings.maxData())
			}
			if n == 0 && !d.going && d.mode == modeGather {
				if err := d.gathered(); err != nil {
					return err
				}
			}
			continue
		}
		if n == 0 {
			if a.phase != phaseText {
				return fmt.Errorf("%w: the server sent an empty packet", wire.ErrProtocol)
			}
		} else if left == wire.HeaderLen {
			d.need = wire.HeaderLen + 1
			return nil
		}
		first := byte(0)
		if n > 0 {
			first = b[d.pos+wire.HeaderLen]
		}
		row := a.phase == phaseRows && first != wire.ErrHeader && !wire.IsEnd(first, n, d.agreed)
		switch {
		case row && (!a.row.active || d.muted) && a.look == nil || a.phase == phaseStream && first != wire.ErrHeader:
			// The common case: a further row that nobody wants to see.
			a.done.Rows++
			a.done.BytesOut += uint64(n)
			d.begin(n, d.unseen(modePass))
			continue
		case row && n == wire.MaxPacket:
			d.long = d.long[:0]
			d.begin(n, modeGather)
			continue
		case n > maxControl && (!row || n > d.settings.maxData()):
			return fmt.Errorf("%w: the server sent one of %d bytes", wire.ErrTooLarge, n)
		case left < wire.HeaderLen+n:
			d.need = wire.HeaderLen + n
			return nil
		}
		d.seq++
		end := d.pos + wire.HeaderLen + n
		if err := d.packet(a, first, b[d.pos+wire.HeaderLen:end:end], wire.HeaderLen+n); err != nil {
			return err
		}
	}
}

// unseen is how bytes are passed on, unless the client is not to see them.
func (d *down) unseen(m mode) mode {
	if d.muted || d.cur.look != nil {
		return modeDrop
	}
	return m
}

// begin takes the header at pos, of a packet whose n bytes are treated by m as they come.
func (d *down) begin(n int, m mode) {
	d.mode, d.rest, d.going = m, n, n == wire.MaxPacket
	d.seq++
	if m == modePass {
		d.reader.Buffered()[d.pos+3] = d.outSeq
		d.outSeq++
		d.pos += wire.HeaderLen
		return
	}
	d.drop(wire.HeaderLen)
}

// take takes n bytes of the current packet.
func (d *down) take(n int) {
	switch d.mode {
	case modePass:
		d.pos += n
	case modeGather:
		d.long = append(d.long, d.reader.Buffered()[d.pos:d.pos+n]...)
		d.drop(n)
	default:
		d.drop(n)
	}
}

// gathered takes a row of several packets that has come to its end.
func (d *down) gathered() error {
	d.mode = modePass
	err := d.dataRow(d.cur, d.long, 0)
	if cap(d.long) > maxOut {
		d.long = nil
	}
	return err
}

// flush writes what is due to the client, in one write where it can.
func (d *down) flush() error {
	run := d.reader.Buffered()[d.start:d.pos]
	d.start = d.pos
	if len(d.out) > 0 {
		d.out = append(d.out, run...)
		run = d.out
		d.out = d.out[:0]
	}
	if len(run) == 0 {
		return nil
	}
	err := d.write(run)
	if cap(d.out) > 2*maxOut {
		d.out = nil
	}
	return err
}

// pass lets the packet of n bytes at pos go to the client as it is.
func (d *down) pass(n int) {
	if d.muted || d.cur.look != nil {
		d.drop(n)
		return
	}
	d.reader.Buffered()[d.pos+3] = d.outSeq
	d.outSeq++
	d.pos += n
}

// collect moves the run before pos to out, so that other bytes can follow it.
func (d *down) collect() {
	if d.pos > d.start {
		d.out = append(d.out, d.reader.Buffered()[d.start:d.pos]...)
		d.start = d.pos
	}
}

// drop keeps the n bytes at pos from the client.
func (d *down) drop(n int) {
	d.collect()
	d.pos += n
	d.start = d.pos
}

// replace puts payload in the place of the n bytes at pos.
func (d *down) replace(n int, payload []byte) error {
	d.drop(n)
	if d.muted || d.cur.look != nil {
		return nil
	}
	d.out, d.outSeq = wire.AppendPacket(d.out, d.outSeq, payload)
	return d.room()
}

// room writes what is due when it is much.
func (d *down) room() error {
	if len(d.out) >= maxOut {
		return d.flush()
	}
	return nil
}

// code is an error's number as a string, which is shared between operations.
func (d *down) code(n uint16) string {
	if s, ok := d.codes[n]; ok {
		return s
	}
	s := strconv.Itoa(int(n))
	if d.codes == nil {
		d.codes = make(map[uint16]string)
	}
	if len(d.codes) < 64 {
		d.codes[n] = s
	}
	return s
}
