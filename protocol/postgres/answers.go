package postgres

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

func unexpected(typ byte) error {
	return fmt.Errorf("%w: unexpected message %s from the server", wire.ErrProtocol, wire.TypeName(typ))
}

// message handles one whole message of total bytes.
func (d *down) message(typ byte, body []byte, total int) error {
	if c, known := channels[typ]; !known || c == channelHandled {
		return unexpected(typ)
	}
	switch typ { // what may come at any time
	case wire.NoticeResponse:
		if e := d.owed(); e != nil && e.look != nil { // it is about what the client did not ask
			d.drop(total)
			return nil
		}
		return d.texts(typ, body, total, nil)
	case wire.NotificationResponse, wire.ParameterStatus:
		return d.pairs(typ, body, total)
	case wire.ErrorResponse:
		return d.failed(body, total)
	case wire.ReadyForQuery:
		return d.ready(body, total)
	}
	e := d.owed()
	if e == nil || d.skipping {
		return unexpected(typ)
	}
	return d.answer(e, typ, body, total)
}

// inferred notes the types of st's parameters as the server describes them, where somebody
// wants to see what is bound to them.
func (d *down) inferred(st *statement, body []byte) error {
	if st == unknownStatement {
		return nil
	}
	types, err := wire.ParseParameterTypes(body)
	if err != nil {
		return err
	}
	d.pending.mu.Lock()
	defer d.pending.mu.Unlock()
	st.inferred = types
	return nil
}

// answer handles a message that belongs to the operation of e.
func (d *down) answer(e *entry, typ byte, body []byte, total int) error {
	if e.expect == expectLook {
		return d.looked(e, typ, body, total)
	}
	runs := e.expect == expectQuery || e.expect == expectExecute
	if e.trial && (typ == wire.ParseComplete || typ == wire.CloseComplete) {
		e.trial = typ == wire.ParseComplete // once it is closed, what follows is certain to be refused
		d.drop(total)
		return nil
	}
	switch typ {
	case wire.ParseComplete:
		return d.completes(e, expectParse, typ, total)
	case wire.BindComplete:
		return d.completes(e, expectBind, typ, total)
	case wire.CloseComplete:
		return d.completes(e, expectClose, typ, total)
	case wire.ParameterDescription:
		if e.expect != expectStatement {
			return unexpected(typ)
		}
		if err := d.inferred(e.stmt, body); err != nil {
			return err
		}
		return d.show(e, total)
	case wire.NoData:
		if e.expect != expectStatement && e.expect != expectPortal {
			return unexpected(typ)
		}
		return d.completes(e, e.expect, typ, total)
	case wire.RowDescription:
		return d.described(e, body, total)
	case wire.DataRow:
		if !runs {
			return unexpected(typ)
		}
		return d.dataRow(e, body, total)
	case wire.CommandComplete, wire.EmptyQueryResponse, wire.PortalSuspended:
		if !runs {
			return unexpected(typ)
		}
		return d.completed(e, typ, body, total)
	case wire.CopyInResponse, wire.CopyBothResponse:
		if !runs || typ == wire.CopyBothResponse && !d.settings.Replication {
			return unexpected(typ)
		}
		var in *inflow
		if typ == wire.CopyInResponse && e.filtered && e.op != nil {
			var err error
			if in, err = d.copyIn(e, body); err != nil {
				return err
			}
		}
		if err := d.pending.startCopy(in); err != nil {
			return err
		}
		e.copying = true
		d.copied.open = typ == wire.CopyBothResponse
		d.copied.active = false
		return d.show(e, total)
	case wire.CopyOutResponse:
		if !runs {
			return unexpected(typ)
		}
		return d.copyOut(e, body, total)
	case wire.CopyData:
		return d.copyData(e, body, total)
	case wire.CopyDone:
		if !runs {
			return unexpected(typ)
		}
		return d.copyDone(e, total)
	}
	return unexpected(typ)
}

// show passes the message on, unless the client is not to see it.
func (d *down) show(e *entry, total int) error {
	if e.hidden || d.muted {
		d.drop(total)
	} else {
		d.pass(total)
	}
	return nil
}

// completes handles the message that ends the answer to e.
func (d *down) completes(e *entry, want expect, typ byte, total int) error {
	if e.expect != want || e.refusal != nil {
		return unexpected(typ)
	}
	if err := d.show(e, total); err != nil {
		return err
	}
	d.settle(e, true)
	d.finish(e, nil)
	return nil
}

// completed handles the end of one command of a query or of an Execute.
func (d *down) completed(e *entry, typ byte, body []byte, total int) error {
	if e.refusal != nil {
		return fmt.Errorf("%w: the server ran what was refused", wire.ErrProtocol)
	}
	changed := uint64(0)
	if typ == wire.CommandComplete {
		tag, rows, err := wire.ParseTag(body)
		if err != nil {
			return err
		}
		changed = rows
		d.done.Tag = d.tag(tag)
		d.ran(tag)
		if !bytes.HasPrefix(tag, []byte("SELECT")) && !bytes.HasPrefix(tag, []byte("FETCH")) && d.done.Rows == 0 {
			d.done.Rows = rows
		}
	}
	if e.copying {
		e.copying = false
		if err := d.pending.endCopy(true); err != nil {
			return err
		}
	}
	d.row.end()
	if e.guard != nil && !d.ended(e, typ == wire.CommandComplete, changed, d.reader.Buffered()[d.pos:d.pos+total]) {
		d.drop(total)
		e.part++
		return nil
	}
	if err := d.show(e, total); err != nil {
		return err
	}
	e.part++
	if e.expect == expectExecute {
		d.finish(e, nil)
	}
	return nil
}

// failed handles an ErrorResponse: of the operation that is owed, or of the
// connection.
func (d *down) failed(body []byte, total int) error {
	severity := wire.ErrorField(body, 'V')
	if severity == nil {
		severity = wire.ErrorField(body, 'S')
	}
	severe := !bytes.Equal(severity, []byte("ERROR"))
	e := d.owed()
	if e == nil || severe {
		d.fatal = d.fatal || severe
		return d.texts(wire.ErrorResponse, body, total, e)
	}
	if d.skipping {
		return unexpected(wire.ErrorResponse)
	}
	d.copied.open, d.copied.active = false, false
	d.row.end()
	d.done.Code, d.done.Err = d.tag(sqlstate(wire.ErrorField(body, 'C'))), errFailed
	if e.refused != nil {
		d.done.Code, d.done.Err = codeRefused, e.refused
	}
	if e.copying {
		e.copying = false
		// Of data that was refused, the server has swallowed all that came before its end.
		given := e.refused != nil && bytes.Contains(wire.ErrorField(body, 'M'), []byte(refusedByGateway))
		if err := d.pending.endCopy(given); err != nil {
			return err
		}
	}
	d.fails(e)
	d.done.Unread = e.expect == expectQuery && e.part == 0 && e.refusal == nil && isUnread(body)
	switch {
	case d.muted || e.look != nil && e.look.alone && !e.look.told:
		d.drop(total)
	case e.refusal != nil && !(e.trial && isSyntaxError(body)):
		if err := d.replace(total, e.refusal); err != nil {
			return err
		}
	default:
		// Also when the message was the gateway's own: the client's would have
		// failed in the same way.
		if err := d.texts(wire.ErrorResponse, body, total, e); err != nil {
			return err
		}
	}
	if e.expect.endsWithReady() {
		return nil // ReadyForQuery follows
	}
	d.skipping = true
	d.pending.skip()
	d.settle(e, false)
	d.finish(e, d.done.Err)
	return nil
}

// fails notes that the server answered e with an error. One that only the gateway knows of,
// since it is taken back before anything else is answered, is none of the batch's.
func (d *down) fails(e *entry) {
	l := e.look
	if l == nil || !l.alone || l.told {
		d.settling.failed = true
	}
	if l != nil {
		d.pending.mu.Lock()
		l.code = d.done.Code
		d.pending.mu.Unlock()
	}
}

// ran notes what a statement that has run makes of the transaction, by its tag.
func (d *down) ran(tag []byte) {
	switch string(tag) {
	case "BEGIN", "START TRANSACTION":
		d.block.Store('T')
	case "COMMIT", "ROLLBACK", "PREPARE TRANSACTION": // or a part of it is taken back, or another begins
		d.block.Store(unsureBlock)
	}
}

var (
	errFailed  = errors.New("the server answered with an error")
	errSkipped = errors.New("skipped after an error earlier in the batch")
)

// ready handles ReadyForQuery, which ends a simple query, a function call or a
// batch.
func (d *down) ready(body []byte, total int) error {
	status, err := wire.ParseReady(body)
	if err != nil {
		return err
	}
	d.status, d.muted = status, false
	d.block.Store(uint32(status))
	d.copied.open, d.copied.active = false, false
	for {
		e := d.owed()
		if e == nil {
			return unexpected(wire.ReadyForQuery)
		}
		if d.skipping && e.expect != expectSync {
			d.settle(e, false)
			if e.op != nil {
				d.done = proxy.Outcome{}
			}
			if e.expect.endsWithReady() {
				d.pending.turns.Add(-1)
			}
			d.finish(e, errSkipped)
			continue
		}
		if e.guard != nil && e.expect == expectQuery && e.refusal == nil && d.turn(e, total) {
			return nil
		}
		if !e.expect.endsWithReady() || e.refusal != nil && d.done.Err == nil {
			return unexpected(wire.ReadyForQuery)
		}
		d.skipping = false
		if e.look != nil { // what the gateway asked for itself is not a turn of the conversation
			d.asked(e, status, total)
			return nil
		}
		if g := e.guard; g != nil && e.expect == expectSync {
			d.pending.pop()
			err := d.kept(g)
			d.pass(total)
			d.concluded(g.entry, err)
			d.pending.recycle(e)
		} else {
			if err := d.show(e, total); err != nil {
				return err
			}
			d.finish(e, d.done.Err)
		}
		d.settling.ready(&d.epoch, status != 'I')
		d.pending.turns.Add(-1)
		d.turned()
		break
	}
	if status == 'I' {
		d.settling.settled(&d.epoch, d.handler.Catalog, &d.named)
		d.pending.mu.Lock()
		d.pending.portals.forget(nil) // they end with the transaction
		d.pending.mu.Unlock()
	}
	return nil
}

// asked handles the end of a question of the gateway's own.
func (d *down) asked(e *entry, status byte, total int) {
	d.drop(total)
	d.pending.mu.Lock()
	e.look.status = status
	d.pending.mu.Unlock()
	d.pending.turns.Add(-1)
	d.finish(e, nil)
}

// described handles a RowDescription.
func (d *down) described(e *entry, body []byte, total int) error {
	switch e.expect {
	case expectStatement, expectPortal, expectQuery:
	default:
		return unexpected(wire.RowDescription)
	}
	if e.filtered {
		shape, err := newShape(body)
		if err != nil {
			return err
		}
		d.catalogShape(shape)
		if err := d.tellNames(e, shape); err != nil {
			werr := d.withhold(total, err)
			if e.expect != expectQuery {
				d.finish(e, err)
			}
			return werr
		}
		switch e.expect {
		case expectStatement:
			e.stmt.setShape(d.pending, shape)
		case expectPortal:
			e.portal.setShape(d.pending, shape)
		default:
			shape.Part = e.part + 1
			if err := d.startRows(e, shape); err != nil {
				return d.withhold(total, err)
			}
		}
	}
	if err := d.show(e, total); err != nil {
		return err
	}
	if e.expect != expectQuery {
		d.finish(e, nil)
	}
	return nil
}

// withhold tells the client err in the place of the total bytes at pos, and
// nothing more of the answer until ReadyForQuery.
func (d *down) withhold(total int, err error) error {
	n := wire.Notice{Severity: "ERROR", Code: codeRefused, Message: err.Error()}
	var refused *proxy.RefusedError
	if errors.As(err, &refused) {
		n = refusal(&refused.Verdict)
	}
	d.muted = true
	d.done.Err = err
	return d.replace(total, wire.AppendError(nil, n))
}
