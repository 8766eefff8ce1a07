package wire

import (
	"encoding/binary"
	"strconv"
)

// RowValues appends views of the values in a DataRow message to dst; nil is
// NULL.
func RowValues(body []byte, dst [][]byte) ([][]byte, error) {
	c := cursor{b: body}
	n := c.uint16()
	for range n {
		size := c.int32()
		var v []byte
		if size != -1 {
			if v = c.bytes(int(size)); v == nil {
				v = []byte{}
			}
		}
		if c.bad {
			return dst, invalid("DataRow")
		}
		dst = append(dst, v)
	}
	if !c.done() {
		return dst, invalid("DataRow")
	}
	return dst, nil
}

// AppendRow appends a DataRow message; a nil value is NULL.
func AppendRow(dst []byte, values [][]byte) []byte {
	at := len(dst)
	dst = append(dst, DataRow, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(values)))
	for _, v := range values {
		if v == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
		dst = append(dst, v...)
	}
	return finish(dst, at)
}

// AppendMessage appends a message of the given type around body.
func AppendMessage(dst []byte, typ byte, body ...[]byte) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	for _, b := range body {
		dst = append(dst, b...)
	}
	return finish(dst, at)
}

func finish(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}

// AppendQuery appends a Query message.
func AppendQuery(dst []byte, text []byte) []byte {
	return AppendMessage(dst, Query, text, []byte{0})
}

// AppendParse appends a Parse message with the parameter types of m.
func AppendParse(dst []byte, name, text []byte, m *ParseMessage) []byte {
	at := len(dst)
	dst = append(dst, Parse, 0, 0, 0, 0)
	dst = append(append(dst, name...), 0)
	dst = append(append(dst, text...), 0)
	types := []byte(nil)
	if m != nil {
		types = m.types
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(types)/4))
	dst = append(dst, types...)
	return finish(dst, at)
}

// AppendExecute appends an Execute message.
func AppendExecute(dst []byte, portal string, max uint32) []byte {
	at := len(dst)
	dst = append(dst, Execute, 0, 0, 0, 0)
	dst = append(append(dst, portal...), 0)
	dst = binary.BigEndian.AppendUint32(dst, max)
	return finish(dst, at)
}

// AppendDescribePortal appends a Describe message for a portal.
func AppendDescribePortal(dst, portal []byte) []byte {
	return AppendMessage(dst, Describe, []byte{'P'}, portal, []byte{0})
}

// Notice is an error or a notice of the gateway's own.
type Notice struct {
	Severity string // "ERROR", "FATAL", "NOTICE", "WARNING"
	Code     string // SQLSTATE
	Message  string
	Detail   string
	Hint     string
}

// AppendError appends an ErrorResponse.
func AppendError(dst []byte, n Notice) []byte { return appendFields(dst, ErrorResponse, n) }

// AppendNotice appends a NoticeResponse.
func AppendNotice(dst []byte, n Notice) []byte { return appendFields(dst, NoticeResponse, n) }

func appendFields(dst []byte, typ byte, n Notice) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	for _, f := range [...]struct {
		key   byte
		value string
	}{{'S', n.Severity}, {'V', n.Severity}, {'C', n.Code}, {'M', n.Message}, {'D', n.Detail}, {'H', n.Hint}} {
		if f.value == "" {
			continue
		}
		dst = append(dst, f.key)
		for i := range len(f.value) {
			if f.value[i] != 0 {
				dst = append(dst, f.value[i])
			}
		}
		dst = append(dst, 0)
	}
	return finish(append(dst, 0), at)
}

// Field is one field of an ErrorResponse or NoticeResponse.
type Field struct {
	Key   byte
	Value []byte
}

// ParseFields appends views of the fields of an ErrorResponse or NoticeResponse
// to dst.
func ParseFields(body []byte, dst []Field) ([]Field, error) {
	c := cursor{b: body}
	for {
		key := c.byte()
		if c.bad {
			return dst, invalid("error or notice")
		}
		if key == 0 {
			break
		}
		v := c.cstring()
		if c.bad {
			return dst, invalid("error or notice")
		}
		dst = append(dst, Field{key, v})
	}
	if !c.done() {
		return dst, invalid("error or notice")
	}
	return dst, nil
}

// AppendParsedFields appends a message of type typ with the given fields;
// fields with a nil value are left out, and NULs in values are dropped.
func AppendParsedFields(dst []byte, typ byte, fields []Field) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	for _, f := range fields {
		if f.Value == nil {
			continue
		}
		dst = append(dst, f.Key)
		dst = appendCString(dst, f.Value)
	}
	return finish(append(dst, 0), at)
}

// appendCString appends s and its end. NULs within s, which would end it early,
// are left out.
func appendCString(dst, s []byte) []byte {
	for _, b := range s {
		if b != 0 {
			dst = append(dst, b)
		}
	}
	return append(dst, 0)
}

// ErrorField returns a view of one field of an ErrorResponse or NoticeResponse,
// nil when it is absent.
func ErrorField(body []byte, key byte) []byte {
	c := cursor{b: body}
	for {
		k := c.byte()
		if k == 0 {
			return nil
		}
		v := c.cstring()
		if c.bad {
			return nil
		}
		if k == key {
			return v
		}
	}
}

// ParseTag returns a view of a CommandComplete message's tag and the number of
// rows that it names, 0 when it names none.
func ParseTag(body []byte) (tag []byte, rows uint64, err error) {
	c := cursor{b: body}
	tag = c.cstring()
	if !c.done() {
		return nil, 0, invalid("CommandComplete")
	}
	for i := len(tag) - 1; i >= 0; i-- {
		if tag[i] == ' ' {
			n := uint64(0)
			for _, d := range tag[i+1:] {
				if d < '0' || d > '9' || n > 1<<60 {
					return tag, 0, nil
				}
				n = 10*n + uint64(d-'0')
			}
			return tag, n, nil
		}
	}
	return tag, 0, nil
}

// FieldDescription describes one column of a RowDescription.
type FieldDescription struct {
	Name   string
	Table  uint32
	Attr   uint16
	Type   uint32
	Binary bool
}

// ParseRowDescription reads a RowDescription.
func ParseRowDescription(body []byte) ([]FieldDescription, error) {
	c := cursor{b: body}
	n := c.uint16()
	// Each column takes at least 19 bytes, so the count is checked before it is
	// believed.
	if n > len(body)/19 {
		return nil, invalid("RowDescription")
	}
	fields := make([]FieldDescription, n)
	for i := range fields {
		f := &fields[i]
		f.Name = string(c.cstring())
		f.Table = uint32(c.int32())
		f.Attr = uint16(c.uint16())
		f.Type = uint32(c.int32())
		c.bytes(6) // size and modifier
		f.Binary = c.uint16() == 1
	}
	if !c.done() {
		return nil, invalid("RowDescription")
	}
	return fields, nil
}

// ParseCopyResponse reads a CopyInResponse, CopyOutResponse or
// CopyBothResponse: whether the whole is binary, and how many columns it has.
func ParseCopyResponse(body []byte) (binary bool, columns int, err error) {
	c := cursor{b: body}
	binary = c.byte() == 1
	columns = c.uint16()
	c.bytes(2 * columns)
	if !c.done() {
		return false, 0, invalid("copy response")
	}
	return binary, columns, nil
}

// ParseParameterTypes reads a ParameterDescription: the OIDs of the types of a statement's
// parameters.
func ParseParameterTypes(body []byte) ([]uint32, error) {
	c := cursor{b: body}
	n := c.uint16()
	types := c.bytes(4 * n)
	if !c.done() {
		return nil, invalid("ParameterDescription")
	}
	list := make([]uint32, 0, n)
	for ; len(types) >= 4; types = types[4:] {
		list = append(list, binary.BigEndian.Uint32(types))
	}
	return list, nil
}

// ParseStatus reads a ParameterStatus.
func ParseStatus(body []byte) (name, value []byte, err error) {
	c := cursor{b: body}
	name = c.cstring()
	value = c.cstring()
	if !c.done() {
		return nil, nil, invalid("ParameterStatus")
	}
	return name, value, nil
}

// ParseNotification reads a NotificationResponse.
func ParseNotification(body []byte) (pid uint32, channel, payload []byte, err error) {
	c := cursor{b: body}
	pid = uint32(c.int32())
	channel = c.cstring()
	payload = c.cstring()
	if !c.done() {
		return 0, nil, nil, invalid("NotificationResponse")
	}
	return pid, channel, payload, nil
}

// ParseKey reads a BackendKeyData.
func ParseKey(body []byte) (pid uint32, key []byte, err error) {
	c := cursor{b: body}
	pid = uint32(c.int32())
	key = c.b
	if c.bad || len(key) < 4 || len(key) > 256 {
		return 0, nil, invalid("BackendKeyData")
	}
	return pid, key, nil
}

// ParseReady reads a ReadyForQuery and returns the transaction's status: 'I',
// 'T' or 'E'.
func ParseReady(body []byte) (status byte, err error) {
	if len(body) != 1 || body[0] != 'I' && body[0] != 'T' && body[0] != 'E' {
		return 0, invalid("ReadyForQuery")
	}
	return body[0], nil
}

// Codes of Authentication messages.
const (
	AuthOK           = 0
	AuthCleartext    = 3
	AuthMD5          = 5
	AuthSASL         = 10
	AuthSASLContinue = 11
	AuthSASLFinal    = 12
)

// ParseAuth reads an Authentication message: its code and what follows.
func ParseAuth(body []byte) (code uint32, data []byte, err error) {
	c := cursor{b: body}
	code = uint32(c.int32())
	if c.bad {
		return 0, nil, invalid("Authentication")
	}
	return code, c.b, nil
}

// AppendAuth appends an Authentication message.
func AppendAuth(dst []byte, code uint32, data []byte) []byte {
	return AppendMessage(dst, Authentication, binary.BigEndian.AppendUint32(nil, code), data)
}

// AppendStatus appends a ParameterStatus.
func AppendStatus(dst []byte, name, value string) []byte {
	return AppendMessage(dst, ParameterStatus, []byte(name), []byte{0}, []byte(value), []byte{0})
}

// AppendKey appends a BackendKeyData.
func AppendKey(dst []byte, pid uint32, key []byte) []byte {
	return AppendMessage(dst, BackendKeyData, binary.BigEndian.AppendUint32(nil, pid), key)
}

// TypeName names a message type for errors: the letter, or its number.
func TypeName(typ byte) string {
	if typ > ' ' && typ < 0x7f {
		return string(rune(typ))
	}
	return "0x" + strconv.FormatUint(uint64(typ), 16)
}

// AppendNegotiate appends a NegotiateProtocolVersion: the version that will be
// spoken and the options that are not known.
func AppendNegotiate(dst []byte, version uint32, unknown []string) []byte {
	at := len(dst)
	dst = append(dst, NegotiateVersion, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, name := range unknown {
		dst = append(append(dst, name...), 0)
	}
	return finish(dst, at)
}

// AppendPair appends a ParameterStatus, or a NotificationResponse from pid.
func AppendPair(dst []byte, typ byte, pid uint32, a, b []byte) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	if typ == NotificationResponse {
		dst = binary.BigEndian.AppendUint32(dst, pid)
	}
	return finish(appendCString(appendCString(dst, a), b), at)
}
