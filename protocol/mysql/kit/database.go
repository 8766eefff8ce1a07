package kit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

const (
	// maxAnswer bounds every payload but rows, in bytes.
	maxAnswer = 1 << 20
	// utf8 is utf8mb4_general_ci, and bytesOnly the collation of bytes.
	utf8, bytesOnly = 45, 63
)

// database is a session at a server. It reads rows value by value, so that nothing of a size that
// the server chooses is kept.
type database struct {
	dial    protocol.Dial
	request protocol.DatabaseRequest
	conn    net.Conn
	in      payloads

	id     uint32 // of the connection
	agreed wire.Capabilities
	state  protocol.TransactionState
	types  []wire.Column
	cells  []protocol.Cell
	room   []byte // of the cells' texts
	kept   int    // bytes of the row that were kept

	mu     sync.Mutex
	ending bool
}

// openDatabase begins a session over a connection of dial, to the gateway's own handler.
func openDatabase(ctx context.Context, dial protocol.Dial, q protocol.DatabaseRequest) (protocol.Database, error) {
	d, err := begin(ctx, dial, q)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func begin(ctx context.Context, dial protocol.Dial, q protocol.DatabaseRequest) (*database, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{dial: dial, request: q, conn: c, in: payloads{conn: bufio.NewReaderSize(c, 32<<10)}, state: protocol.NoTransaction}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := d.login(q); err != nil {
		c.Close()
		return nil, err
	}
	return d, nil
}

func (d *database) login(q protocol.DatabaseRequest) error {
	b, err := d.in.whole()
	if err != nil {
		return protocol.Ended(err)
	}
	if len(b) > 0 && b[0] == wire.ErrHeader {
		return failure(b)
	}
	g, err := wire.ParseGreeting(b)
	if err != nil {
		return err
	}
	const can = wire.LongPassword | wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.PluginAuthLength | wire.MultiStatements | wire.MultiResults |
		wire.Transactions | wire.ConnectAttrs | wire.DeprecateEOF
	d.id, d.agreed = g.ID, can&g.Capabilities|wire.Protocol41
	r := &wire.Response{
		Capabilities: d.agreed, MaxPacket: 1 << 24, Charset: utf8, User: []byte(q.User), Plugin: []byte(g.Plugin),
		Attrs: []wire.Attr{{Name: []byte("program_name"), Value: []byte("sallyport console")}},
	}
	if q.Database != "" {
		r.Capabilities |= wire.ConnectWithDB
		r.Database = []byte(q.Database)
	}
	if err := d.send(wire.AppendResponse(nil, r)); err != nil {
		return err
	}
	b, err = d.in.whole()
	switch {
	case err != nil:
		return protocol.Ended(err)
	case len(b) > 0 && b[0] == wire.ErrHeader:
		return failure(b)
	case len(b) == 0 || b[0] != wire.OKHeader:
		return errors.New("the gateway asks its own client for a proof")
	}
	return nil
}

// send writes a payload that answers the last one.
func (d *database) send(payload []byte) error {
	b, seq := wire.AppendPacket(nil, d.in.seq, payload)
	d.in.seq = seq
	_, err := d.conn.Write(b)
	return err
}

// failure is an error of the server's or the gateway's.
func failure(b []byte) error {
	n, err := notice(b)
	if err != nil {
		return err
	}
	return &n
}

func notice(b []byte) (n protocol.ServerNotice, err error) {
	e, err := wire.ParseError(b)
	if err != nil {
		return n, err
	}
	return noticeOf(&e), nil
}

func noticeOf(e *wire.Error) protocol.ServerNotice {
	code := strconv.Itoa(int(e.Code))
	if len(e.State) > 0 {
		code += " (" + string(bytes.ToValidUTF8(e.State, []byte("?"))) + ")"
	}
	return protocol.ServerNotice{Severity: "ERROR", Code: code, Message: string(bytes.ToValidUTF8(e.Message, []byte("�")))}
}

// Transaction implements [protocol.Database].
func (d *database) Transaction() protocol.TransactionState { return d.state }

// Run implements [protocol.Database].
func (d *database) Run(ctx context.Context, text string, to protocol.Results) error {
	if len(text)+1 >= wire.MaxPacket {
		return to.Fail(protocol.ServerNotice{Severity: "ERROR", Code: "1153 (08S01)", Message: "the text is too long"})
	}
	stop := context.AfterFunc(ctx, func() { d.conn.Close() })
	defer stop()
	return protocol.Ended(d.query(text, to))
}

// query sends a text, and reads its results.
func (d *database) query(text string, to protocol.Results) error {
	if err := d.command(append([]byte{byte(wire.Query)}, text...)); err != nil {
		return err
	}
	return d.results(to, d.row)
}

// results reads the results of a command.
func (d *database) results(to protocol.Results, row func() error) error {
	for {
		more, err := d.result(to, row)
		if err != nil || !more {
			return err
		}
	}
}

// result reads one result, with rows in the format that row reads, and reports whether another one follows.
func (d *database) result(to protocol.Results, row func() error) (more bool, err error) {
	b, err := d.in.whole()
	if err != nil {
		return false, err
	}
	switch {
	case len(b) == 0:
		return false, fmt.Errorf("%w: an empty packet", wire.ErrProtocol)
	case b[0] == wire.ErrHeader:
		return false, d.fail(b, to)
	case b[0] == wire.OKHeader:
		ok, err := wire.ParseOK(b, d.agreed)
		if err != nil {
			return false, err
		}
		return d.end(ok.Status, fmt.Sprintf("OK %d", ok.Affected), to)
	case b[0] == wire.InfileHeader:
		return false, fmt.Errorf("%w: the server asks for a file, which nobody offered", wire.ErrProtocol)
	}
	n, size := wire.Length(b)
	if size != len(b) || n == 0 || n > 1<<16 {
		return false, fmt.Errorf("%w: a result of %d columns", wire.ErrProtocol, n)
	}
	if err := d.columns(int(n), to); err != nil {
		return false, err
	}
	for rows := 0; ; rows++ {
		size, first, err := d.in.next()
		if err != nil {
			return false, err
		}
		if first != wire.ErrHeader && !wire.IsEnd(first, size, d.agreed) {
			if err := row(); err != nil {
				return false, err
			}
			if err := to.Row(d.cells); err != nil {
				return false, err
			}
			continue
		}
		b, err := d.in.rest()
		if err != nil {
			return false, err
		}
		if first == wire.ErrHeader {
			return false, d.fail(b, to)
		}
		var status uint16
		if d.agreed.Has(wire.DeprecateEOF) {
			ok, err := wire.ParseOK(b, d.agreed)
			if err != nil {
				return false, err
			}
			status = ok.Status
		} else if _, status, err = wire.ParseEOF(b); err != nil {
			return false, err
		}
		return d.end(status, fmt.Sprintf("ROWS %d", rows), to)
	}
}

func (d *database) fail(b []byte, to protocol.Results) error {
	n, err := notice(b)
	if err != nil {
		return err
	}
	return to.Fail(n)
}

func (d *database) end(status uint16, tag string, to protocol.Results) (more bool, err error) {
	d.state = protocol.NoTransaction
	if status&wire.StatusInTransaction != 0 {
		d.state = protocol.InTransaction
	}
	return status&wire.StatusMoreResults != 0, to.End(tag)
}

// columns reads the descriptions of a result's columns.
func (d *database) columns(n int, to protocol.Results) error {
	d.types = d.types[:0]
	var list []protocol.ResultColumn
	for range n {
		b, err := d.in.whole()
		if err != nil {
			return err
		}
		c, err := wire.ParseColumn(b, d.agreed)
		if err != nil {
			return err
		}
		list = append(list, protocol.ResultColumn{Name: string(bytes.ToValidUTF8(c.Name, []byte("�"))), Type: typeName(&c)})
		d.types = append(d.types, wire.Column{Type: c.Type, Charset: c.Charset, Flags: c.Flags, Decimals: c.Decimals})
	}
	if !d.agreed.Has(wire.DeprecateEOF) {
		if _, err := d.in.whole(); err != nil {
			return err
		}
	}
	return to.Begin(list)
}

// row reads a row into d.cells.
func (d *database) row() error {
	d.cells, d.room, d.kept = d.cells[:0], d.room[:0], 0
	for i := range d.types {
		n, null, err := d.in.length()
		switch {
		case err != nil:
			return err
		case null:
			d.cells = append(d.cells, protocol.Cell{})
			continue
		}
		if err := d.value(n, isBytes(&d.types[i])); err != nil {
			return err
		}
	}
	return d.in.over()
}

// isBytes reports whether a column's values are bytes. Servers say so of numbers and JSON, too.
func isBytes(c *wire.Column) bool {
	switch c.Type {
	case wire.TypeDecimal, wire.TypeNewDecimal, wire.TypeJSON:
		return false
	}
	return c.Charset == bytesOnly && c.Type.Textual()
}

// value reads a value of n bytes, and keeps its beginning: of bytes as digits.
func (d *database) value(n uint64, bytes bool) error {
	keep := int(min(n, uint64(protocol.MaxCell), uint64(protocol.MaxRow-d.kept)))
	if bytes {
		keep = min(keep, protocol.MaxCell/2-1)
	}
	room := keep
	if bytes {
		room = 2 + 2*keep
	}
	from := len(d.room)
	if d.room == nil || cap(d.room)-from < room { // cells before go on to refer to the memory that they were read into
		d.room, from = make([]byte, 0, protocol.MaxCell), 0
	}
	d.kept += keep
	d.room = d.room[:from+room]
	text := d.room[from : from+room : from+room]
	raw := text[room-keep:]
	if err := d.in.read(raw); err != nil {
		return err
	}
	if err := d.in.skip(n - uint64(keep)); err != nil {
		return err
	}
	if bytes {
		copy(text, "0x")
		digits := hex.AppendEncode(nil, raw)
		copy(text[2:], digits)
	}
	d.cells = append(d.cells, protocol.Cell{Text: text, Size: int64(n)})
	return nil
}

// Cancel implements [protocol.Database]: as clients do, by another connection.
func (d *database) Cancel(ctx context.Context) error {
	q := d.request
	q.Note = func(protocol.ServerNotice) {}
	other, err := begin(ctx, d.dial, q)
	if err != nil {
		return fmt.Errorf("cancelling what runs: %w", err)
	}
	defer other.Close()
	if err := other.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err = protocol.Rows(ctx, other, "KILL QUERY "+strconv.FormatUint(uint64(d.id), 10), 0)
	return err
}

// Close implements [protocol.Database].
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending {
		return nil
	}
	d.ending = true
	// Who runs something does not wait for it.
	if err := d.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err == nil {
		b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
		_, _ = d.conn.Write(b)
	}
	return d.conn.Close()
}

// typeName is what the server calls a column's type.
func typeName(c *wire.Column) string {
	name, ok := typeNames[c.Type]
	if !ok {
		return strconv.Itoa(int(c.Type))
	}
	if text, blob, two := strings.Cut(name, "|"); two {
		if name = text; c.Charset == bytesOnly {
			name = blob
		}
	}
	if c.Flags&wire.FlagUnsigned != 0 && !c.Type.Textual() {
		name += " unsigned"
	}
	return name
}

var typeNames = map[wire.Type]string{
	wire.TypeDecimal: "decimal", wire.TypeTiny: "tinyint", wire.TypeShort: "smallint", wire.TypeLong: "int", wire.TypeFloat: "float", wire.TypeDouble: "double",
	wire.TypeNull: "null", wire.TypeTimestamp: "timestamp", wire.TypeLongLong: "bigint", wire.TypeInt24: "mediumint", wire.TypeDate: "date", wire.TypeTime: "time",
	wire.TypeDatetime: "datetime", wire.TypeYear: "year", wire.TypeNewDate: "date", wire.TypeVarchar: "varchar|varbinary", wire.TypeBit: "bit", wire.TypeJSON: "json",
	wire.TypeNewDecimal: "decimal", wire.TypeEnum: "enum", wire.TypeSet: "set", wire.TypeTinyBlob: "tinytext|tinyblob", wire.TypeMediumBlob: "mediumtext|mediumblob",
	wire.TypeLongBlob: "longtext|longblob", wire.TypeBlob: "text|blob", wire.TypeVarString: "varchar|varbinary", wire.TypeString: "char|binary", wire.TypeGeometry: "geometry",
}
