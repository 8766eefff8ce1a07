package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// rowFilter passes rows through a Flow. Filters see values as text, whatever their format.
type rowFilter struct {
	active bool
	binary bool
	flow   *proxy.Flow
	shape  *proxy.Shape
	types  []wire.Type
	about  []aboutColumn
	names  []int // columns whose names may be data

	row    proxy.Row
	raw    [][]byte // as they came
	given  [][]byte // as filters were given them
	values [][]byte // as they left them
	texts  []byte
	coded  []byte
}

type aboutColumn struct {
	unsigned bool
	decimals byte
	charset  uint16
}

// begin notes that descriptions of n columns are to come.
func (f *rowFilter) begin(n int) {
	f.shape = &proxy.Shape{Kind: proxy.ShapeRows, Columns: make([]proxy.ShapeColumn, 0, min(n, 256))}
	f.types, f.about, f.names = f.types[:0], f.about[:0], f.names[:0]
}

// end notes that the rows have come to their end.
func (f *rowFilter) end() { f.active, f.flow, f.shape = false, nil, nil }

// describe takes the description of the next column.
func (f *rowFilter) describe(c *wire.Column, isBinary bool) {
	f.binary = isBinary
	if likeData(c.Name) {
		f.names = append(f.names, len(f.shape.Columns))
	}
	f.types = append(f.types, c.Type)
	f.about = append(f.about, aboutColumn{c.Flags&wire.FlagUnsigned != 0, c.Decimals, c.Charset})
	f.shape.Columns = append(f.shape.Columns, proxy.ShapeColumn{Name: nameOf(c), Type: typeOf(c.Type, c.Charset, c.Flags&wire.FlagUnsigned != 0)})
}

// nameOf is a column's name. A server calls a column that was computed by its expression, which is
// nobody's name for it: to interceptors it has none, in the words of PostgreSQL.
func nameOf(c *wire.Column) string {
	if len(c.Schema) == 0 && bytes.ContainsFunc(c.Name, func(r rune) bool {
		return r < '0' && r != '$' || r > '9' && r < 'A' || r > 'Z' && r < '_' || r == '`' || r > 'z' && r < 0x80
	}) {
		return "?column?"
	}
	return string(c.Name)
}

// likeData reports whether a name has four digits or an @.
func likeData(name []byte) bool {
	digits := 0
	for _, c := range name {
		switch {
		case c >= '0' && c <= '9':
			if digits++; digits == 4 {
				return true
			}
		case c == '@':
			return true
		}
	}
	return false
}

var (
	errBytes   = errors.New("a filter asked for rows as bytes, which this protocol does not have")
	errNames   = errors.New("a name of a column holds what must not be shown")
	errUnplain = errors.New("rows in this character set cannot be looked into, so they are withheld; set character_set_results to utf8mb4, as SET NAMES utf8mb4 does")
)

// startRows asks for filters over the rows of a's operation, whose columns are known.
func (d *down) startRows(a *answer) error {
	a.phase = phaseRows
	f := &a.row
	if f.shape == nil || d.muted {
		return nil
	}
	if err := d.tellNames(a); err != nil {
		return d.withhold(a, 0, err)
	}
	if !a.filtered {
		return nil
	}
	f.shape.Part = a.part + 1
	flow, err := d.session.session.Flow(a.op, f.shape)
	switch {
	case err != nil:
	case flow.HasBytes():
		err = errBytes
	case flow.HasRow() && slices.ContainsFunc(f.about, func(c aboutColumn) bool { return !plainCollation(c.charset) }):
		err = errUnplain
	}
	if err != nil {
		return d.withhold(a, 0, err)
	}
	f.flow, f.active = flow, flow.HasRow() || a.about != nil && d.wantsTexts()
	return nil
}

// tellNames shows the interceptors the names of a result's columns that may be data.
// Others, which are almost all, cost nothing.
func (d *down) tellNames(a *answer) error {
	f := &a.row
	if len(f.names) == 0 || !d.wantsTexts() {
		return nil
	}
	m := &proxy.Message{Kind: proxy.MessageNames}
	for _, i := range f.names {
		m.Fields = append(m.Fields, proxy.MessageField{Name: "column", Value: []byte(f.shape.Columns[i].Name)})
	}
	if err := d.session.session.Tell(a.op, m); err != nil {
		return err
	}
	if m.Changed() {
		return errNames
	}
	return nil
}

// dataRow passes a row through the filters. total is 0 when nothing of it is at pos.
func (d *down) dataRow(a *answer, body []byte, total int) error {
	if a.look != nil {
		d.drop(total)
		return a.look.row(body)
	}
	if d.muted {
		d.drop(total)
		return nil
	}
	f := &a.row
	if err := f.decode(body); err != nil {
		return err
	}
	f.row.Reset(f.values)
	err := d.warning(a)
	if err == nil && f.flow.HasRow() {
		err = f.flow.Row(&f.row)
	}
	if err != nil {
		return d.withhold(a, total, err)
	}
	a.done.Rows++
	if !f.row.Changed() && total > 0 {
		a.done.BytesOut += uint64(len(body))
		d.pass(total)
		return nil
	}
	d.drop(total)
	at := len(d.out)
	d.out = wire.BeginPacket(d.out)
	if f.row.Changed() {
		d.out = f.encode(d.out)
	} else {
		d.out = append(d.out, body...)
	}
	a.done.BytesOut += uint64(len(d.out) - at - wire.HeaderLen)
	d.out, d.outSeq = wire.EndPacket(d.out, at, d.outSeq)
	return d.room()
}

// warning shows a message in a row, of another statement, to the interceptors.
func (d *down) warning(a *answer) error {
	f := &a.row
	if a.about == nil || f.row.Len() == 0 || !d.wantsTexts() {
		return nil
	}
	last := f.row.Len() - 1
	a.about.Meta = a.statement.Meta
	m := &proxy.Message{Kind: proxy.MessageNotice, Code: stateOfValue, Fields: []proxy.MessageField{{Name: "message", Value: f.row.Value(last)}}}
	if err := d.session.session.Tell(a.about, m); err != nil {
		return err
	}
	if m.Changed() {
		f.row.Set(last, m.Fields[0].Value)
	}
	return nil
}

// stateOfValue is that of messages that may quote values.
const stateOfValue = "22000"

// decode reads the values of a row.
func (f *rowFilter) decode(body []byte) (err error) {
	if f.binary {
		f.raw, err = wire.BinaryRow(f.raw[:0], body, f.types)
	} else {
		f.raw, err = wire.TextRow(f.raw[:0], body)
	}
	if err != nil {
		return err
	}
	if len(f.raw) != len(f.types) {
		return fmt.Errorf("%w: a row of %d values, where %d were announced", wire.ErrProtocol, len(f.raw), len(f.types))
	}
	f.given = append(f.given[:0], f.raw...)
	if f.binary {
		f.texts = f.texts[:0]
		for i, v := range f.raw {
			if v == nil || f.types[i].Textual() {
				continue
			}
			at := len(f.texts)
			f.texts = f.types[i].AppendText(f.texts, v, f.about[i].unsigned, f.about[i].decimals)
			f.given[i] = f.texts[at:len(f.texts):len(f.texts)]
		}
	}
	f.values = append(f.values[:0], f.given...)
	return nil
}

// encode appends the payload of a row that filters have changed.
func (f *rowFilter) encode(dst []byte) []byte {
	f.coded = f.coded[:0]
	for i, v := range f.values {
		switch {
		case v == nil:
			continue
		case same(v, f.given[i]):
			f.values[i] = f.raw[i]
			continue
		case f.types[i].Textual():
			continue
		}
		at := len(f.coded)
		coded, ok := f.types[i].AppendBinary(f.coded, v, f.about[i].unsigned)
		switch f.coded = coded; {
		case !ok:
			f.values[i] = nil // no value of the type says what takes its place
		case f.binary:
			f.values[i] = coded[at:len(coded):len(coded)]
		}
	}
	if f.binary {
		return wire.AppendBinaryRow(dst, f.values, f.types)
	}
	return wire.AppendTextRow(dst, f.values)
}

// same reports whether two slices are one.
func same(a, b []byte) bool {
	return b != nil && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// maxLook bounds what a question of the gateway's own keeps.
const maxLook = 1 << 20

var errLong = errors.New("the answer is longer than the gateway takes")

func (l *look) row(body []byte) error {
	if l.count >= l.limit || l.size+len(body) > l.most {
		l.err = errLong
		return nil
	}
	values, err := wire.TextRow(nil, body)
	if err != nil {
		return err
	}
	l.count++
	if l.keep != nil {
		l.size += len(body)
		if l.err == nil {
			l.err = l.keep(values)
		}
		return nil
	}
	row := make([]string, len(values))
	for i, v := range values {
		row[i] = string(v)
	}
	l.size += len(body)
	l.rows = append(l.rows, row)
	return nil
}
