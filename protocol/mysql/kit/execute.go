package kit

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// Execute implements [protocol.Executor]: by a prepared statement, which is closed afterwards. Values
// are texts, or whole numbers of 64 bits. A statement without values that the server does not prepare,
// such as START TRANSACTION at MySQL, is sent as a text.
func (d *database) Execute(ctx context.Context, text string, args []protocol.Argument, to protocol.Results) error {
	stop := context.AfterFunc(ctx, func() { d.conn.Close() })
	defer stop()
	return protocol.Ended(d.execute(text, args, to))
}

func (d *database) execute(text string, args []protocol.Argument, to protocol.Results) error {
	refuse := func(code, message string) error {
		return to.Fail(protocol.ServerNotice{Severity: "ERROR", Code: code, Message: message})
	}
	size := len(text)
	for _, a := range args {
		size += len(a.Text)
	}
	switch {
	case size+16*len(args)+64 >= wire.MaxPacket:
		return refuse("1153 (08S01)", "the text and its values are too long")
	case len(args) > math.MaxUint16:
		return refuse("1390 (HY000)", "the statement has too many parameters")
	}
	x := &wire.Execution{}
	for _, a := range args {
		kind, value := wire.TypeVarString, a.Text
		if a.Integer && a.Text != nil {
			n, err := strconv.ParseInt(string(a.Text), 10, 64)
			if err != nil {
				return refuse("1264 (22003)", fmt.Sprintf("%q is not a whole number of 64 bits", a.Text))
			}
			kind, value = wire.TypeLongLong, binary.LittleEndian.AppendUint64(nil, uint64(n))
		}
		x.Types, x.Values = append(x.Types, wire.ParamType(kind)), append(x.Values, value)
	}
	st, refusal, err := d.prepare(text)
	switch {
	case err != nil:
		return err
	case refusal == nil:
	case refusal.Code == unprepared && len(args) == 0:
		return d.query(text, to)
	default:
		return to.Fail(noticeOf(refusal))
	}
	x.ID = st.ID
	defer d.closeStatement(st.ID)
	if st.Params != len(args) {
		return refuse("1210 (HY000)", fmt.Sprintf("the statement has %d parameters, and there are %d values", st.Params, len(args)))
	}
	if err := d.command(wire.AppendExecution(nil, x, func(int) bool { return false })); err != nil {
		return err
	}
	return d.results(to, d.binaryRow)
}

// command sends a payload that begins a conversation.
func (d *database) command(payload []byte) error {
	d.in.seq = 0
	return d.send(payload)
}

// closeStatement has the server forget a statement. It does not answer.
func (d *database) closeStatement(id uint32) {
	// Where it cannot be sent the session has ended, which the next call says.
	_ = d.command(binary.LittleEndian.AppendUint32([]byte{byte(wire.StmtClose)}, id))
}

// unprepared is the code of the error of servers that know a statement, and do not prepare it.
const unprepared = 1295

// prepare has a text prepared. refusal is what the server or the gateway says when it has not done so.
func (d *database) prepare(text string) (st wire.Prepared, refusal *wire.Error, err error) {
	if err := d.command(append([]byte{byte(wire.StmtPrepare)}, text...)); err != nil {
		return st, nil, err
	}
	b, err := d.in.whole()
	switch {
	case err != nil:
		return st, nil, err
	case b[0] == wire.ErrHeader:
		e, err := wire.ParseError(b)
		return st, &e, err
	case b[0] != wire.OKHeader:
		return st, nil, fmt.Errorf("%w: an answer to a preparation that begins with %#x", wire.ErrProtocol, b[0])
	}
	if st, err = wire.ParsePrepared(b); err != nil {
		return st, nil, err
	}
	for _, n := range []int{st.Params, st.Columns} { // what they are is said again with the rows
		if n > 0 && !d.agreed.Has(wire.DeprecateEOF) {
			n++
		}
		for range n {
			if _, err := d.in.whole(); err != nil {
				return st, nil, err
			}
		}
	}
	return st, nil, nil
}

// maxFixed is the most bytes that a value in binary format has whose text is another one.
const maxFixed = 16

// binaryRow reads a row in binary format into d.cells.
func (d *database) binaryRow() error {
	d.cells, d.room, d.kept = d.cells[:0], d.room[:0], 0
	nulls := make([]byte, 1+(len(d.types)+7+2)/8)
	if err := d.in.read(nulls); err != nil {
		return err
	}
	for i := range d.types {
		c := &d.types[i]
		if k := i + 2; nulls[1+k/8]&(1<<(k%8)) != 0 {
			d.cells = append(d.cells, protocol.Cell{})
			continue
		}
		size, fixed := c.Type.Size()
		n := uint64(size)
		if !fixed {
			var null bool
			var err error
			if n, null, err = d.in.length(); err != nil {
				return err
			}
			if null {
				return fmt.Errorf("%w: a value without a length", wire.ErrProtocol)
			}
		}
		if c.Type.Textual() {
			if err := d.value(n, isBytes(c)); err != nil {
				return err
			}
			continue
		}
		var raw [maxFixed]byte
		if n > maxFixed {
			return fmt.Errorf("%w: a value of %d bytes", wire.ErrProtocol, n)
		}
		if err := d.in.read(raw[:n]); err != nil {
			return err
		}
		if !c.Type.Valid(raw[:n]) {
			return fmt.Errorf("%w: a value of %d bytes in a column of type %d", wire.ErrProtocol, n, c.Type)
		}
		text := c.Type.AppendText(nil, raw[:n], c.Flags&wire.FlagUnsigned != 0, c.Decimals)
		d.cells = append(d.cells, protocol.Cell{Text: text, Size: int64(len(text))})
	}
	return d.in.over()
}
