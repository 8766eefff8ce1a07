package postgres

import (
	"bytes"
	"context"
	"errors"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// guard lets a statement run only as what it was approved as. Right before it, the rows are
// locked, digested and compared; after it, the number of rows that it has changed is. up and down
// share it: up waits until down has seen how the statement ended.
//
// In a transaction block, and in a batch, the server is made to fail after a statement that has
// changed something else, so that it takes that back as after any error. A simple query that is its
// own transaction runs in one of the gateway's, which the client does not see.
type guard struct {
	impact *proxy.Impact
	// uncounted says that the server does not tell how many rows it has changed.
	uncounted bool
	own       bool // the transaction is the gateway's; of a simple query

	image  *proxy.Image // what undoes the statement; nil: nobody has said that it can be undone
	op     uint64       // the operation, and
	grants []string     // the requests by whose approval it runs
	unkept error        // why it was taken back although it ran as approved: nobody has kept what undoes it

	// Guarded by pending's lock, until over.
	over   bool // the statement has ended, or what there is to do about it is up's
	ran    bool // it has, as it was approved
	turned bool // it has in a transaction of the client's, who is told once what undoes it is kept
	failed bool // the server has answered it with an error, which the client was told
	muted  bool // the client was told an error in the place of its rows
	rows   uint64

	told  []byte        // its CommandComplete, which is told once what it did is there
	entry *entry        // own: the statement's, and
	done  proxy.Outcome // how it went
	end   *look         // own: the end of the transaction
}

// commits reports whether what the statement did is kept.
func (g *guard) commits() bool { return g.ran }

func (g *guard) differs(rows uint64) error {
	if g.unkept != nil {
		return g.unkept
	}
	return impact.Differs(g.impact, rows)
}

// refuses makes e's answer an error that says why it does not run, or was taken back.
func (e *entry) refuses(why error) {
	e.refused = why
	e.refusal = wire.AppendError(nil, wire.Notice{
		Severity: "ERROR", Code: codeRefused, Message: why.Error(), Hint: impact.Remedy,
	})
}

// compare compares what e's statement would change with what was approved, and refuses it where
// that differs. limited says that its rows are wanted in parts.
func (u *up) compare(e *entry, limited bool) error {
	g := e.guard
	why, err := u.differs(e, limited)
	if err != nil {
		return err
	}
	if why == nil {
		return nil
	}
	if g.own {
		g.own = false
		if err := u.rollBack(); err != nil {
			return err
		}
	}
	e.guard = nil
	e.refuses(why)
	u.sent(e.statement.Text, e.statement.Facts) // as of any whose end is told
	return nil
}

// differs says why e's statement may not run. With err the session ends.
func (u *up) differs(e *entry, limited bool) (why, err error) {
	g, ctx := e.guard, u.session.session.Context()
	simple := e.expect == expectQuery
	switch {
	case simple && u.batched:
		return impact.NotComparable(errNowhere), nil
	case limited && e.statement.Facts.Rows:
		return impact.NotComparable(errors.New("its rows are fetched in parts")), nil
	}
	block, err := u.settle(ctx)
	switch {
	case u.session.session.Err() != nil:
		return nil, err
	case err != nil:
		return impact.NotComparable(err), nil
	case block == 'E': // the server refuses it, and says why
		e.guard = nil
		return nil, nil
	case block == unsureBlock:
		return impact.NotComparable(errNowhere), nil
	case block == 'I' && simple:
		l, err := u.put(&question{text: "BEGIN", alone: true})
		if err != nil {
			return nil, err
		}
		g.own = true
		if err := u.answered(ctx, l); err != nil { // without it, nothing could be taken back
			return impact.NotComparable(err), nil
		}
	}
	r, err := u.newRowReader(&e.statement)
	if err != nil {
		return impact.NotComparable(err), nil
	}
	if block == 'I' && !simple && (r.wholes() || g.impact.Holds == proxy.HoldsRows || g.impact.Tables != "" || g.impact.Promises()) { // locks are for blocks alone
		if err := u.enclose(ctx); err != nil {
			return impact.NotComparable(err), nil
		}
	}
	switch {
	case r.wholes():
		rows, tables, err := r.whole(ctx, true)
		g.uncounted = true
		switch {
		case u.session.session.Err() != nil:
			return nil, err
		case err != nil:
			return impact.NotComparable(err), nil
		case namesOf(tables) != g.impact.Table || g.impact.Tables != "" && identity(tables...) != g.impact.Tables:
			return impact.Another(g.impact, namesOf(tables)), nil
		case rows != g.impact.Rows:
			return g.differs(uint64(rows)), nil
		}
		return nil, nil
	case g.impact.Holds != proxy.HoldsRows:
		if g.impact.Tables == "" {
			return u.prepare(ctx, r, g)
		}
		t, err := r.table(ctx, &r.change.Tables[0])
		switch {
		case u.session.session.Err() != nil:
			return nil, err
		case err != nil:
			return impact.NotComparable(err), nil
		case identity(t) != g.impact.Tables:
			return impact.Another(g.impact, t.Name), nil
		}
		return u.prepare(ctx, r, g)
	}
	if err := r.finds(); err != nil {
		return impact.NotComparable(err), nil
	}
	rows, digest, err := r.locked(ctx)
	switch {
	case u.session.session.Err() != nil:
		return nil, err
	case err != nil:
		return impact.NotComparable(err), nil
	case rows != g.impact.Rows || digest != g.impact.Digest:
		return g.differs(uint64(rows)), nil
	}
	return u.prepare(ctx, r, g)
}

// prepare reads what undoes the statement of g, where that was promised, and has a session that undoes something begin with that. why
// is why the statement may not run.
func (u *up) prepare(ctx context.Context, r *rowReader, g *guard) (why, err error) {
	s := u.session.session
	if undo := s.Undo(); undo != nil {
		if why = r.undoing(ctx, undo); why == nil {
			why = undo.Begin(ctx, s, r.st)
		}
	}
	if why == nil && g.impact.Promises() {
		if err := r.before(ctx, g); err != nil {
			why = impact.Irretrievable(err)
		}
	}
	if s.Err() != nil {
		return nil, s.Err()
	}
	return why, nil
}

// locked digests the rows of a statement as measuring does, and keeps others from changing
// them.
func (r *rowReader) locked(ctx context.Context) (rows int64, digest string, err error) {
	if r.change.Target == "" && r.change.Query == "" {
		return -1, "", impact.ErrAnswer
	}
	if err := r.parameters(ctx); err != nil {
		return -1, "", err
	}
	// The lock that the statement takes itself: nobody gives the table triggers or rules after this.
	if err := r.lock(ctx, &r.change.Tables[0], "ROW EXCLUSIVE"); err != nil {
		return -1, "", err
	}
	t, err := r.table(ctx, &r.change.Tables[0])
	if err != nil {
		return -1, "", err
	}
	if err := r.safe(t); err != nil {
		return -1, "", err
	}
	if why, _ := r.comparable(t); why != "" {
		return -1, "", errors.New(why)
	}
	return r.digest(ctx, t, true)
}

// rollBack ends the gateway's own transaction.
func (u *up) rollBack() error {
	l, err := u.put(&question{text: "ROLLBACK", alone: true})
	if err != nil {
		return err
	}
	if err := u.answered(u.session.session.Context(), l); err != nil && u.session.session.Err() != nil {
		return err
	}
	if l.status != 'I' {
		u.session.session.Kill(errTorn)
		return errTorn
	}
	return nil
}

// watch waits until the statement of g has ended, and has it taken back, or kept.
func (u *up) watch(g *guard, simple bool) error {
	if err := u.urge(); err != nil {
		return err
	}
	p := u.pending
	p.mu.Lock()
	for !g.over && !p.closed {
		p.wait()
	}
	closed := !g.over
	p.mu.Unlock()
	switch {
	case closed:
		return context.Canceled
	case g.own:
		_ = u.keep(g) // what cannot be kept is taken back
		return u.leave('T', g)
	case g.turned:
		return u.resume(g)
	case g.failed:
		return nil
	case g.ran:
		if err := u.keep(g); err != nil {
			e := u.pending.take(expectExecute)
			e.refuses(err)
			return u.refuse(e, 0, poisonNamed)
		}
		return nil
	}
	u.collect()
	if simple {
		u.out = append(u.out, poisonQuery...)
	} else {
		u.out = append(u.out, poisonNamed...)
		u.skipping = true
	}
	return nil
}

// resume goes on in the client's own transaction after a simple query of which is kept what undoes it, and tells the client how it went.
func (u *up) resume(g *guard) error {
	if u.keep(g) != nil {
		if _, err := u.put(&question{text: refusedByGateway, alone: true}); err != nil { // the transaction fails
			return err
		}
	}
	e := u.pending.take(expectSync)
	e.guard = g
	if err := u.expect(e); err != nil {
		return err
	}
	u.collect()
	u.out = wire.AppendMessage(u.out, wire.Sync)
	return nil
}

// ended notes how the statement of e went: ok says that the server has run it, and rows how
// many it has changed. It reports whether the client may be told so now.
func (d *down) ended(e *entry, ok bool, rows uint64, message []byte) (tell bool) {
	g := e.guard
	d.pending.mu.Lock()
	defer d.pending.mu.Unlock()
	g.rows, g.ran = rows, ok && (rows == uint64(g.impact.Rows) || g.uncounted) && e.part == 0
	if e.expect == expectQuery {
		g.told = bytes.Clone(message)
		return false
	}
	if g.ran {
		return true // it is over once the entry is
	}
	e.refuses(g.differs(rows))
	d.hand(g)
	return false
}

// hand leaves it to up what becomes of the statement.
func (d *down) hand(g *guard) {
	g.over = true
	if d.pending.waiting > 0 {
		d.pending.moved.Broadcast()
	}
}

// turn handles that the server is ready after a simple query that is guarded. It reports whether
// that was all.
func (d *down) turn(e *entry, total int) (over bool) {
	g := e.guard
	d.pending.mu.Lock()
	g.failed = d.done.Code != ""
	g.muted, g.ran = d.done.Err != nil && !g.failed, g.ran && !g.failed
	d.pending.mu.Unlock()
	g.turned = !g.own && g.ran && g.image != nil
	switch {
	case g.own || g.turned:
		d.drop(total)
		d.pending.pop()
		d.pending.turns.Add(-1)
		g.entry, g.done = e, d.done
		d.done = proxy.Outcome{}
		d.row.end()
	case g.ran || g.failed: // and the end is told as of any
		if !g.failed && !g.muted {
			d.say(g.told)
		}
		return false
	default:
		e.refuses(g.differs(g.rows))
		d.muted = g.muted // of the error that follows
		d.drop(total)
	}
	d.pending.mu.Lock()
	d.hand(g)
	d.pending.mu.Unlock()
	return true
}

// kept tells the client how the statement of g, which has ended with the gateway's own
// transaction, went. It returns the error that it ended with.
func (d *down) kept(g *guard) error {
	d.done = g.done
	switch {
	case g.failed || g.muted: // it was told
	case !g.ran:
		err := g.differs(g.rows)
		g.entry.refuses(err)
		d.done.Code, d.done.Err = codeRefused, err
		d.say(g.entry.refusal)
	case g.end != nil && g.end.code != "":
		d.done.Code, d.done.Err = g.end.code, errFailed // and the client has seen why
	default:
		d.say(g.told)
	}
	return d.done.Err
}

// say puts message before what is at pos.
func (d *down) say(message []byte) {
	d.out = append(d.out, d.reader.Buffered()[d.start:d.pos]...)
	d.start = d.pos
	d.out = append(d.out, message...)
}
