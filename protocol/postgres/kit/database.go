package kit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// maxAnswer bounds every message but rows, in bytes.
const maxAnswer = 1 << 20

// database is a session at a database. It reads rows value by value, so that nothing of a
// size that the server chooses is kept.
type database struct {
	dial protocol.Dial
	note func(protocol.ServerNotice)
	conn net.Conn
	in   *bufio.Reader

	pid   uint32
	key   []byte
	state protocol.TransactionState
	cells []protocol.Cell
	room  []byte // of the cells' texts
	kept  int    // bytes of the row that were kept

	mu     sync.Mutex
	ending bool
}

// openDatabase begins a session over a connection of dial, to the gateway's own handler.
func openDatabase(ctx context.Context, dial protocol.Dial, q protocol.DatabaseRequest) (protocol.Database, error) {
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{dial: dial, note: q.Note, conn: c, in: bufio.NewReaderSize(c, 32<<10)}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := d.begin(q); err != nil {
		c.Close()
		return nil, err
	}
	return d, nil
}

func (d *database) begin(q protocol.DatabaseRequest) error {
	params := []wire.Parameter{{Name: "user", Value: q.User}, {Name: "application_name", Value: "sallyport console"}, {Name: "client_encoding", Value: "UTF8"}}
	if q.Database != "" {
		params = append(params, wire.Parameter{Name: "database", Value: q.Database})
	}
	if _, err := d.conn.Write(wire.AppendStartup(nil, wire.Version30, params)); err != nil {
		return err
	}
	return d.answers(nil)
}

// Transaction implements [protocol.Database].
func (d *database) Transaction() protocol.TransactionState { return d.state }

// Run implements [protocol.Database].
func (d *database) Run(ctx context.Context, text string, to protocol.Results) error {
	if bytes.IndexByte([]byte(text), 0) >= 0 {
		return to.Fail(protocol.ServerNotice{Severity: "ERROR", Code: "22021", Message: "the text holds a NUL"})
	}
	stop := context.AfterFunc(ctx, func() { d.conn.Close() })
	defer stop()
	if _, err := d.conn.Write(wire.AppendQuery(nil, []byte(text))); err != nil {
		return err
	}
	return d.answers(to)
}

// answers reads until the server is ready for the next text. to is nil while the session
// begins: an error is returned then.
func (d *database) answers(to protocol.Results) error {
	var columns int
	for {
		typ, size, err := d.header()
		if err != nil {
			return protocol.Ended(err)
		}
		if typ == wire.DataRow && to != nil {
			if err := d.row(size, columns); err != nil {
				return protocol.Ended(err)
			}
			if err := to.Row(d.cells); err != nil {
				return err
			}
			continue
		}
		if typ == wire.CopyData && to != nil {
			if err := d.line(size); err != nil {
				return protocol.Ended(err)
			}
			if err := to.Row(d.cells); err != nil {
				return err
			}
			continue
		}
		if size > maxAnswer {
			return fmt.Errorf("the server sends a message %s of %d bytes, which is more than is read here (%d)", wire.TypeName(typ), size, maxAnswer)
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(d.in, body); err != nil {
			return protocol.Ended(err)
		}
		switch typ {
		case wire.Authentication:
			if code, _, err := wire.ParseAuth(body); err != nil || code != wire.AuthOK {
				return errors.New("the gateway asks its own client for a proof")
			}
		case wire.BackendKeyData:
			if d.pid, d.key, err = wire.ParseKey(body); err != nil {
				return err
			}
			d.key = bytes.Clone(d.key)
		case wire.NoticeResponse:
			n, err := notice(body)
			if err != nil {
				return err
			}
			d.note(n)
		case wire.ErrorResponse:
			n, err := notice(body)
			if err != nil {
				return err
			}
			if to == nil || n.Severity == "FATAL" || n.Severity == "PANIC" {
				return &n
			}
			if err := to.Fail(n); err != nil {
				return err
			}
		case wire.RowDescription:
			fields, err := wire.ParseRowDescription(body)
			if err != nil {
				return err
			}
			columns = len(fields)
			list := make([]protocol.ResultColumn, len(fields))
			for i, f := range fields {
				list[i] = protocol.ResultColumn{Name: f.Name, Type: typeName(f.Type)}
			}
			if err := to.Begin(list); err != nil {
				return err
			}
		case wire.CopyOutResponse:
			if err := to.Begin([]protocol.ResultColumn{{Name: "COPY", Type: "text"}}); err != nil {
				return err
			}
		case wire.CopyInResponse:
			if _, err := d.conn.Write(wire.AppendMessage(nil, wire.CopyFail, []byte("there is nothing to copy from here\x00"))); err != nil {
				return err
			}
		case wire.CommandComplete:
			tag, _, err := wire.ParseTag(body)
			if err != nil {
				return err
			}
			if err := to.End(string(tag)); err != nil {
				return err
			}
		case wire.EmptyQueryResponse:
			if err := to.End(""); err != nil {
				return err
			}
		case wire.ReadyForQuery:
			status, err := wire.ParseReady(body)
			if err != nil {
				return err
			}
			d.state = map[byte]protocol.TransactionState{'I': protocol.NoTransaction, 'T': protocol.InTransaction, 'E': protocol.FailedTransaction}[status]
			return nil
		case wire.ParameterStatus, wire.NotificationResponse, wire.CopyDone, wire.NegotiateVersion, wire.ParseComplete, wire.BindComplete, wire.NoData:
		default:
			return fmt.Errorf("the server sends a message %s, which no text asks for", wire.TypeName(typ))
		}
	}
}

// header reads the next message's type and the length of its body.
func (d *database) header() (byte, int, error) {
	head, err := d.in.Peek(wire.HeaderLen)
	if err != nil {
		return 0, 0, err
	}
	typ, total, err := wire.Header(head)
	if err != nil {
		return 0, 0, err
	}
	_, err = d.in.Discard(wire.HeaderLen)
	return typ, total - wire.HeaderLen, err
}

// row reads a row into d.cells.
func (d *database) row(size, columns int) error {
	var b [4]byte
	left := size - 2
	if _, err := io.ReadFull(d.in, b[:2]); err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint16(b[:])); n != columns || left < 4*n {
		return fmt.Errorf("%w: a row of %d values, where %d were announced", wire.ErrProtocol, n, columns)
	}
	d.cells, d.room, d.kept = d.cells[:0], d.room[:0], 0
	for range columns {
		if _, err := io.ReadFull(d.in, b[:]); err != nil {
			return err
		}
		left -= 4
		n := int(int32(binary.BigEndian.Uint32(b[:])))
		if n == -1 {
			d.cells = append(d.cells, protocol.Cell{})
			continue
		}
		if n < 0 || n > left {
			return fmt.Errorf("%w: a value of %d bytes", wire.ErrProtocol, n)
		}
		left -= n
		if err := d.value(n); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: a row that is longer than its values", wire.ErrProtocol)
	}
	return nil
}

// line reads a line of a COPY into d.cells.
func (d *database) line(size int) error {
	d.cells, d.room, d.kept = d.cells[:0], d.room[:0], 0
	if err := d.value(size); err != nil {
		return err
	}
	d.cells[0].Text = bytes.TrimSuffix(d.cells[0].Text, []byte("\n"))
	return nil
}

// value reads a value of n bytes, and keeps its beginning.
func (d *database) value(n int) error {
	keep := min(n, protocol.MaxCell, protocol.MaxRow-d.kept)
	from := len(d.room)
	if d.room == nil || cap(d.room)-from < keep { // cells before go on to refer to the memory that they were read into
		d.room, from = make([]byte, 0, protocol.MaxCell), 0
	}
	d.kept += keep
	d.room = d.room[:from+keep]
	text := d.room[from : from+keep : from+keep]
	if _, err := io.ReadFull(d.in, text); err != nil {
		return err
	}
	if _, err := d.in.Discard(n - keep); err != nil {
		return err
	}
	d.cells = append(d.cells, protocol.Cell{Text: text, Size: int64(n)})
	return nil
}

// notice reads an error or a notice.
func notice(body []byte) (n protocol.ServerNotice, err error) {
	fields, err := wire.ParseFields(body, nil)
	if err != nil {
		return n, err
	}
	for _, f := range fields {
		v := string(bytes.ToValidUTF8(f.Value, []byte("�")))
		switch f.Key {
		case 'S':
			if n.Severity == "" {
				n.Severity = v
			}
		case 'V': // the same in English
			n.Severity = v
		case 'C':
			n.Code = v
		case 'M':
			n.Message = v
		case 'D':
			n.Detail = v
		case 'H':
			n.Hint = v
		case 'P':
			n.Position, _ = strconv.Atoi(v) // 0 is not known
		}
	}
	return n, nil
}

// Cancel implements [protocol.Database].
func (d *database) Cancel(ctx context.Context) error {
	if d.key == nil {
		return nil
	}
	c, err := d.dial(ctx)
	if err != nil {
		return fmt.Errorf("cancelling what runs: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(wire.AppendCancel(nil, d.pid, d.key)); err != nil {
		return fmt.Errorf("cancelling what runs: %w", err)
	}
	_, err = io.Copy(io.Discard, c) // the gateway closes it once it has passed that on
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
		_, _ = d.conn.Write(wire.AppendMessage(nil, wire.Terminate))
	}
	return d.conn.Close()
}
