package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// question is a statement of the gateway's own, which the server runs in the session,
// between what the client sent before and what it waits for. Only there names, and what the
// open transaction has written, are what they are to the statement that comes next.
type question struct {
	text  string
	types []uint32    // of the parameters, as far as they are known
	args  []proxy.Arg // bound to them
	// alone says that it is not a part of a batch of the client's: a Sync of its own follows.
	alone bool
	// asks says that the types of its parameters are wanted, and nothing is run.
	asks bool
	rows int  // of the answer, how many are kept
	told bool // alone: the client is told its error
}

// look is a question's answer. Its fields are guarded by pending's lock until the answer is
// there.
type look struct {
	question
	answers  []byte // that are still to come, without its rows
	found    bool   // a row has come
	answered bool
	code     string       // of the server's error; empty when there was none
	status   byte         // alone: of the transaction after it; 0 until the server has said
	inferred []uint32     // asks: the types
	shape    *proxy.Shape // of the rows that are kept
	kept     [][][]byte   // they
	size     int          // of them, in bytes
	cut      bool         // some were too long to keep
	changed  uint64       // how many rows it has changed, or returned
}

const (
	lookTimeout = 10 * time.Second // the server may wait for locks of others
	lookName    = "sallyport look" // of its statement and its portal
	maxLook     = 1 << 20          // bytes of the rows that are kept
)

// Why it is not known what the server holds.
var (
	errNoLook     = errors.New("the server cannot be asked at this place")
	errLookFailed = errors.New("the server did not tell what it holds")
)

// Empty reports whether what the statement that is being asked drops or empties holds no
// data. See [proxy.Keeper].
func (u *up) Empty(ctx context.Context, st *proxy.Statement) (bool, error) {
	args, err := dataArguments(st.Facts)
	if err != nil {
		return false, err
	}
	return u.look(ctx, st, dataQuery, args)
}

// Few reports whether the table that the statement that is being asked changes as a whole
// has at most so many rows. See [proxy.Keeper].
func (u *up) Few(ctx context.Context, st *proxy.Statement, rows int) (bool, error) {
	path := quotedPath(st.Facts.Whole.Schema, st.Facts.Whole.Name)
	return u.look(ctx, st, fmt.Sprintf(rowsQuery, path, rows), [][]byte{[]byte(path)})
}

// look reports whether a query with these arguments, as text, has no rows right before
// the statement that is being asked.
func (u *up) look(ctx context.Context, st *proxy.Statement, text string, args [][]byte) (empty bool, err error) {
	if !u.asking(st) {
		return false, errNoLook
	}
	l, err := u.put(&question{text: text, args: textArgs(args...), alone: u.current.expect == expectQuery})
	if err != nil {
		return false, err
	}
	if err := u.urge(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := u.pending.await(ctx, func() bool { return l.answered || !u.pending.owes(l) }); err != nil || !l.answered {
		return false, errLookFailed
	}
	return !l.found, nil
}

// asking reports whether st is the statement that is being asked, at a place at which the
// server can be asked something before.
func (u *up) asking(st *proxy.Statement) bool {
	e := u.current
	return e != nil && st == &e.statement && (e.expect == expectExecute || e.expect == expectQuery && !u.batched)
}

// put has a question go to the server with what is sent next.
func (u *up) put(q *question) (*look, error) {
	l := &look{question: *q}
	u.collect()
	u.out = l.begin(u.out)
	if err := u.push(expectLook, l); err != nil {
		return nil, err
	}
	if q.alone {
		if err := u.push(expectSync, l); err != nil {
			return nil, err
		}
		u.out = wire.AppendMessage(u.out, wire.Sync)
	}
	return l, nil
}

// push appends an entry of the gateway's own to the answers owed.
func (u *up) push(x expect, l *look) error {
	e := u.pending.take(x)
	e.hidden, e.look = true, l
	return u.expect(e)
}

// await waits until done, or the server skips what comes. The error says that neither
// happens any more. done is called under p's lock.
func (p *pending) await(ctx context.Context, done func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moved.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !done() && !p.closed && !p.skipping.Load() && ctx.Err() == nil {
		p.wait()
	}
	switch {
	case done() || p.skipping.Load():
		return nil
	case p.closed:
		return context.Canceled
	}
	return errLookFailed
}

// owes reports whether the answer to l is still to come.
func (p *pending) owes(l *look) bool {
	for e := p.head; e != nil; e = e.next {
		if e.look == l {
			return true
		}
	}
	return false
}

// looked handles an answer to a look.
func (d *down) looked(e *entry, typ byte, body []byte, total int) error {
	l := e.look
	d.pending.mu.Lock()
	err := l.takes(typ, body)
	over := len(l.answers) == 0
	l.answered = over
	d.pending.mu.Unlock()
	if err != nil {
		return err
	}
	if typ == wire.CommandComplete {
		tag, rows, err := wire.ParseTag(body)
		if err != nil {
			return err
		}
		d.pending.mu.Lock()
		l.changed = rows
		d.pending.mu.Unlock()
		d.ran(tag)
	}
	d.drop(total)
	if over {
		d.finish(e, nil)
	}
	return nil
}

// takes takes in an answer.
func (l *look) takes(typ byte, body []byte) (err error) {
	if len(l.answers) == 0 {
		return unexpected(typ)
	}
	want := l.answers[0]
	switch {
	case typ == wire.DataRow && want == wire.CommandComplete:
		l.found = true
		return l.keep(body)
	case typ == wire.NoData && want == wire.RowDescription:
	case typ != want:
		return unexpected(typ)
	case typ == wire.ParameterDescription:
		l.inferred, err = wire.ParseParameterTypes(body)
	case typ == wire.RowDescription && !l.asks:
		l.shape, err = newShape(body)
	}
	l.answers = l.answers[1:]
	return err
}

// keep keeps a row, if it is to be kept.
func (l *look) keep(body []byte) error {
	if len(l.kept) >= l.rows {
		return nil
	}
	if l.size += len(body); l.size > maxLook {
		l.cut = true
		return nil
	}
	values, err := wire.RowValues(bytes.Clone(body), nil)
	if err != nil {
		return err
	}
	if l.shape == nil || len(values) != len(l.shape.Columns) {
		return fmt.Errorf("%w: a row that was not announced", wire.ErrProtocol)
	}
	l.kept = append(l.kept, values)
	return nil
}

// skipped notes that a row was not read, because it is too long.
func (d *down) skipped() {
	d.pending.mu.Lock()
	defer d.pending.mu.Unlock()
	if e := d.pending.head; e != nil && e.look != nil {
		e.look.found, e.look.cut = true, true
	}
}

// begin appends the messages of a question, and notes what answers them. They use names of
// their own: the client's may be in use.
func (l *look) begin(out []byte) []byte {
	name := []byte(lookName + "\x00")
	add := func(answer, typ byte, body ...[]byte) {
		out = wire.AppendMessage(out, typ, body...)
		l.answers = append(l.answers, answer)
	}
	types := binary.BigEndian.AppendUint16(nil, uint16(len(l.types)))
	for _, t := range l.types {
		types = binary.BigEndian.AppendUint32(types, t)
	}
	add(wire.CloseComplete, wire.Close, []byte{'P'}, name) // which one that failed has left
	add(wire.CloseComplete, wire.Close, []byte{'S'}, name)
	add(wire.ParseComplete, wire.Parse, name, []byte(l.text), []byte{0}, types)
	if l.asks {
		add(wire.ParameterDescription, wire.Describe, []byte{'S'}, name)
		l.answers = append(l.answers, wire.RowDescription)
	} else {
		formats, values := binary.BigEndian.AppendUint16(nil, uint16(len(l.args))), binary.BigEndian.AppendUint16(nil, uint16(len(l.args)))
		for i := range l.args {
			formats, values = appendBound(formats, values, &l.args[i])
		}
		add(wire.BindComplete, wire.Bind, name, name, formats, values, []byte{0, 0})
		if l.rows > 0 {
			add(wire.RowDescription, wire.Describe, []byte{'P'}, name)
		}
		out = wire.AppendExecute(out, lookName, 0)
		l.answers = append(l.answers, wire.CommandComplete)
		add(wire.CloseComplete, wire.Close, []byte{'P'}, name)
	}
	add(wire.CloseComplete, wire.Close, []byte{'S'}, name)
	return out
}

// appendBound appends the format and the value of an argument, as Bind has them.
func appendBound(formats, values []byte, a *proxy.Arg) (f, v []byte) {
	format := uint16(0)
	if a.Binary {
		format = 1
	}
	formats = binary.BigEndian.AppendUint16(formats, format)
	if a.Value == nil {
		return formats, binary.BigEndian.AppendUint32(values, 1<<32-1)
	}
	values = binary.BigEndian.AppendUint32(values, uint32(len(a.Value)))
	return formats, append(values, a.Value...)
}

// textArgs are arguments as text.
func textArgs(values ...[]byte) []proxy.Arg {
	args := make([]proxy.Arg, len(values))
	for i, v := range values {
		args[i].Value = v
	}
	return args
}
