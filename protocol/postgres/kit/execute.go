package kit

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
)

// Execute implements [protocol.Executor]: by the extended protocol, with values in text format
// whose types the server finds out.
func (d *database) Execute(ctx context.Context, text string, args []protocol.Argument, to protocol.Results) error {
	refuse := func(message string) error {
		return to.Fail(protocol.ServerNotice{Severity: "ERROR", Code: "22021", Message: message})
	}
	if bytes.IndexByte([]byte(text), 0) >= 0 {
		return refuse("the text holds a NUL")
	}
	if len(args) > math.MaxUint16 {
		return refuse("the statement has too many parameters")
	}
	values := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 0}, uint16(len(args))) // no names, and all in text format
	for _, a := range args {
		if a.Text == nil {
			values = binary.BigEndian.AppendUint32(values, math.MaxUint32)
			continue
		}
		if bytes.IndexByte(a.Text, 0) >= 0 {
			return refuse("a value holds a NUL, which no text of PostgreSQL has")
		}
		values = append(binary.BigEndian.AppendUint32(values, uint32(len(a.Text))), a.Text...)
	}
	values = binary.BigEndian.AppendUint16(values, 0) // results in text format
	b := wire.AppendParse(nil, nil, []byte(text), nil)
	b = wire.AppendMessage(b, wire.Bind, values)
	b = wire.AppendDescribePortal(b, nil)
	b = wire.AppendExecute(b, "", 0)
	b = wire.AppendMessage(b, wire.Sync)
	stop := context.AfterFunc(ctx, func() { d.conn.Close() })
	defer stop()
	if _, err := d.conn.Write(b); err != nil {
		return protocol.Ended(err)
	}
	return d.answers(to)
}
