package wire

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// Type is the number of a column's or a parameter's type.
type Type byte

// Types.
const (
	TypeDecimal    Type = 0
	TypeTiny       Type = 1
	TypeShort      Type = 2
	TypeLong       Type = 3
	TypeFloat      Type = 4
	TypeDouble     Type = 5
	TypeNull       Type = 6
	TypeTimestamp  Type = 7
	TypeLongLong   Type = 8
	TypeInt24      Type = 9
	TypeDate       Type = 10
	TypeTime       Type = 11
	TypeDatetime   Type = 12
	TypeYear       Type = 13
	TypeNewDate    Type = 14
	TypeVarchar    Type = 15
	TypeBit        Type = 16
	TypeVector     Type = 242
	TypeJSON       Type = 245
	TypeNewDecimal Type = 246
	TypeEnum       Type = 247
	TypeSet        Type = 248
	TypeTinyBlob   Type = 249
	TypeMediumBlob Type = 250
	TypeLongBlob   Type = 251
	TypeBlob       Type = 252
	TypeVarString  Type = 253
	TypeString     Type = 254
	TypeGeometry   Type = 255
)

// Blob reports whether values of the type are bytes where a client sends them: a server describes text by these types, too.
func (t Type) Blob() bool { return t >= TypeTinyBlob && t <= TypeBlob }

// size returns the length of a value in binary format; -1 when its length is
// before it.
func (t Type) size() int {
	switch t {
	case TypeNull:
		return 0
	case TypeTiny:
		return 1
	case TypeShort, TypeYear:
		return 2
	case TypeLong, TypeInt24, TypeFloat:
		return 4
	case TypeLongLong, TypeDouble:
		return 8
	}
	return -1
}

// Size returns the length of a value in binary format; false when its length is before it.
func (t Type) Size() (int, bool) {
	n := t.size()
	return max(n, 0), n >= 0
}

// Valid reports whether v can be a value in binary format.
func (t Type) Valid(v []byte) bool {
	n := len(v)
	switch t {
	case TypeDate, TypeDatetime, TypeTimestamp, TypeNewDate:
		return n == 0 || n == 4 || n == 7 || n == 11
	case TypeTime:
		return n == 0 || n == 8 || n == 12
	}
	return t.known() && (t.size() < 0 || t.size() == n)
}

// known reports whether there is a type of that number.
func (t Type) known() bool { return t <= TypeBit || t >= TypeVector && t != 243 && t != 244 }

// cut cuts the value at the beginning of b off.
func (t Type) cut(b []byte) (v, rest []byte, ok bool) {
	if !t.known() {
		return nil, nil, false
	}
	size, n := 0, uint64(t.size())
	if t.size() < 0 {
		if n, size = Length(b); size == 0 {
			return nil, nil, false
		}
	}
	if n > uint64(len(b)-min(size, len(b))) {
		return nil, nil, false
	}
	end := size + int(n)
	v = b[size:end:end]
	if v == nil {
		v = []byte{}
	}
	return v, b[end:], t.Valid(v)
}

// append appends v, with its length where the type has one.
func (t Type) append(dst, v []byte) []byte {
	if t.size() >= 0 {
		return append(dst, v...)
	}
	return AppendBytes(dst, v)
}

// Textual reports whether the binary format of the type's values is their text.
func (t Type) Textual() bool {
	switch t {
	case TypeDate, TypeDatetime, TypeTimestamp, TypeNewDate, TypeTime, TypeNull:
		return false
	}
	return t.size() < 0
}

// AppendText appends the text of v, a value in binary format, as the server would write it.
func (t Type) AppendText(dst, v []byte, unsigned bool, decimals byte) []byte {
	integer := func(x uint64, bits uint) []byte {
		if unsigned {
			return strconv.AppendUint(dst, x, 10)
		}
		return strconv.AppendInt(dst, int64(x<<(64-bits))>>(64-bits), 10)
	}
	switch t {
	case TypeNull:
		return dst
	case TypeTiny:
		return integer(uint64(v[0]), 8)
	case TypeShort:
		return integer(uint64(binary.LittleEndian.Uint16(v)), 16)
	case TypeYear:
		x := strconv.AppendUint(nil, uint64(binary.LittleEndian.Uint16(v)), 10)
		for len(x) < 4 {
			x = append([]byte{'0'}, x...)
		}
		return append(dst, x...)
	case TypeLong, TypeInt24:
		return integer(uint64(binary.LittleEndian.Uint32(v)), 32)
	case TypeLongLong:
		return integer(binary.LittleEndian.Uint64(v), 64)
	case TypeFloat:
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))), 32, decimals)
	case TypeDouble:
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(v)), 64, decimals)
	case TypeDate, TypeNewDate, TypeDatetime, TypeTimestamp:
		return appendDatetime(dst, v, t != TypeDate && t != TypeNewDate, decimals)
	case TypeTime:
		return appendTime(dst, v, decimals)
	}
	return append(dst, v...)
}

// notFixed is the number of decimals of numbers that have as many as they need.
const notFixed = 31

func appendFloat(dst []byte, x float64, bits int, decimals byte) []byte {
	if decimals < notFixed {
		return strconv.AppendFloat(dst, x, 'f', int(decimals), bits)
	}
	if a := math.Abs(x); a != 0 && (a < 1e-15 || a >= 1e15) {
		return strconv.AppendFloat(dst, x, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, x, 'f', -1, bits)
}

func digits(dst []byte, x, n int) []byte {
	for div := int(math.Pow10(n - 1)); div > 0; div /= 10 {
		dst = append(dst, '0'+byte(x/div%10))
	}
	return dst
}

func micros(dst, v []byte, decimals byte) []byte {
	if decimals == 0 || decimals > 6 {
		if len(v) == 0 {
			return dst
		}
		decimals = 6
	}
	x := 0
	if len(v) >= 4 {
		x = int(binary.LittleEndian.Uint32(v))
	}
	return append(append(dst, '.'), digits(nil, x, 6)[:decimals]...)
}

func appendDatetime(dst, v []byte, clock bool, decimals byte) []byte {
	var year, month, day, hour, minute, second int
	if len(v) >= 4 {
		year, month, day = int(binary.LittleEndian.Uint16(v)), int(v[2]), int(v[3])
	}
	if len(v) >= 7 {
		hour, minute, second = int(v[4]), int(v[5]), int(v[6])
	}
	dst = digits(dst, year, 4)
	dst = digits(append(dst, '-'), month, 2)
	dst = digits(append(dst, '-'), day, 2)
	if !clock {
		return dst
	}
	dst = digits(append(dst, ' '), hour, 2)
	dst = digits(append(dst, ':'), minute, 2)
	dst = digits(append(dst, ':'), second, 2)
	return micros(dst, v[min(7, len(v)):], decimals)
}

func appendTime(dst, v []byte, decimals byte) []byte {
	if len(v) < 8 {
		return micros(append(dst, "00:00:00"...), nil, decimals)
	}
	if v[0] != 0 {
		dst = append(dst, '-')
	}
	hours := uint64(binary.LittleEndian.Uint32(v[1:]))*24 + uint64(v[5])
	if hours < 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendUint(dst, hours, 10)
	dst = digits(append(dst, ':'), int(v[6]), 2)
	dst = digits(append(dst, ':'), int(v[7]), 2)
	return micros(dst, v[8:], decimals)
}

// AppendBinary appends the value in binary format that text says. It is false when text says
// none of the type.
func (t Type) AppendBinary(dst, text []byte, unsigned bool) ([]byte, bool) {
	integer := func(bits int) (uint64, bool) {
		if unsigned {
			x, err := strconv.ParseUint(string(text), 10, bits)
			return x, err == nil
		}
		x, err := strconv.ParseInt(string(text), 10, bits)
		return uint64(x), err == nil
	}
	switch t {
	case TypeNull:
		return dst, false
	case TypeTiny:
		x, ok := integer(8)
		return append(dst, byte(x)), ok
	case TypeShort, TypeYear:
		x, ok := integer(16)
		return binary.LittleEndian.AppendUint16(dst, uint16(x)), ok
	case TypeLong, TypeInt24:
		x, ok := integer(32)
		return binary.LittleEndian.AppendUint32(dst, uint32(x)), ok
	case TypeLongLong:
		x, ok := integer(64)
		return binary.LittleEndian.AppendUint64(dst, x), ok
	case TypeFloat:
		x, err := strconv.ParseFloat(string(text), 32)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(x))), err == nil
	case TypeDouble:
		x, err := strconv.ParseFloat(string(text), 64)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x)), err == nil
	case TypeDate, TypeNewDate:
		x, err := time.Parse(time.DateOnly, string(text))
		return appendDay(dst, x), err == nil
	case TypeDatetime, TypeTimestamp:
		layout := time.DateTime
		if len(text) == len(time.DateOnly) {
			layout = time.DateOnly
		}
		x, err := time.Parse(layout, string(text))
		dst = append(appendDay(dst, x), byte(x.Hour()), byte(x.Minute()), byte(x.Second()))
		if us := x.Nanosecond() / 1000; us > 0 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(us))
		}
		return dst, err == nil
	case TypeTime:
		return dst, false
	}
	return append(dst, text...), true
}

func appendDay(dst []byte, x time.Time) []byte {
	return append(binary.LittleEndian.AppendUint16(dst, uint16(x.Year())), byte(x.Month()), byte(x.Day()))
}
