package mysql

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

var (
	errFailed = errors.New("the server answered with an error")
	errInfile = errors.New("the server asked for a file of the client's, which the resource does not allow")
)

func unexpected(first byte) error {
	return fmt.Errorf("%w: unexpected packet 0x%02x from the server", wire.ErrProtocol, first)
}

// unasked takes what the server sends while it owes nothing: an error, with which it
// leaves.
func (d *down) unasked(b []byte, n int) error {
	if n == 0 || n > maxControl || b[wire.HeaderLen] != wire.ErrHeader {
		return fmt.Errorf("%w: the server sent something unasked", wire.ErrProtocol)
	}
	e, err := wire.ParseError(b[wire.HeaderLen : wire.HeaderLen+n])
	if err != nil {
		return err
	}
	if err := d.tellError(nil, &e); err != nil {
		return err
	}
	d.drop(wire.HeaderLen + n)
	d.out, _ = wire.AppendPacket(d.out, 1, wire.AppendError(nil, &e))
	d.fatal = true
	return errServerLeft
}

// packet handles one whole packet of total bytes.
func (d *down) packet(a *answer, first byte, body []byte, total int) error {
	if first == wire.ErrHeader && a.phase != phaseText {
		return d.failed(a, body, total)
	}
	switch a.phase {
	case phaseHeader:
		return d.header(a, first, body, total)
	case phaseColumns:
		return d.column(a, body, total)
	case phaseColumnsEnd:
		if !wire.IsEnd(first, len(body), 0) {
			return unexpected(first)
		}
		return d.columnsEnd(a, body, total)
	case phaseRows:
		if wire.IsEnd(first, len(body), d.agreed) {
			return d.rowsEnd(a, body, total)
		}
		return d.dataRow(a, body, total)
	case phasePrepared:
		return d.prepared(a, first, body, total)
	case phaseParams, phaseOutput:
		d.pass(total)
		if a.left--; a.left == 0 {
			d.described(a)
		}
		return nil
	case phaseParamsEnd, phaseOutputEnd:
		if !wire.IsEnd(first, len(body), 0) {
			return unexpected(first)
		}
		d.pass(total)
		d.next(a)
		return nil
	case phaseFields:
		if wire.IsEnd(first, len(body), d.agreed) {
			d.pass(total)
			return d.complete(a, nil)
		}
		d.pass(total)
		return nil
	case phaseText:
		d.pass(total)
		return d.complete(a, nil)
	case phaseLogin:
		return d.login(a, body, total)
	case phaseSimple:
		if first == wire.OKHeader || first == wire.EOFHeader && !wire.IsEnd(first, len(body), 0) {
			return d.ok(a, body, total)
		}
		if !wire.IsEnd(first, len(body), 0) {
			return unexpected(first)
		}
		d.pass(total)
		return d.complete(a, nil)
	}
	return unexpected(first)
}

// header handles the first packet of a result.
func (d *down) header(a *answer, first byte, body []byte, total int) error {
	switch first {
	case wire.OKHeader:
		return d.ok(a, body, total)
	case wire.InfileHeader:
		return d.wantsFile(a, total)
	}
	n, size := wire.Length(body)
	if size != len(body) || n == 0 || n > maxColumns {
		return unexpected(first)
	}
	a.phase, a.left = phaseColumns, int(n)
	if d.looksAt(a) {
		a.row.begin(int(n))
	}
	d.pass(total)
	return nil
}

// looksAt reports whether the descriptions of a's columns are of interest.
func (d *down) looksAt(a *answer) bool { return a.op != nil && (a.filtered || d.wantsTexts()) }

// column handles the description of a column.
func (d *down) column(a *answer, body []byte, total int) error {
	if d.looksAt(a) {
		c, err := wire.ParseColumn(body, d.agreed)
		if err != nil {
			return err
		}
		a.row.describe(&c, a.binary)
	}
	d.pass(total)
	if a.left--; a.left > 0 {
		return nil
	}
	if d.agreed.Has(wire.DeprecateEOF) {
		return d.startRows(a)
	}
	a.phase = phaseColumnsEnd
	return nil
}

func (d *down) columnsEnd(a *answer, body []byte, total int) error {
	_, status, err := wire.ParseEOF(body)
	if err != nil {
		return err
	}
	d.pass(total)
	if status&wire.StatusCursorExists != 0 && a.stmt != nil {
		d.status.Store(uint32(status))
		return d.opened(a)
	}
	return d.startRows(a)
}

// opened notes that a's rows are to be fetched by later commands.
func (d *down) opened(a *answer) error {
	if !a.cursor {
		return fmt.Errorf("%w: the server has opened a cursor that nobody asked for", wire.ErrProtocol)
	}
	err := d.startRows(a)
	a.stmt.cursor = a
	a.phase = phaseDone
	return err
}

// rowsEnd handles the end of rows.
func (d *down) rowsEnd(a *answer, body []byte, total int) error {
	var status uint16
	if d.agreed.Has(wire.DeprecateEOF) {
		ok, err := wire.ParseOK(body, d.agreed)
		if err != nil {
			return err
		}
		status = ok.Status
		if err := d.showOK(a, &ok, total); err != nil {
			return err
		}
	} else {
		_, s, err := wire.ParseEOF(body)
		if err != nil {
			return err
		}
		status = s
		d.pass(total)
	}
	d.status.Store(uint32(status))
	switch {
	case a.cursor && status&wire.StatusCursorExists != 0 && status&wire.StatusLastRowSent == 0 && a.stmt != nil:
		a.stmt.cursor = a
		a.phase = phaseDone // of this command
		return nil
	case a.stmt != nil && a.stmt.cursor == a:
		a.stmt.cursor = nil
	}
	return d.resultEnd(a, status)
}

// resultEnd goes on after a result.
func (d *down) resultEnd(a *answer, status uint16) error {
	a.row.end()
	if status&wire.StatusMoreResults != 0 {
		a.phase = phaseHeader
		a.part++
		return nil
	}
	return d.complete(a, nil)
}

// ok handles an OK that ends a result without rows, or a command.
func (d *down) ok(a *answer, body []byte, total int) error {
	ok, err := wire.ParseOK(body, d.agreed)
	if err != nil {
		return err
	}
	if a.phase == phaseHeader {
		a.done.Rows += ok.Affected
	}
	d.status.Store(uint32(ok.Status))
	if a.guard != nil {
		return d.ran(a, &ok, total)
	}
	if a.refused != nil {
		if err := d.withhold(a, total, a.refused); err != nil {
			return err
		}
		return d.complete(a, a.refused)
	}
	if err := d.showOK(a, &ok, total); err != nil {
		return err
	}
	if a.phase == phaseHeader {
		return d.resultEnd(a, ok.Status)
	}
	return d.complete(a, nil)
}

// prepared handles the answer to a StmtPrepare.
func (d *down) prepared(a *answer, first byte, body []byte, total int) error {
	if first != wire.OKHeader {
		return unexpected(first)
	}
	p, err := wire.ParsePrepared(body)
	if err != nil {
		return err
	}
	a.prepared = p
	a.stmt.id, a.stmt.params = p.ID, p.Params
	d.pass(total)
	a.phase = phasePrepared
	d.next(a)
	return nil
}

// described goes on after descriptions, whose end is said where that is agreed on.
func (d *down) described(a *answer) {
	if d.agreed.Has(wire.DeprecateEOF) {
		d.next(a)
		return
	}
	if a.phase == phaseParams {
		a.phase = phaseParamsEnd
	} else {
		a.phase = phaseOutputEnd
	}
}

// next goes on with what describes a prepared statement.
func (d *down) next(a *answer) {
	switch {
	case a.phase == phasePrepared && a.prepared.Params > 0:
		a.phase, a.left = phaseParams, a.prepared.Params
	case (a.phase == phasePrepared || a.phase < phaseOutput) && a.prepared.Columns > 0:
		a.phase, a.left = phaseOutput, a.prepared.Columns
	default:
		d.up.stmts.add(a.stmt)
		d.complete(a, nil)
	}
}

// failed handles an error of the server's.
func (d *down) failed(a *answer, body []byte, total int) error {
	e, err := wire.ParseError(body)
	if err != nil {
		return err
	}
	if e.Code == wire.ProgressCode {
		if !d.agreed.Has(wire.Progress) {
			return unexpected(wire.ErrHeader)
		}
		d.pass(total)
		return nil
	}
	if a.look != nil {
		a.look.err = &answeredError{e.Code}
	}
	a.failed = true
	if a.done.Err == nil {
		a.done.Code, a.done.Err = d.code(e.Code), errFailed
	}
	a.done.Unread = e.Code == parseError && a.part == 0 && a.phase == phaseHeader && !a.several()
	if a.stmt != nil && a.stmt.cursor == a {
		a.stmt.cursor = nil
	}
	before := e
	if err := d.tellError(a.op, &e); err != nil {
		return err
	}
	if string(before.Message) == string(e.Message) {
		d.pass(total)
	} else if err := d.replace(total, wire.AppendError(nil, &e)); err != nil {
		return err
	}
	return d.complete(a, a.done.Err)
}

// several reports whether a is the answer to a text of several statements.
func (a *answer) several() bool {
	return a.statement.Facts == nil || a.statement.Facts.Statements != 1
}

// complete notes that the answer is, and tells its operation's end.
func (d *down) complete(a *answer, err error) error {
	a.row.end()
	a.phase = phaseDone
	if a.op == nil || a.guard != nil && a.guard.ran { // up tells how it ended
		return nil
	}
	d.tellCatalog(a)
	if a.done.Err == nil {
		a.done.Err = err
	}
	d.session.session.Done(a.op, &a.done)
	a.op = nil
	return nil
}

// withhold tells the client err in the place of what would follow at pos, and nothing more
// of the answer.
func (d *down) withhold(a *answer, total int, err error) error {
	e := fault(codeRefused, stateRefused, err.Error())
	var refused *proxy.RefusedError
	if errors.As(err, &refused) {
		e = refusal(&refused.Verdict)
	}
	werr := d.replace(total, wire.AppendError(nil, &e))
	d.muted = true
	if a.done.Err == nil {
		a.done.Err = err
	}
	return werr
}

// login answers what the server asks of who logs in anew.
func (d *down) login(a *answer, body []byte, total int) error {
	reply, in, err := a.auth.step(body)
	switch {
	case err != nil:
		return err
	case in:
		return d.ok(a, body, total)
	}
	d.drop(total)
	if reply == nil {
		return nil
	}
	b, next := wire.AppendPacket(nil, d.seq, reply)
	d.seq = next
	if _, err := d.upstream.conn.Write(b); err != nil {
		return errServerLeft
	}
	return nil
}
