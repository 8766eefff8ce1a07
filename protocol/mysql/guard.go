package mysql

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/protocol/internal/impact"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// guard lets a statement run only as what it was approved as. Right before it, the rows are locked, digested and compared; after
// it, the number of rows that it has changed is. The client is told how it went once what it did is there.
//
// Outside of a transaction it runs in one of the gateway's own, else after a savepoint.
type guard struct {
	impact *proxy.Impact
	begun  bool // it can be taken back: there is
	own    bool // a transaction of the gateway's; else a savepoint

	image  *proxy.Image // what undoes the statement; nil: nobody has said that it can be undone
	table  *table
	taken  bool     // a row of a key that comes was there already
	op     uint64   // the operation, and
	grants []string // the requests by whose approval it runs

	// Of down, until the answer is complete.
	ran bool    // the server has run it
	ok  wire.OK // what it has said of that
	err error   // why an interceptor does not let the client see it
}

const guardPoint = "`sallyport impact`"

// andNoMore ends a transaction of the gateway's alone, whatever the session's completion_type says.
const andNoMore = " AND NO CHAIN NO RELEASE"

// errTorn ends a session whose transaction is not what its client believes.
var errTorn = errors.New("the server did not go back to where the session's transaction was before a statement that was approved as something else")

// guarded runs a's statement, which run sends, only as what it was approved as.
func (u *up) guarded(a *answer, run func() error) error {
	u.guarding.Store(true)
	defer u.guarding.Store(false)
	g := a.guard
	why, err := u.ready(a)
	if err != nil {
		return err
	}
	if why != nil {
		lost, err := u.takeBack(g)
		switch {
		case err != nil:
			return err
		case lost:
			return u.rolledBack(a, why)
		}
		return u.refused(a, why)
	}
	if err := run(); err != nil {
		return err
	}
	u.presence.begin()
	_, over := u.turn.wait()
	u.presence.end()
	switch {
	case over:
		return errQuit // and the server takes it back
	case !g.ran: // the client was told why not, in the server's words
		_, err := u.takeBack(g)
		return err
	}
	if why = g.differs(a, u.agreed); why == nil {
		why = u.keep(g)
	}
	if why == nil {
		if why, err = u.commit(g); err != nil {
			return err
		}
	} else if _, err := u.takeBack(g); err != nil {
		return err
	}
	if why == nil {
		why = g.err // what it did is there, and the client does not see the answer
	}
	if why != nil {
		return u.refused(a, why)
	}
	return u.told(a)
}

// ran keeps what the server has said of a guarded statement, for up.
func (d *down) ran(a *answer, ok *wire.OK, total int) error {
	g := a.guard
	g.ran, g.ok = true, *ok
	g.ok.State, g.ok.Info = nil, bytes.Clone(ok.Info)
	g.ok.Status &^= wire.StatusStateChanged
	d.drop(total)
	return d.complete(a, nil)
}

// open reports whether a transaction is open, or begins with what is sent next.
func (u *up) open() bool {
	status := uint16(u.down.status.Load())
	return status&wire.StatusInTransaction != 0 || status&wire.StatusAutocommit == 0
}

// ready brings the session to where a's statement can be taken back, and says why it may not run. With err the session ends.
func (u *up) ready(a *answer) (why, err error) {
	g := a.guard
	r, err := u.newRowReader(a, u.lookInto)
	if err != nil {
		return u.survives(impact.NotComparable(err))
	}
	r.locks = true
	if r.whole() {
		return impact.NotComparable(errors.New("it cannot be taken back")), nil
	}
	// What the server has said last may be wrong by now: with an error it does not say whether a transaction is open after it.
	if _, r.values, err = u.settledAs(); err != nil {
		return u.survives(impact.NotComparable(err))
	}
	begin := "SAVEPOINT " + guardPoint
	if g.own = !u.open(); g.own {
		begin, u.state.changed = "START TRANSACTION", changed{}
	}
	if _, err := u.look(begin, 0); err != nil {
		return u.survives(impact.NotComparable(err))
	}
	if g.begun = true; !u.open() {
		return impact.NotComparable(errors.New("the server has begun no transaction")), nil
	}
	if err := r.compared(g); err != nil {
		return u.survives(err)
	}
	if undo := u.session.session.Undo(); undo != nil {
		if why = r.undoing(undo); why == nil {
			why = undo.Begin(u.session.session.Context(), u.session.session, &a.statement)
		}
	}
	if why == nil && g.impact.Promises() {
		if err := r.before(g); err != nil {
			why = impact.Irretrievable(err)
		}
	}
	return u.survives(why)
}

// survives returns why a statement may not run, or what ends the session.
func (u *up) survives(why error) (error, error) {
	switch {
	case u.session.session.Err() != nil:
		return nil, u.session.session.Err()
	case errors.Is(why, errQuit), errors.Is(why, errServerLeft):
		return nil, errQuit
	}
	return why, nil
}

// compared locks the rows, and compares them with those that were approved.
func (r *rowReader) compared(g *guard) error {
	if err := r.finds(); err != nil {
		return impact.NotComparable(err)
	}
	t, err := r.table(r.session.session.Context(), r.change.Tables[0].Path)
	if err != nil {
		return impact.NotComparable(err)
	}
	if g.impact.Tables != "" && t.identity() != g.impact.Tables {
		return impact.Another(g.impact, t.Name)
	}
	why, counted := r.comparable(t) // it may have triggers since
	if why != "" && (!counted || g.impact.Holds == proxy.HoldsRows) {
		return impact.NotComparable(errors.New(why))
	}
	if g.impact.Holds != proxy.HoldsRows {
		return nil
	}
	rows, digest, err := r.digest(t, true)
	switch {
	case err != nil:
		return impact.NotComparable(err)
	case rows != g.impact.Rows || digest != g.impact.Digest:
		return impact.Differs(g.impact, uint64(rows))
	}
	return nil
}

// differs says that the statement has changed another number of rows than was approved.
func (g *guard) differs(a *answer, agreed wire.Capabilities) error {
	rows := g.ok.Affected
	if g.impact.Effect == proxy.EffectUpdate.String() && !agreed.Has(wire.FoundRows) {
		// Rows that hold already what they are set to are not counted, but said in words, of which only the numbers are the same in
		// all languages: the first one is that of the rows that were found.
		digits := bytes.FieldsFunc(g.ok.Info, func(r rune) bool { return r < '0' || r > '9' })
		if len(digits) == 0 { // a server says nothing of what can find no row
			digits = [][]byte{strconv.AppendUint(nil, rows, 10)}
		}
		n, err := strconv.ParseUint(string(digits[0]), 10, 64)
		if err != nil {
			return impact.NotComparable(impact.ErrAnswer)
		}
		rows = n
	}
	if rows != uint64(g.impact.Rows) {
		return impact.Differs(g.impact, rows)
	}
	return nil
}

// commit commits what the statement did. why says why the server did not; with err the session ends.
func (u *up) commit(g *guard) (why, err error) {
	text := "RELEASE SAVEPOINT " + guardPoint
	if g.own {
		text = "COMMIT" + andNoMore
	}
	if _, err := u.look(text, 0); err != nil {
		if why, err = u.survives(err); err != nil {
			return nil, err
		}
		if !g.own { // nobody knows what the transaction holds
			u.session.session.Kill(errTorn)
			return nil, errTorn
		}
		_, err := u.takeBack(g)
		return &impact.DiffersError{Reason: "the server did not commit it: " + why.Error()}, err
	}
	return nil, nil
}

// takeBack goes back to where the session was. A session that does not come back there ends. lost says that the server has taken back
// the client's whole transaction, as after a deadlock.
func (u *up) takeBack(g *guard) (lost bool, err error) {
	if !g.begun {
		return false, nil
	}
	if g.own {
		if _, err := u.look("ROLLBACK"+andNoMore, 0); err == nil && uint16(u.down.status.Load())&wire.StatusInTransaction == 0 {
			return false, nil
		}
		u.session.session.Kill(errTorn)
		return false, errTorn
	}
	_, err = u.look("ROLLBACK TO SAVEPOINT "+guardPoint, 0)
	if err == nil {
		_, err = u.look("RELEASE SAVEPOINT "+guardPoint, 0)
	}
	var answered *answeredError
	const noSavepoint = 1305
	switch {
	case err == nil:
		return false, nil
	case !g.ran && errors.As(err, &answered) && answered.code == noSavepoint:
		return true, nil
	}
	u.session.session.Kill(errTorn)
	return false, errTorn
}

// refused tells the client why a's statement has not run, or was taken back.
func (u *up) refused(a *answer, why error) error {
	return u.fails(a, why, fault(codeRefused, stateRefused, why.Error()+". "+impact.Remedy))
}

// rolledBack tells the client why a's statement has not run, and that the server has taken back the transaction.
func (u *up) rolledBack(a *answer, why error) error {
	return u.fails(a, why, fault(codeDeadlock, stateRollback, why.Error()+". The server has taken back the whole transaction. Begin it again."))
}

func (u *up) fails(a *answer, why error, e wire.Error) error {
	a.done.Rows, a.done.Code, a.done.Err = 0, strconv.Itoa(int(e.Code)), why
	u.session.session.Done(a.op, &a.done)
	a.op = nil
	return u.reply(e)
}

// told tells the client how a's statement has gone.
func (u *up) told(a *answer) error {
	g := a.guard
	g.ok.Status = uint16(u.down.status.Load()) &^ (wire.StatusMoreResults | wire.StatusStateChanged)
	if len(g.ok.Info) > 0 && u.wantsTexts() {
		info, err := u.down.tellStatus(a.op, []byte("info"), g.ok.Info)
		if err != nil {
			a.done.Code, a.done.Err = strconv.Itoa(codeRefused), err
			u.session.session.Done(a.op, &a.done)
			a.op = nil
			return u.reply(fault(codeRefused, stateRefused, err.Error()))
		}
		g.ok.Info = info
	}
	u.session.session.Done(a.op, &a.done)
	a.op = nil
	return u.answerWith(wire.AppendOK(nil, &g.ok, u.agreed))
}

// approvals notes by which requests' approval the statement of g runs.
func (g *guard) approvals(m *proxy.Meta) { g.op, g.grants = m.ID, slices.Clone(m.Grants()) }
