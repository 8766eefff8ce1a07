package wire

import (
	"bytes"
	"encoding/binary"
)

// ParseQuery returns a view of the text in a Query message. Text with a NUL
// inside, or without one at the end, is an error: the server would read less
// than was judged.
func ParseQuery(body []byte) (text []byte, err error) {
	c := cursor{b: body}
	text = c.cstring()
	if !c.done() {
		return nil, c.malformed("Query")
	}
	return text, nil
}

// ParseMessage is a view of a Parse message.
type ParseMessage struct {
	Name, Text []byte
	types      []byte
}

// ParseParse reads a Parse message.
func ParseParse(body []byte) (m ParseMessage, err error) {
	c := cursor{b: body}
	m.Name = c.cstring()
	m.Text = c.cstring()
	m.types = c.bytes(4 * c.uint16())
	if !c.done() {
		return m, c.malformed("Parse")
	}
	return m, nil
}

// AppendTypes appends the OIDs of the parameters' types.
func (m *ParseMessage) AppendTypes(dst []uint32) []uint32 {
	for b := m.types; len(b) >= 4; b = b[4:] {
		dst = append(dst, binary.BigEndian.Uint32(b))
	}
	return dst
}

// BindMessage is a view of a Bind message.
type BindMessage struct {
	Portal, Statement []byte
	Params            int
	formats           []byte
	params            []byte
	results           []byte
}

// ParseBind reads a Bind message. Every length in it is checked.
func ParseBind(body []byte) (m BindMessage, err error) {
	c := cursor{b: body}
	m.Portal = c.cstring()
	m.Statement = c.cstring()
	m.formats = c.bytes(2 * c.uint16())
	m.Params = c.uint16()
	rest := c.b
	for range m.Params {
		if n := c.int32(); n != -1 {
			c.bytes(int(n))
		}
		if c.bad {
			return m, c.malformed("Bind")
		}
	}
	m.params = rest[:len(rest)-len(c.b)]
	m.results = c.bytes(2 * c.uint16())
	if n := len(m.formats) / 2; !c.done() || n > 1 && n != m.Params || !validFormats(m.formats) || !validFormats(m.results) {
		return m, c.malformed("Bind")
	}
	return m, nil
}

func validFormats(b []byte) bool {
	for ; len(b) >= 2; b = b[2:] {
		if b[0] != 0 || b[1] > 1 {
			return false
		}
	}
	return true
}

// format returns whether element i of a list of format codes is binary.
func format(codes []byte, i int) bool {
	switch len(codes) {
	case 0:
		return false
	case 2:
		return codes[1] == 1
	default:
		return 2*i+1 < len(codes) && codes[2*i+1] == 1
	}
}

// EachParam calls f with every parameter's value, nil for NULL, and whether it
// is in binary format.
func (m *BindMessage) EachParam(f func(i int, value []byte, binary bool)) {
	c := cursor{b: m.params}
	for i := range m.Params {
		var v []byte
		if n := c.int32(); n != -1 {
			v = c.bytes(int(n))
			if v == nil {
				v = []byte{}
			}
		}
		f(i, v, format(m.formats, i))
	}
}

// AppendBind appends m with other values of its parameters; nil is NULL.
func AppendBind(dst []byte, m *BindMessage, value func(i int) []byte) []byte {
	from := len(dst)
	dst = append(dst, Bind, 0, 0, 0, 0)
	dst = append(append(append(append(dst, m.Portal...), 0), m.Statement...), 0)
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(m.formats)/2)), m.formats...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Params))
	for i := range m.Params {
		v := value(i)
		if v == nil {
			dst = binary.BigEndian.AppendUint32(dst, 0xffffffff)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
	}
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(m.results)/2)), m.results...)
	binary.BigEndian.PutUint32(dst[from+1:], uint32(len(dst)-from-1))
	return dst
}

// ResultBinary returns whether result column i was asked for in binary format.
func (m *BindMessage) ResultBinary(i int) bool { return format(m.results, i) }

// AppendResultFormats appends the result format codes as they are in the
// message, for [FormatBinary].
func (m *BindMessage) AppendResultFormats(dst []byte) []byte { return append(dst, m.results...) }

// FormatBinary tells whether column i is binary by codes from
// AppendResultFormats.
func FormatBinary(codes []byte, i int) bool { return format(codes, i) }

// ParseTarget reads a Describe or Close message: kind is 'S' for a statement or
// 'P' for a portal.
func ParseTarget(body []byte) (kind byte, name []byte, err error) {
	c := cursor{b: body}
	kind = c.byte()
	name = c.cstring()
	if !c.done() || kind != 'S' && kind != 'P' {
		return 0, nil, c.malformed("Describe or Close")
	}
	return kind, name, nil
}

// ParseExecute reads an Execute message. max is the most rows to return, 0 for
// all.
func ParseExecute(body []byte) (portal []byte, max int32, err error) {
	c := cursor{b: body}
	portal = c.cstring()
	max = c.int32()
	if !c.done() {
		return nil, 0, c.malformed("Execute")
	}
	return portal, max, nil
}

// ParseFunctionCall reads a FunctionCall message and returns the function's OID
// and views of its arguments, appended to args; nil is NULL.
func ParseFunctionCall(body []byte, args [][]byte) (oid uint32, _ [][]byte, err error) {
	c := cursor{b: body}
	oid = uint32(c.int32())
	formats := c.bytes(2 * c.uint16())
	n := c.uint16()
	for range n {
		var v []byte
		if size := c.int32(); size != -1 {
			if v = c.bytes(int(size)); v == nil {
				v = []byte{}
			}
		}
		if c.bad {
			return 0, nil, c.malformed("FunctionCall")
		}
		args = append(args, v)
	}
	result := c.uint16()
	if k := len(formats) / 2; !c.done() || k > 1 && k != n || !validFormats(formats) || result > 1 {
		return 0, nil, c.malformed("FunctionCall")
	}
	return oid, args, nil
}

// ParseCopyFail checks a CopyFail message.
func ParseCopyFail(body []byte) error {
	if i := bytes.IndexByte(body, 0); i < 0 || i != len(body)-1 {
		return invalid("CopyFail")
	}
	return nil
}
