// Package wire holds PostgreSQL's frontend/backend protocol, versions 3.0 and
// 3.2, at the level of bytes: framing with limits, startup packets, and views of
// the messages that are on the hot path.
//
// Views refer to the buffer they were made from and allocate nothing. Messages
// that are looked at rarely are decoded with github.com/jackc/pgx/v5/pgproto3;
// this package does what that one does not: it finds frame boundaries without
// decoding, checks lengths before it reads, and never allocates from a length
// that the peer has merely claimed.
//
// See https://www.postgresql.org/docs/current/protocol-message-formats.html.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of messages from the frontend.
const (
	Bind         = 'B'
	Close        = 'C'
	CopyData     = 'd' // both directions
	CopyDone     = 'c' // both directions
	CopyFail     = 'f'
	Describe     = 'D'
	Execute      = 'E'
	Flush        = 'H'
	FunctionCall = 'F'
	Parse        = 'P'
	Password     = 'p' // also SASL responses
	Query        = 'Q'
	Sync         = 'S'
	Terminate    = 'X'
)

// Types of messages from the backend.
const (
	Authentication       = 'R'
	BackendKeyData       = 'K'
	BindComplete         = '2'
	CloseComplete        = '3'
	CommandComplete      = 'C'
	CopyBothResponse     = 'W'
	CopyInResponse       = 'G'
	CopyOutResponse      = 'H'
	DataRow              = 'D'
	EmptyQueryResponse   = 'I'
	ErrorResponse        = 'E'
	FunctionCallResponse = 'V'
	NegotiateVersion     = 'v'
	NoData               = 'n'
	NoticeResponse       = 'N'
	NotificationResponse = 'A'
	ParameterDescription = 't'
	ParameterStatus      = 'S'
	ParseComplete        = '1'
	PortalSuspended      = 's'
	ReadyForQuery        = 'Z'
	RowDescription       = 'T'
)

// HeaderLen is the length of a message's header: its type and a length that
// counts itself and the body.
const HeaderLen = 5

// Header reads a message header from b, which holds at least HeaderLen bytes.
// total is the length of the whole message with its type byte.
func Header(b []byte) (typ byte, total int, err error) {
	n := binary.BigEndian.Uint32(b[1:5])
	if n < 4 || n > 0x7fffffff {
		return b[0], 0, fmt.Errorf("%w: message %q has length %d", ErrProtocol, b[0], int32(n))
	}
	return b[0], int(n) + 1, nil
}

// ErrProtocol is wrapped by every error about bytes that are not the protocol.
var ErrProtocol = errors.New("protocol violation")

// ErrTooLarge is wrapped by errors about messages over their limit.
var ErrTooLarge = errors.New("message is too large")

func invalid(what string) error { return fmt.Errorf("%w: invalid %s message", ErrProtocol, what) }

// MalformedError says that the body of a whole message of the client's is not one of
// its type. It wraps [ErrProtocol]; what comes after the message is not in doubt.
type MalformedError struct {
	Message string // the type's name
	Reason  string // in the server's words
}

func (e *MalformedError) Error() string {
	return ErrProtocol.Error() + ": invalid " + e.Message + " message: " + e.Reason
}

func (e *MalformedError) Unwrap() error { return ErrProtocol }

// The server's words about a body that is not of its type.
const (
	noString     = "invalid string in message"
	tooShort     = "insufficient data left in message"
	wrongContent = "invalid message format"
)

// cursor reads a message body and remembers whether it ran out.
type cursor struct {
	b      []byte
	bad    bool
	reason string
}

// malformed is the error about a message that was read by c.
func (c *cursor) malformed(what string) error {
	if c.reason == "" {
		return &MalformedError{what, wrongContent}
	}
	return &MalformedError{what, c.reason}
}

func (c *cursor) cstring() []byte {
	for i, x := range c.b {
		if x == 0 {
			s := c.b[:i:i]
			c.b = c.b[i+1:]
			return s
		}
	}
	c.fail(noString)
	return nil
}

func (c *cursor) fail(reason string) {
	if !c.bad {
		c.bad, c.reason = true, reason
	}
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail(tooShort)
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

func (c *cursor) uint16() int {
	if b := c.bytes(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// done reports whether the body was read without fault and to its end.
func (c *cursor) done() bool { return !c.bad && len(c.b) == 0 }
