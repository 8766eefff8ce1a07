package wire

import (
	"encoding/binary"
	"fmt"
)

// OK is what a server says when something has ended well. Its byte slices are views.
type OK struct {
	Header           byte // OKHeader, or EOFHeader at the end of rows
	Affected, LastID uint64
	Status, Warnings uint16
	Info             []byte
	State            []byte // what has changed in the session, for EachChange
}

// ParseOK reads a payload that begins with OKHeader or, under DeprecateEOF, EOFHeader.
func ParseOK(b []byte, agreed Capabilities) (OK, error) {
	c := cursor{b: b}
	ok := OK{Header: c.byte(), Affected: c.length(), LastID: c.length(), Status: c.uint16(), Warnings: c.uint16()}
	if c.bad {
		return ok, invalid("OK packet")
	}
	switch {
	case len(c.b) == 0:
	case agreed.Has(SessionTrack):
		ok.Info = c.lengthBytes()
		if ok.Status&StatusStateChanged != 0 {
			ok.State = c.lengthBytes()
		}
	default:
		// MariaDB has its length before it all the same; MySQL does not.
		if n, size := Length(c.b); size > 0 && n == uint64(len(c.b)-size) {
			c.bytes(uint64(size))
		}
		ok.Info = c.rest()
	}
	if c.bad {
		return ok, invalid("OK packet")
	}
	return ok, nil
}

// AppendOK appends the payload of ok.
func AppendOK(dst []byte, ok *OK, agreed Capabilities) []byte {
	dst = AppendLength(AppendLength(append(dst, ok.Header), ok.Affected), ok.LastID)
	dst = binary.LittleEndian.AppendUint16(dst, ok.Status)
	dst = binary.LittleEndian.AppendUint16(dst, ok.Warnings)
	if agreed.Has(SessionTrack) {
		changed := ok.Status&StatusStateChanged != 0
		if len(ok.Info) > 0 || changed {
			dst = AppendBytes(dst, ok.Info)
		}
		if changed {
			dst = AppendBytes(dst, ok.State)
		}
		return dst
	}
	return append(dst, ok.Info...)
}

// ParseEOF reads a payload that begins with EOFHeader, without DeprecateEOF.
func ParseEOF(b []byte) (warnings, status uint16, err error) {
	if len(b) != 5 {
		return 0, 0, invalid("EOF packet")
	}
	return binary.LittleEndian.Uint16(b[1:]), binary.LittleEndian.Uint16(b[3:]), nil
}

// IsEnd reports whether a packet of n bytes that begins with first ends rows.
func IsEnd(first byte, n int, agreed Capabilities) bool {
	if first != EOFHeader {
		return false
	}
	if agreed.Has(DeprecateEOF) {
		return n < MaxPacket
	}
	return n < 9
}

// Change is one thing that has changed in a session.
type Change struct {
	Kind ChangeKind
	Name []byte // of a system variable
	Data []byte // what it is now, where the kind is one that is known; else all of it
	// Raw is the whole of it, as it was sent, and Value where Data begins in it; 0 where it
	// cannot be replaced.
	Raw []byte
}

// ChangeKind says what has changed.
type ChangeKind byte

// Kinds of changes.
const (
	ChangeVariable ChangeKind = 0
	ChangeSchema   ChangeKind = 1
	ChangeAny      ChangeKind = 2 // whether anything has
	ChangeGTIDs    ChangeKind = 3
	ChangeTraits   ChangeKind = 4 // a transaction's
	ChangeState    ChangeKind = 5 // a transaction's
)

// EachChange calls each with every change in state, a value of OK.State.
func EachChange(state []byte, each func(Change) error) error {
	c := cursor{b: state}
	for len(c.b) > 0 {
		before := c.b
		kind := ChangeKind(c.byte())
		data := cursor{b: c.lengthBytes()}
		if c.bad {
			return invalid("session state")
		}
		raw := before[:len(before)-len(c.b)]
		switch kind {
		case ChangeVariable:
			for len(data.b) > 0 { // MariaDB puts several in one
				x := Change{Kind: kind, Raw: raw, Name: data.lengthBytes(), Data: data.lengthBytes()}
				if data.bad {
					return invalid("session state")
				}
				if err := each(x); err != nil {
					return err
				}
			}
			continue
		case ChangeSchema, ChangeAny, ChangeTraits, ChangeState:
			data.b = data.lengthBytes()
		}
		if data.bad {
			return invalid("session state")
		}
		if err := each(Change{Kind: kind, Data: data.rest(), Raw: raw}); err != nil {
			return err
		}
	}
	return nil
}

// AppendVariable appends a change of a system variable.
func AppendVariable(dst, name, value []byte) []byte {
	return AppendBytes(append(dst, byte(ChangeVariable)), AppendBytes(AppendBytes(nil, name), value))
}

// Error is an error of a server's. Its byte slices are views.
type Error struct {
	Code    uint16
	State   []byte // five bytes; nil while there is no session yet
	Message []byte
}

// ParseError reads a payload that begins with ErrHeader.
func ParseError(b []byte) (Error, error) {
	c := cursor{b: b}
	c.byte()
	e := Error{Code: c.uint16()}
	if c.bad {
		return e, invalid("ERR packet")
	}
	if len(c.b) >= 6 && c.b[0] == '#' {
		c.byte()
		e.State = c.bytes(5)
	}
	e.Message = c.rest()
	return e, nil
}

// AppendError appends the payload of e.
func AppendError(dst []byte, e *Error) []byte {
	dst = binary.LittleEndian.AppendUint16(append(dst, ErrHeader), e.Code)
	if e.State != nil {
		dst = append(append(dst, '#'), e.State...)
	}
	return append(dst, e.Message...)
}

// ProgressCode is the code of what looks like an error, and tells of progress.
const ProgressCode = 0xffff

// AppendProgress appends the payload that tells a client of MariaDB's what it waits for.
func AppendProgress(dst []byte, text string) []byte {
	dst = append(dst, ErrHeader, 0xff, 0xff, 1, 1, 1, 0, 0, 0)
	return AppendBytes(dst, []byte(text))
}

// Column describes a column. Its byte slices are views.
type Column struct {
	Schema, Table, BaseTable, Name, BaseName []byte

	Charset  uint16
	Type     Type
	Flags    uint16
	Decimals byte
}

// Flags of columns.
const (
	FlagNotNull  uint16 = 1 << 0
	FlagUnsigned uint16 = 1 << 5
	FlagZerofill uint16 = 1 << 6
)

// ParseColumn reads the payload that describes a column. What follows its fixed part, such
// as a default, is not looked at.
func ParseColumn(b []byte, agreed Capabilities) (Column, error) {
	c := cursor{b: b}
	c.lengthBytes() // the catalog
	x := Column{Schema: c.lengthBytes(), Table: c.lengthBytes(), BaseTable: c.lengthBytes(), Name: c.lengthBytes(), BaseName: c.lengthBytes()}
	if agreed.Has(ExtendedMetadata) {
		c.lengthBytes()
	}
	if n := c.length(); n < 12 {
		c.bad = true
	}
	x.Charset = c.uint16()
	c.uint32()
	x.Type, x.Flags, x.Decimals = Type(c.byte()), c.uint16(), c.byte()
	if c.bad {
		return x, invalid("column definition")
	}
	return x, nil
}

// Prepared is what a server says of a statement that it has prepared.
type Prepared struct {
	ID              uint32
	Columns, Params int
	Warnings        uint16
}

// ParsePrepared reads a payload that begins with OKHeader and answers StmtPrepare.
func ParsePrepared(b []byte) (Prepared, error) {
	c := cursor{b: b}
	c.byte()
	p := Prepared{ID: c.uint32(), Columns: int(c.uint16()), Params: int(c.uint16())}
	c.byte()
	if len(c.b) >= 2 {
		p.Warnings = c.uint16()
	}
	if c.bad {
		return p, invalid("answer to " + StmtPrepare.String())
	}
	return p, nil
}

// TextRow appends the values of a row of text to dst; nil is NULL. They are views.
func TextRow(dst [][]byte, b []byte) ([][]byte, error) {
	for len(b) > 0 {
		if b[0] == 0xfb {
			dst, b = append(dst, nil), b[1:]
			continue
		}
		n, size := Length(b)
		if size == 0 || n > uint64(len(b)-size) {
			return dst, invalid("row")
		}
		end := size + int(n)
		dst, b = append(dst, b[size:end:end]), b[end:]
	}
	return dst, nil
}

// AppendTextRow appends the payload of a row of text.
func AppendTextRow(dst []byte, values [][]byte) []byte {
	for _, v := range values {
		if v == nil {
			dst = append(dst, 0xfb)
			continue
		}
		dst = AppendBytes(dst, v)
	}
	return dst
}

// nullOffset is where the bits of a row's NULLs begin.
const nullOffset = 2

// BinaryRow appends the values of a row in binary format to dst, in the form that their
// types have, without the lengths before them; nil is NULL. They are views.
func BinaryRow(dst [][]byte, b []byte, types []Type) ([][]byte, error) {
	nulls := (len(types) + 7 + nullOffset) / 8
	if len(b) < 1+nulls || b[0] != 0 {
		return dst, invalid("row in binary format")
	}
	bits := b[1 : 1+nulls]
	b = b[1+nulls:]
	for i, t := range types {
		if k := i + nullOffset; bits[k/8]&(1<<(k%8)) != 0 {
			dst = append(dst, nil)
			continue
		}
		v, rest, ok := t.cut(b)
		if !ok {
			return dst, invalid("row in binary format")
		}
		dst, b = append(dst, v), rest
	}
	if len(b) != 0 {
		return dst, invalid("row in binary format")
	}
	return dst, nil
}

// AppendBinaryRow appends the payload of a row in binary format, of values as BinaryRow
// returns them.
func AppendBinaryRow(dst []byte, values [][]byte, types []Type) []byte {
	at := len(dst) + 1
	dst = append(dst, make([]byte, 1+(len(types)+7+nullOffset)/8)...)
	for i, v := range values {
		if v == nil {
			k := i + nullOffset
			dst[at+k/8] |= 1 << (k % 8)
			continue
		}
		dst = types[i].append(dst, v)
	}
	return dst
}

func (e *Error) String() string { return fmt.Sprintf("%d %s %s", e.Code, e.State, e.Message) }
