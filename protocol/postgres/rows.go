package postgres

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// rowFilter passes rows through a Flow.
type rowFilter struct {
	active  bool
	named   bool // a RowDescription has come for the rows that follow
	own     bool // the rows are those of a question of the gateway's own
	open    bool // the first row has come, and there are no filters for it
	columns int
	flow    *proxy.Flow
	row     proxy.Row
	values  [][]byte
}

func newShape(description []byte) (*proxy.Shape, error) {
	fields, err := wire.ParseRowDescription(description)
	if err != nil {
		return nil, err
	}
	s := &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, len(fields))}
	for i, f := range fields {
		s.Columns[i] = proxy.ShapeColumn{Name: f.Name, Table: f.Table, Attr: f.Attr, Type: f.Type, Binary: f.Binary}
	}
	return s, nil
}

// setShape notes the rows that the statement returns; formats are not yet
// chosen.
func (s *statement) setShape(p *pending, shape *proxy.Shape) {
	if s == unknownStatement {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.shape = shape
}

// setShape notes the rows that the portal returns.
func (p *portal) setShape(q *pending, shape *proxy.Shape) {
	if p == unknownPortal {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	p.shape = shape
}

// startRows asks for filters over the rows of e's operation.
func (d *down) startRows(e *entry, shape *proxy.Shape) error {
	d.row.end()
	if e.op == nil {
		return nil
	}
	flow, err := d.session.session.Flow(e.op, shape)
	if err != nil {
		return err
	}
	if flow.HasBytes() {
		return errors.New("a filter asked for rows as bytes, which this protocol does not have")
	}
	d.row.flow, d.row.active, d.row.named, d.row.columns = flow, flow.HasRow(), true, len(shape.Columns)
	return nil
}

// firstRow is called at the first row of a result that has no filter yet: the
// rows of an Execute, whose description came before.
func (d *down) firstRow() error {
	e := d.owed()
	if e != nil && e.expect == expectLook && !d.skipping {
		d.row.active, d.row.own = true, true // it is not the client's
		return nil
	}
	if e == nil || d.skipping || e.expect != expectQuery && e.expect != expectExecute {
		return unexpected(wire.DataRow)
	}
	if e.refusal != nil {
		return unexpected(wire.DataRow)
	}
	if !e.filtered {
		d.row.open = true
		return nil
	}
	if d.copied.open || e.copying {
		return unexpected(wire.DataRow)
	}
	if e.expect == expectQuery {
		if !d.row.named {
			return unexpected(wire.DataRow)
		}
		d.row.open = true
		return nil
	}
	d.pending.mu.Lock()
	shape := e.portal.shape
	d.pending.mu.Unlock()
	if shape == nil {
		return errors.New("rows came without a description")
	}
	if err := d.startRows(e, shape); err != nil {
		return d.withhold(0, err)
	}
	d.row.open = !d.row.active
	return nil
}

// end notes that the rows have come to their end.
func (f *rowFilter) end() { f.active, f.named, f.own, f.open = false, false, false, false }

// dataRow passes a row through the filters.
func (d *down) dataRow(e *entry, body []byte, total int) error {
	if d.muted {
		d.drop(total)
		return nil
	}
	f := &d.row
	var err error
	if f.values, err = wire.RowValues(body, f.values[:0]); err != nil {
		return err
	}
	if len(f.values) != f.columns {
		return fmt.Errorf("%w: a row of %d values, where %d were announced", wire.ErrProtocol, len(f.values), f.columns)
	}
	f.row.Reset(f.values)
	if err := f.flow.Row(&f.row); err != nil {
		return d.withhold(total, err)
	}
	d.done.Rows++
	if !f.row.Changed() {
		d.done.BytesOut += uint64(total)
		d.pass(total)
		return nil
	}
	d.out = append(d.out, d.reader.Buffered()[d.start:d.pos]...)
	before := len(d.out)
	d.out = wire.AppendRow(d.out, f.values)
	d.done.BytesOut += uint64(len(d.out) - before)
	return d.replaced(total)
}

// replaced moves on over the total bytes at pos, for which out holds something
// already.
func (d *down) replaced(total int) error {
	d.pos += total
	d.start = d.pos
	if len(d.out) >= maxOut {
		return d.flush()
	}
	return nil
}
