package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
)

// What a client sends into a COPY goes through a Flow as one stream of bytes, where
// somebody wants it; as it comes otherwise. Who wants rows is shown each, before the
// data's end goes to the server.

// inflow is what a client sends into a COPY, as others see it.
type inflow struct {
	flow   *proxy.Flow
	format copyFormat // nil: nobody wants rows
	header bool       // the next record is a line of names
	failed error      // nothing of the data may go to the server
	held   []byte     // of a record that is not yet whole
	out    []byte     // of records that are seen
	limit  int        // bytes of a record
	row    proxy.Row
	values [][]byte
}

// copyIn asks who wants to see the data of a COPY that the server is ready to read, as
// its CopyInResponse says. Nothing of it goes to the server after an error, which ends
// the session.
func (d *down) copyIn(e *entry, response []byte) (*inflow, error) {
	isBinary, columns, err := wire.ParseCopyResponse(response)
	if err != nil {
		return nil, err
	}
	facts := copyFacts(e.op)
	shape := &proxy.Shape{Kind: proxy.ShapeStream, Media: "stdin", Inbound: true, Copy: facts}
	if facts != nil {
		shape.Columns = make([]proxy.ShapeColumn, columns)
		for i := range shape.Columns {
			shape.Columns[i].Binary = isBinary
		}
	}
	flow, err := d.session.session.Flow(e.op, shape)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the data of a COPY: %w", err)
	case !flow.HasRow() && !flow.HasBytes():
		return nil, nil
	}
	in := &inflow{flow: flow, limit: d.settings.maxData()}
	switch {
	case !flow.HasRow():
	case isBinary:
		in.format = &binaryCopy{columns: columns}
	case e.newEncoding || !d.copied.separable(facts):
		v := proxy.Deny(proxy.CauseMasking, "", errCopyInEncoding, "")
		in.failed = &proxy.RefusedError{Verdict: v}
	case facts.Format == "csv":
		in.format, in.header = csvIn{newCSV(facts)}, facts.Header
	default:
		in.format, in.header = textIn{newTextCopy(facts)}, facts.Header
	}
	return in, nil
}

const errCopyInEncoding = "the gateway cannot separate rows in this encoding, so it cannot look at this COPY; set client_encoding to UTF8 first"

// see shows the rows in b, which goes on where the last call's ended, to who wants them, and
// returns what goes on: whole records, or all of b when nobody wants rows. It is valid until
// the next call.
func (c *inflow) see(b []byte) ([]byte, error) {
	if c.failed != nil || c.format == nil {
		return b, c.failed
	}
	c.out = c.out[:0]
	rest := b
	if len(c.held) > 0 {
		if c.held = append(c.held, b...); !c.mayEnd(b) {
			return nil, c.bounded()
		}
		rest = c.held
	}
	for len(rest) > 0 {
		n, isRow, err := c.format.next(rest)
		if err != nil { // the server refuses the data
			c.out = append(c.out, rest...)
			c.format, c.held = nil, nil
			return c.out, nil
		}
		if n == 0 {
			break
		}
		if err := c.record(rest[:n], isRow); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	c.held = append(c.held[:0], rest...)
	return c.out, c.bounded()
}

// mayEnd reports whether a record may end in b, so that what is held is worth another
// look.
func (c *inflow) mayEnd(b []byte) bool {
	_, binary := c.format.(*binaryCopy)
	return binary || bytes.ContainsAny(b, "\n\r")
}

// bounded reports an error when the record that is held is longer than the limit.
func (c *inflow) bounded() error {
	if len(c.held) > c.limit {
		return fmt.Errorf("%w: a row of this COPY", wire.ErrTooLarge)
	}
	return nil
}

// end shows the last row, which may have no line's end, and returns what goes on.
func (c *inflow) end() ([]byte, error) {
	c.out = c.out[:0]
	if c.failed != nil || c.format == nil || len(c.held) == 0 {
		return nil, c.failed
	}
	if _, ok := c.format.(*binaryCopy); ok {
		return c.held, nil // the server refuses half a row
	}
	return c.out, c.record(c.held, true)
}

// record shows a record to who wants rows, and appends to out what goes on of it.
func (c *inflow) record(record []byte, isRow bool) (err error) {
	if !isRow || c.header {
		c.header = c.header && !isRow
		c.out = append(c.out, record...)
		return nil
	}
	if c.values, err = c.format.decode(c.values[:0], record); err != nil {
		c.out = append(c.out, record...) // the server refuses it, too
		return nil
	}
	c.row.Reset(c.values)
	if err := c.flow.Row(&c.row); err != nil {
		return err
	}
	if c.row.Changed() {
		c.out = c.format.encode(c.out, c.values)
		if _, binary := c.format.(*binaryCopy); !binary { // lines end as the client has them end
			c.out = append(c.out[:len(c.out)-1], record[len(bytes.TrimRight(record, "\r\n")):]...)
		}
		return nil
	}
	c.out = append(c.out, record...)
	return nil
}

// textIn and csvIn are the formats as the server reads them: lines may end in a carriage
// return, and the data in a line of its own.
type (
	textIn struct{ *textCopy }
	csvIn  struct{ *csvCopy }
)

func (t textIn) next(b []byte) (int, bool, error) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '\n', '\r':
			return lineEnd(b, i)
		}
	}
	return 0, false, nil
}

func (t textIn) decode(dst [][]byte, record []byte) ([][]byte, error) {
	return t.textCopy.decode(dst, bytes.TrimRight(record, "\r\n"))
}

func (c csvIn) next(b []byte) (int, bool, error) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch x := b[i]; {
		case quoted && x == c.escape && c.escape != c.quote:
			i++
		case x == c.quote:
			quoted = !quoted
		case (x == '\n' || x == '\r') && !quoted:
			return lineEnd(b, i)
		}
	}
	return 0, false, nil
}

func (c csvIn) decode(dst [][]byte, record []byte) ([][]byte, error) {
	return c.csvCopy.decode(dst, bytes.TrimRight(record, "\r\n"))
}

// lineEnd returns where the line ends whose end begins at b[i].
func lineEnd(b []byte, i int) (int, bool, error) {
	if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
		i++
	}
	line := bytes.TrimRight(b[:i+1], "\r\n")
	return i + 1, len(line) > 0 && string(line) != `\.`, nil
}

// copyFlow returns what wants to see the data that the client sends now. Clients
// that send it before the server asks for it wait until that is known: what
// the server ignores, after an error, nobody wants.
func (u *up) copyFlow() (*inflow, error) {
	p := u.pending
	p.mu.Lock()
	known, flow := p.copying || !p.mayCopy(), p.copied
	p.mu.Unlock()
	if known {
		return flow, nil
	}
	if err := u.urge(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.copying && p.mayCopy() && !p.closed {
		p.wait()
	}
	if p.closed {
		return nil, context.Canceled
	}
	return p.copied, nil
}

// mayCopy reports whether the server may yet ask for COPY data: it owes the answer to
// something that runs, which may be several commands.
func (p *pending) mayCopy() bool {
	if p.skipping.Load() {
		return false
	}
	for e := p.head; e != nil; e = e.next {
		if (e.expect == expectQuery || e.expect == expectExecute) && e.refusal == nil {
			return true
		}
	}
	return false
}

// copyData begins a CopyData message of total bytes at pos.
func (u *up) copyData(total int) (err error) {
	if u.flow, err = u.copyFlow(); err == nil && u.flow != nil {
		u.rest = total - wire.HeaderLen
		u.drop(wire.HeaderLen)
	}
	return err
}

// copyIn passes a piece of a message through the flow, as a message of its own.
func (u *up) copyIn(piece []byte) error {
	seen, err := u.flow.see(piece)
	if err != nil {
		return u.refuseCopy(len(piece), err)
	}
	u.collect()
	return u.through(len(piece), func(dst []byte) ([]byte, error) { return u.flow.flow.Bytes(dst, seen) })
}

// copyDone passes on what the flow held back, before the data's end. It is false when the
// COPY is refused: its end was sent.
func (u *up) copyDone() (bool, error) {
	p := u.pending
	p.mu.Lock()
	in := p.copied
	p.mu.Unlock()
	if in == nil {
		return true, nil
	}
	u.flow = in
	seen, err := in.end()
	if err != nil {
		return false, u.refuseCopy(0, err)
	}
	u.collect()
	if len(seen) > 0 {
		if err := u.through(0, func(dst []byte) ([]byte, error) { return in.flow.Bytes(dst, seen) }); err != nil || u.copyRefused {
			return false, err
		}
	}
	if err := u.through(0, in.flow.End); err != nil || u.copyRefused {
		return false, err
	}
	p.mu.Lock()
	p.copied = nil
	p.mu.Unlock()
	return true, nil
}

// through appends a message of what pass appends, in the place of n bytes.
func (u *up) through(n int, pass func(dst []byte) ([]byte, error)) error {
	begin := len(u.out)
	u.out = append(u.out, wire.CopyData, 0, 0, 0, 0)
	out, err := pass(u.out)
	if err != nil {
		u.out = u.out[:begin]
		return u.refuseCopy(n, err)
	}
	if u.out = out; len(out) == begin+wire.HeaderLen {
		u.out = out[:begin] // nothing yet
	} else {
		binary.BigEndian.PutUint32(out[begin+1:], uint32(len(out)-begin-1))
	}
	u.drop(n)
	return nil
}

// refuseCopy has the COPY fail whose data err refuses, in the place of n bytes: the server
// is told that the client gives up, and its error is replaced by ours. What the client
// still sends of the data is dropped. Any other error ends the session.
func (u *up) refuseCopy(n int, err error) error {
	var refused *proxy.RefusedError
	if !errors.As(err, &refused) {
		return fmt.Errorf("the data of a COPY: %w", err)
	}
	p := u.pending
	p.mu.Lock()
	if p.copied == u.flow { // otherwise the server has failed it meanwhile
		p.head.refusal, p.head.refused = wire.AppendError(nil, refusal(&refused.Verdict)), refused
		p.copied = nil
	}
	p.mu.Unlock()
	u.flow, u.dropRest, u.copyRefused = nil, true, true
	return u.replaceExpecting(p.take(copyEnd), n, giveUp)
}
