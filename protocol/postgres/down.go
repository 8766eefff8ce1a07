package postgres

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/evloop"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// down carries what the server sends to the client, and knows which operation
// it belongs to. It is used by one goroutine, except where noted.
type down struct {
	*session
	conn   *line        // writes to the client
	reader *wire.Reader // reads the server

	pos   int // in reader.Buffered: what was walked
	start int // in reader.Buffered: what was passed on
	need  int // bytes that the next message takes
	rest  int // bytes of the current message that are still to come
	// dropRest says that they are not for the client.
	dropRest bool
	out      []byte // to be sent before the run from start

	status   byte // of the transaction, as reported last
	skipping bool // an extended message failed: the server skips to Sync
	muted    bool // the client was told an error in the place of data: nothing more until ReadyForQuery
	draining bool

	settling settling

	row    rowFilter
	copied copyFilter
	done   proxy.Outcome // of the first operation owed, as far as it is known
	tags   map[string]string
	fields []wire.Field

	concurrent bool // it runs in a goroutine of its own
	turns      int  // of the conversation, since it does

	fatal bool  // the server has said why it leaves
	over  bool  // the server has left, or the session has ended
	left  bool  // it was the server
	err   error // why
}

const (
	maxMessage = 16 << 20 // messages other than rows and COPY data, which may be longer
	maxOut     = 64 << 10 // collected before it is written
	maxTags    = 64
)

// run reads until the server leaves or the session ends. rest is true when it
// returns only because up has stopped, so that the session can be polled.
func (d *down) run() (rest bool, err error) {
	d.concurrent, d.turns = true, 0
	defer func() { d.concurrent = false }()
	for !d.over {
		if err := d.step(); errors.Is(err, errRest) {
			return true, nil
		} else if err != nil {
			d.end(err)
		}
	}
	return false, d.err
}

// errRest is the error of a step after which the session can be polled.
var errRest = errors.New("to be polled")

// end notes that the last step was taken, and its error.
func (d *down) end(err error) {
	d.over = true
	if !errors.Is(err, errOver) && !d.leaving.Load() {
		d.err = err
	}
}

// polled is a step that does not wait for the server.
func (d *down) polled() error {
	if d.over {
		return nil
	}
	err := d.step()
	if errors.Is(err, errRest) {
		return nil
	}
	return err
}

// step reads once and passes on what it got.
func (d *down) step() error {
	switch err := d.reader.Fill(d.need); {
	case err == nil:
		return d.walk()
	case err == evloop.ErrNothing:
		return nil
	default:
		return d.woken(err)
	}
}

// woken tells apart why reading stopped: a goroutine that wants something told
// to the client, the gateway draining, up having stopped, the client having left, or
// the end.
func (d *down) woken(err error) error {
	if d.session.session.Err() != nil {
		return d.session.session.Err()
	}
	if !timedOut(err) {
		d.left = true
		if ended(err) {
			return errServerLeft
		}
		return fmt.Errorf("%w: %w", errServerLeft, err)
	}
	var until time.Time
	if n := d.unheard.Load(); n != 0 {
		if until = time.Unix(0, n); time.Now().After(until) {
			return errServerLeft
		}
	}
	// First the deadline, then the notices: one that comes in between sets the
	// deadline again.
	if err := d.upstream.conn.SetReadDeadline(until); err != nil {
		return err
	}
	if d.session.session.Err() != nil { // interrupt came before that
		return d.session.session.Err()
	}
	if d.session.session.Draining().Err() != nil {
		d.draining = true
		if d.atRest() {
			return proxy.ErrShutdown
		}
	}
	if err := d.sendNotices(); err != nil {
		return err
	}
	switch {
	case d.departed.Load():
		return proxy.ErrClientLeft
	case d.rested.Load():
		return errRest
	}
	return nil
}

// sendNotices writes what other goroutines want the client to be told, when no
// message is half sent.
func (d *down) sendNotices() error {
	if !d.atBoundary() {
		return nil
	}
	if b := d.takeNotices(); len(b) > 0 {
		return d.write(b)
	}
	return nil
}

// write writes to the client, whose connection fails when it has left. While the session is frozen it waits.
func (d *down) write(b []byte) error {
	d.thawed()
	_, err := d.conn.Write(b)
	if err != nil && d.session.session.Err() == nil {
		return proxy.ErrClientLeft
	}
	return err
}

// atBoundary reports whether the client has whole messages only.
func (d *down) atBoundary() bool { return d.rest == 0 }

// atRest reports whether the server owes nothing and no transaction is open. It
// may be called once down has returned, or by it.
func (d *down) atRest() bool {
	return d.status == 'I' && d.rest == 0 && d.owed() == nil
}

// owed returns the entry whose answer is due.
func (d *down) owed() *entry {
	d.pending.mu.Lock()
	defer d.pending.mu.Unlock()
	return d.pending.head
}

// walk passes on every message that is buffered.
func (d *down) walk() error {
	d.pos, d.start, d.need = 0, 0, 0
	err := d.messages()
	if err2 := d.flush(); err == nil {
		err = err2
	}
	d.reader.Discard(d.pos)
	if err == nil && d.draining && d.atRest() {
		return proxy.ErrShutdown
	}
	if err == nil {
		err = d.sendNotices()
	}
	return err
}

func (d *down) messages() error {
	b := d.reader.Buffered()
	for {
		left := len(b) - d.pos
		if d.rest > 0 {
			n := min(d.rest, left)
			if d.dropRest {
				d.drop(n)
			} else {
				d.pos += n
			}
			if d.rest -= n; d.rest > 0 {
				return nil
			}
			d.dropRest = false
			continue
		}
		if left < wire.HeaderLen {
			d.need = wire.HeaderLen
			return nil
		}
		typ, total, err := wire.Header(b[d.pos:])
		if err != nil {
			return err
		}
		if typ == wire.DataRow && d.row.open && !d.muted {
			// The common case: a further row that nobody wants to see.
			d.done.Rows++
			d.done.BytesOut += uint64(total)
			d.rest = total
			continue
		}
		if typ == wire.CopyData && d.copied.open && !d.copied.active && !d.muted {
			d.done.BytesOut += uint64(total)
			d.rest = total
			continue
		}
		if typ == wire.FunctionCallResponse && !d.muted {
			if err := d.functionResult(); err != nil {
				return err
			}
			d.rest = total
			continue
		}
		if typ == wire.DataRow && !d.row.active && !d.muted {
			if err := d.firstRow(); err != nil {
				return err
			}
			if !d.row.active && !d.muted {
				d.done.Rows++
				d.done.BytesOut += uint64(total)
				d.rest = total
				continue
			}
		}
		if d.dropRest = typ == wire.DataRow && d.row.own && total > maxLook; d.dropRest {
			d.skipped()
			d.rest = total
			continue
		}
		limit := maxMessage
		if typ == wire.DataRow || typ == wire.CopyData {
			limit = d.settings.maxData()
		}
		if total > limit {
			return fmt.Errorf("%w: server sent %s of %d bytes", wire.ErrTooLarge, wire.TypeName(typ), total)
		}
		if left < total {
			d.need = total
			return nil
		}
		if err := d.message(typ, b[d.pos+wire.HeaderLen:d.pos+total:d.pos+total], total); err != nil {
			return err
		}
	}
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

// pass lets the n bytes at pos go to the client as they are.
func (d *down) pass(n int) { d.pos += n }

// drop keeps the n bytes at pos from the client.
func (d *down) drop(n int) {
	d.out = append(d.out, d.reader.Buffered()[d.start:d.pos]...)
	d.pos += n
	d.start = d.pos
}

// replace puts message in the place of the n bytes at pos.
func (d *down) replace(n int, message []byte) error {
	d.out = append(d.out, d.reader.Buffered()[d.start:d.pos]...)
	d.out = append(d.out, message...)
	d.pos += n
	d.start = d.pos
	if len(d.out) >= maxOut {
		return d.flush()
	}
	return nil
}

// finish takes the first entry off the queue and tells its operation's end.
func (d *down) finish(e *entry, err error) {
	d.pending.pop()
	if g := e.guard; g != nil {
		d.pending.mu.Lock()
		g.failed = g.failed || err != nil
		d.hand(g)
		d.pending.mu.Unlock()
	}
	d.concluded(e, err)
}

// concluded tells the end of e's operation.
func (d *down) concluded(e *entry, err error) {
	d.row.end()
	if e.prepares != 0 && err == nil {
		d.prepared.took(e.prepares, e.statement.Facts.Prepares.Name, e.statement.Text)
	}
	if e.op != nil {
		d.settling.answered(&d.epoch, e.op, &d.done, err == nil)
		d.done.Err = err
		d.session.session.Done(e.op, &d.done)
	}
	d.done = proxy.Outcome{}
	d.pending.recycle(e)
}

// tag returns the command tag as a string, which is shared between operations.
func (d *down) tag(b []byte) string {
	if t, ok := d.tags[string(b)]; ok {
		return t
	}
	t := string(b)
	if d.tags == nil {
		d.tags = make(map[string]string)
	}
	if len(d.tags) < maxTags {
		d.tags[t] = t
	}
	return t
}
