// Package wire holds the client/server protocol of MySQL and MariaDB at the level
// of bytes: packets with limits, what both sides say until a session is there,
// and views of what goes on in one.
//
// Views refer to the buffer they were made from and allocate nothing. No length
// that a peer has merely claimed is allocated.
//
// See https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html and
// https://mariadb.com/kb/en/clientserver-protocol/.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderLen is the length of a packet's header: the length of what follows in
// three bytes, and a number that counts the packets of an exchange.
const HeaderLen = 4

// MaxPacket is the most that one packet holds. One that holds as much is followed by
// another, which goes on with it and may be empty.
const MaxPacket = 1<<24 - 1

// Header reads a packet's header from b, which holds at least HeaderLen bytes.
func Header(b []byte) (n int, seq byte) {
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16, b[3]
}

// AppendHeader appends the header of a packet of n bytes, at most MaxPacket.
func AppendHeader(dst []byte, n int, seq byte) []byte {
	return append(dst, byte(n), byte(n>>8), byte(n>>16), seq)
}

// AppendPacket appends payload in as many packets as it takes, and returns the number
// of the next.
func AppendPacket(dst []byte, seq byte, payload []byte) ([]byte, byte) {
	for {
		n := min(len(payload), MaxPacket)
		dst = append(AppendHeader(dst, n, seq), payload[:n]...)
		payload = payload[n:]
		seq++
		if n < MaxPacket {
			return dst, seq
		}
	}
}

// BeginPacket appends room for a header, to be filled by EndPacket.
func BeginPacket(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// EndPacket makes one packet, or as many as it takes, of what was appended since
// BeginPacket, at dst[at:]. It returns the number of the next.
func EndPacket(dst []byte, at int, seq byte) ([]byte, byte) {
	n := len(dst) - at - HeaderLen
	if n < MaxPacket {
		AppendHeader(dst[:at], n, seq)
		return dst, seq + 1
	}
	return AppendPacket(dst[:at], seq, append([]byte(nil), dst[at+HeaderLen:]...))
}

// What servers send begins with one of these, where it is not data.
const (
	OKHeader       = 0x00
	AuthMoreHeader = 0x01
	InfileHeader   = 0xfb
	EOFHeader      = 0xfe
	ErrHeader      = 0xff
)

// Command is the first byte of what clients ask for.
type Command byte

// Commands.
const (
	Sleep            Command = 0x00
	Quit             Command = 0x01
	InitDB           Command = 0x02
	Query            Command = 0x03
	FieldList        Command = 0x04
	CreateDB         Command = 0x05
	DropDB           Command = 0x06
	Refresh          Command = 0x07
	Shutdown         Command = 0x08
	Statistics       Command = 0x09
	ProcessInfo      Command = 0x0a
	Connect          Command = 0x0b
	ProcessKill      Command = 0x0c
	Debug            Command = 0x0d
	Ping             Command = 0x0e
	Time             Command = 0x0f
	DelayedInsert    Command = 0x10
	ChangeUser       Command = 0x11
	BinlogDump       Command = 0x12
	TableDump        Command = 0x13
	ConnectOut       Command = 0x14
	RegisterReplica  Command = 0x15
	StmtPrepare      Command = 0x16
	StmtExecute      Command = 0x17
	StmtSendLongData Command = 0x18
	StmtClose        Command = 0x19
	StmtReset        Command = 0x1a
	SetOption        Command = 0x1b
	StmtFetch        Command = 0x1c
	Daemon           Command = 0x1d
	BinlogDumpGTID   Command = 0x1e
	ResetConnection  Command = 0x1f
	Clone            Command = 0x20
	SubscribeGroup   Command = 0x21
	StmtBulkExecute  Command = 0xfa
	MultiCommand     Command = 0xfe
)

var commandNames = [...]string{
	"COM_SLEEP", "COM_QUIT", "COM_INIT_DB", "COM_QUERY", "COM_FIELD_LIST", "COM_CREATE_DB", "COM_DROP_DB", "COM_REFRESH", "COM_SHUTDOWN",
	"COM_STATISTICS", "COM_PROCESS_INFO", "COM_CONNECT", "COM_PROCESS_KILL", "COM_DEBUG", "COM_PING", "COM_TIME", "COM_DELAYED_INSERT",
	"COM_CHANGE_USER", "COM_BINLOG_DUMP", "COM_TABLE_DUMP", "COM_CONNECT_OUT", "COM_REGISTER_SLAVE", "COM_STMT_PREPARE", "COM_STMT_EXECUTE",
	"COM_STMT_SEND_LONG_DATA", "COM_STMT_CLOSE", "COM_STMT_RESET", "COM_SET_OPTION", "COM_STMT_FETCH", "COM_DAEMON", "COM_BINLOG_DUMP_GTID",
	"COM_RESET_CONNECTION", "COM_CLONE", "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
}

// String returns the command's name.
func (c Command) String() string {
	switch {
	case int(c) < len(commandNames):
		return commandNames[c]
	case c == StmtBulkExecute:
		return "COM_STMT_BULK_EXECUTE"
	case c == MultiCommand:
		return "COM_MULTI"
	}
	return fmt.Sprintf("command 0x%02x", byte(c))
}

// Bits of a server's status.
const (
	StatusInTransaction uint16 = 1 << 0
	StatusAutocommit    uint16 = 1 << 1
	StatusMoreResults   uint16 = 1 << 3
	StatusCursorExists  uint16 = 1 << 6
	StatusLastRowSent   uint16 = 1 << 7
	StatusDBDropped     uint16 = 1 << 8
	StatusNoBackslashes uint16 = 1 << 9
	StatusOutParams     uint16 = 1 << 12
	StatusStateChanged  uint16 = 1 << 14
)

// ErrProtocol is wrapped by every error about bytes that are not the protocol.
var ErrProtocol = errors.New("protocol violation")

// ErrTooLarge is wrapped by errors about packets over their limit.
var ErrTooLarge = errors.New("packet is too large")

// ErrSequence wraps ErrProtocol: a packet has another number than the next.
var ErrSequence = fmt.Errorf("%w: packets out of order", ErrProtocol)

func invalid(what string) error { return fmt.Errorf("%w: invalid %s", ErrProtocol, what) }

// cursor reads a packet's payload and remembers whether it ran out.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	s := c.b[:n:n]
	c.b = c.b[n:]
	return s
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// cstring reads to a NUL, which must be there.
func (c *cursor) cstring() []byte {
	for i, x := range c.b {
		if x == 0 {
			s := c.b[:i:i]
			c.b = c.b[i+1:]
			return s
		}
	}
	c.bad, c.b = true, nil
	return nil
}

// ending reads to a NUL, or to the end.
func (c *cursor) ending() []byte {
	for i, x := range c.b {
		if x == 0 {
			s := c.b[:i:i]
			c.b = c.b[i+1:]
			return s
		}
	}
	return c.rest()
}

func (c *cursor) rest() []byte {
	s := c.b
	c.b = nil
	return s
}

// length reads a number in length encoding. NULL and what is reserved are malformed.
func (c *cursor) length() uint64 {
	n, size := Length(c.b)
	if size == 0 {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[size:]
	return n
}

func (c *cursor) lengthBytes() []byte { return c.bytes(c.length()) }

// Length reads a number in length encoding at the beginning of b, and returns how many
// bytes it takes; 0 when there is none.
func Length(b []byte) (n uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch first := b[0]; {
	case first < 0xfb:
		return uint64(first), 1
	case first == 0xfc && len(b) >= 3:
		return uint64(binary.LittleEndian.Uint16(b[1:])), 3
	case first == 0xfd && len(b) >= 4:
		return uint64(b[1]) | uint64(b[2])<<8 | uint64(b[3])<<16, 4
	case first == 0xfe && len(b) >= 9:
		return binary.LittleEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

// AppendLength appends n in length encoding.
func AppendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n < 1<<16:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
}

// AppendBytes appends v with its length before it.
func AppendBytes(dst, v []byte) []byte { return append(AppendLength(dst, uint64(len(v))), v...) }
