package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// look is a question of the gateway's own, which the server is asked in the session,
// between what the client sent before and what it waits for: whether a query has rows.
// Only there names, and what the open transaction has written, are what they are to the
// statement that comes next. Its fields are guarded by pending's lock.
type look struct {
	alone    bool // it is not a part of a batch of the client's: a Sync of its own follows
	next     int  // of lookAnswers
	found    bool // a row has come
	answered bool
}

// lookAnswers are the answers to a look, without its rows.
var lookAnswers = [...]byte{wire.CloseComplete, wire.ParseComplete, wire.BindComplete, wire.CommandComplete, wire.CloseComplete, wire.CloseComplete}

const (
	lookTimeout = 10 * time.Second // the server may wait for locks of others
	lookName    = "sallyport look" // of its statement and its portal
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
	e := u.current
	if e == nil || st != &e.statement || e.expect != expectExecute && (e.expect != expectQuery || u.batched) {
		return false, errNoLook
	}
	alone := e.expect == expectQuery
	l := &look{alone: alone}
	if err := u.push(expectLook, l); err != nil {
		return false, err
	}
	u.collect()
	u.out = appendLook(u.out, text, args)
	if alone {
		if err := u.push(expectSync, nil); err != nil {
			return false, err
		}
		u.out = wire.AppendMessage(u.out, wire.Sync)
	}
	if err := u.urge(); err != nil {
		return false, err
	}
	return u.pending.await(ctx, l)
}

// push appends an entry of the gateway's own to the answers owed.
func (u *up) push(x expect, l *look) error {
	e := u.pending.take(x)
	e.hidden, e.look = true, l
	return u.expect(e)
}

// await waits for the answer to l.
func (p *pending) await(ctx context.Context, l *look) (empty bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.moved.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !l.answered && p.owes(l) && !p.closed && !p.skipping.Load() && ctx.Err() == nil {
		p.wait()
	}
	if !l.answered {
		return false, errLookFailed
	}
	return !l.found, nil
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
func (d *down) looked(e *entry, typ byte, total int) error {
	l := e.look
	d.pending.mu.Lock()
	row := typ == wire.DataRow && lookAnswers[l.next] == wire.CommandComplete
	switch {
	case row:
		l.found = true
	case typ == lookAnswers[l.next]:
		l.next++
	default:
		d.pending.mu.Unlock()
		return unexpected(typ)
	}
	over := l.next == len(lookAnswers)
	l.answered = over
	d.pending.mu.Unlock()
	d.drop(total)
	if over {
		d.finish(e, nil)
	}
	return nil
}

// appendLook appends the messages that run a query with arguments as text. They use
// names of their own: the client's may be in use.
func appendLook(out []byte, text string, args [][]byte) []byte {
	name := []byte(lookName + "\x00")
	values := binary.BigEndian.AppendUint16(nil, uint16(len(args)))
	for _, a := range args {
		values = binary.BigEndian.AppendUint32(values, uint32(len(a)))
		values = append(values, a...)
	}
	out = wire.AppendMessage(out, wire.Close, []byte{'S'}, name) // which one that failed has left
	out = wire.AppendMessage(out, wire.Parse, name, []byte(text), []byte{0, 0, 0})
	out = wire.AppendMessage(out, wire.Bind, name, name, []byte{0, 0}, values, []byte{0, 0})
	out = wire.AppendExecute(out, lookName, 0)
	out = wire.AppendMessage(out, wire.Close, []byte{'P'}, name)
	return wire.AppendMessage(out, wire.Close, []byte{'S'}, name)
}
