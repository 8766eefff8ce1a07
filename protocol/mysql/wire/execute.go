package wire

import "encoding/binary"

// Parameter types have this bit when a number has no sign.
const paramUnsigned = 0x8000

// ParamType is the type of a parameter, as clients say it.
type ParamType uint16

// Type returns the type's number.
func (p ParamType) Type() Type { return Type(p) }

// Unsigned reports whether it is a number without a sign.
func (p ParamType) Unsigned() bool { return p&paramUnsigned != 0 }

// Execution is a StmtExecute. Its byte slices are views.
type Execution struct {
	ID     uint32
	Flags  byte
	Bound  bool        // it says the types of its parameters
	Types  []ParamType // of its parameters; those of an earlier one where it says none
	Values [][]byte    // as BinaryRow returns them; nil is NULL
	Nulls  []bool      // which parameters the statement says are NULL
}

// Flags of StmtExecute.
const (
	CursorReadOnly   = 1
	CursorForUpdate  = 2
	CursorScrollable = 4
	ParamCountSaid   = 8
)

// ParseExecution reads the payload of a StmtExecute after its first byte, of a statement
// with so many parameters. types are those of an earlier one; long reports whether the
// value of a parameter was sent before.
func ParseExecution(x *Execution, b []byte, params int, types []ParamType, long func(i int) bool) error {
	c := cursor{b: b}
	x.ID, x.Flags = c.uint32(), c.byte()
	c.uint32()
	x.Values, x.Nulls, x.Bound = x.Values[:0], x.Nulls[:0], false
	x.Types = append(x.Types[:0], types...)
	if c.bad {
		return invalid(StmtExecute.String())
	}
	if params == 0 {
		return nil
	}
	nulls := c.bytes(uint64(params+7) / 8)
	if x.Bound = c.byte() == 1; x.Bound {
		x.Types = x.Types[:0]
		for range params {
			x.Types = append(x.Types, ParamType(c.uint16()))
			if c.bad {
				break
			}
		}
	}
	if c.bad || len(x.Types) != params {
		return invalid(StmtExecute.String())
	}
	for i, t := range x.Types {
		null := nulls[i/8]&(1<<(i%8)) != 0
		x.Nulls = append(x.Nulls, null)
		if null || t.Type() == TypeNull || long(i) {
			x.Values = append(x.Values, nil)
			continue
		}
		v, rest, ok := t.Type().cut(c.b)
		if !ok {
			return invalid("parameter of " + StmtExecute.String())
		}
		x.Values, c.b = append(x.Values, v), rest
	}
	return nil // servers do not look at what follows; mysql2 sends a byte too many after long values
}

// AppendExecution appends the payload of x with its first byte. Parameters for which long
// is true have no value in it.
func AppendExecution(dst []byte, x *Execution, long func(i int) bool) []byte {
	dst = append(dst, byte(StmtExecute))
	dst = binary.LittleEndian.AppendUint32(dst, x.ID)
	dst = binary.LittleEndian.AppendUint32(append(dst, x.Flags), 1)
	if len(x.Types) == 0 {
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, (len(x.Types)+7)/8)...)
	dst = append(dst, 1)
	for i, t := range x.Types {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(t))
		if x.Values[i] == nil && !long(i) {
			dst[at+i/8] |= 1 << (i % 8)
		}
	}
	for i, t := range x.Types {
		if v := x.Values[i]; v != nil && !long(i) {
			dst = t.Type().append(dst, v)
		}
	}
	return dst
}

// ParseLongData reads the payload of a StmtSendLongData after its first byte.
func ParseLongData(b []byte) (id uint32, param int, data []byte, err error) {
	c := cursor{b: b}
	id, param = c.uint32(), int(c.uint16())
	if c.bad {
		return 0, 0, nil, invalid(StmtSendLongData.String())
	}
	return id, param, c.rest(), nil
}

// AppendLongData appends the payload of a StmtSendLongData with its first byte.
func AppendLongData(dst []byte, id uint32, param int, data []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, byte(StmtSendLongData)), id)
	return append(binary.LittleEndian.AppendUint16(dst, uint16(param)), data...)
}

// ParseID reads the number of a statement, or of a connection, after the first byte of a
// payload, and returns what follows it.
func ParseID(b []byte) (id uint32, rest []byte, err error) {
	c := cursor{b: b}
	id = c.uint32()
	if c.bad {
		return 0, nil, invalid("command: it names no number")
	}
	return id, c.rest(), nil
}
