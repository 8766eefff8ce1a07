// Package pgvalue reads values of PostgreSQL's types in binary format as their text
// format, as far as many packages need it. What it cannot read it says so of, and may have
// appended a part of.
package pgvalue

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Text appends the text of a value of a type, by the type's number in pg_type.dat: a
// boolean, number, UUID or text, or a date or timestamp of our era, in UTC. It is false
// for every other type, and for infinities.
func Text(dst, v []byte, oid uint32) ([]byte, bool) {
	switch oid {
	case 16:
		if len(v) != 1 || v[0] > 1 {
			return dst, false
		}
		return strconv.AppendBool(dst, v[0] == 1), true
	case 18, 19, 25, 114, 1042, 1043: // char, name, text, json, bpchar, varchar
		return append(dst, v...), utf8.Valid(v)
	case 20, 21, 23:
		return Integer(dst, v)
	case 26: // oid
		if len(v) != 4 {
			return dst, false
		}
		return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(v)), 10), true
	case 700:
		if len(v) != 4 {
			return dst, false
		}
		return strconv.AppendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 'g', -1, 32), true
	case 701:
		return Float(dst, v)
	case 1082, 1114, 1184:
		if t, ok := Time(v); !ok || t.Year() < 1 || (len(v) == 4) != (oid == 1082) {
			return dst, false
		}
		switch oid {
		case 1082:
			return Date(dst, v)
		case 1114:
			return Timestamp(dst, v)
		}
		dst, ok := Timestamp(dst, v)
		return append(dst, "+00"...), ok
	case 1700:
		return Numeric(dst, v)
	case 2950:
		return UUID(dst, v)
	}
	return dst, false
}

// UUID reads a UUID.
func UUID(dst, v []byte) ([]byte, bool) {
	if len(v) != 16 {
		return dst, false
	}
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, v[:n])
		v = v[n:]
	}
	return dst, true
}

var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Epoch is the day 0 of binary dates and times.
func Epoch() time.Time { return epoch }

// Time reads a date, of four bytes, or a timestamp, of eight. It is false for an infinity.
func Time(v []byte) (time.Time, bool) {
	switch len(v) {
	case 4:
		days := int32(binary.BigEndian.Uint32(v))
		return epoch.AddDate(0, 0, int(days)), days > -730000 && days < 2900000
	case 8:
		us := int64(binary.BigEndian.Uint64(v))
		return time.UnixMicro(us + epoch.UnixMicro()).UTC(), us > -62e15 && us < 250e15
	}
	return time.Time{}, false
}

// Integer reads integers of two, four and eight bytes.
func Integer(dst, v []byte) ([]byte, bool) {
	switch len(v) {
	case 2:
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(v))), 10), true
	case 4:
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(v))), 10), true
	case 8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(v)), 10), true
	}
	return dst, false
}

// Float reads float8.
func Float(dst, v []byte) ([]byte, bool) {
	if len(v) != 8 {
		return dst, false
	}
	return AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(v))), true
}

// longest numbers that the server holds have so many digits before the point.
const maxWeight = 131072 / 4

// Numeric reads digits of base 10,000, with the weight of the first.
func Numeric(dst, v []byte) ([]byte, bool) {
	if len(v) < 8 {
		return dst, false
	}
	n, weight := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:])))
	sign, scale := binary.BigEndian.Uint16(v[4:]), int(binary.BigEndian.Uint16(v[6:]))
	digits := v[8:]
	if len(digits) != 2*n || weight > maxWeight || scale > 0x3fff {
		return dst, false
	}
	switch sign {
	case 0:
	case 0x4000:
		dst = append(dst, '-')
	case 0xC000:
		return append(dst, "NaN"...), true
	case 0xD000:
		return append(dst, "Infinity"...), true
	case 0xF000:
		return append(dst, "-Infinity"...), true
	default:
		return dst, false
	}
	four := func(i int) (d int, ok bool) { // the i-th digit, counted from the point
		if k := weight + i; k >= 0 && k < n {
			d = int(binary.BigEndian.Uint16(digits[2*k:]))
		}
		return d, d < 10000
	}
	if weight < 0 {
		dst = append(dst, '0')
	}
	for i := -max(weight, -1); i <= 0; i++ {
		d, ok := four(i)
		if !ok {
			return dst, false
		}
		if i > -weight {
			dst = appendPadded(dst, d, 4)
		} else {
			dst = strconv.AppendInt(dst, int64(d), 10)
		}
	}
	if scale == 0 {
		return dst, true
	}
	dst = append(dst, '.')
	for i, left := 1, scale; left > 0; i, left = i+1, left-4 {
		d, ok := four(i)
		if !ok {
			return dst, false
		}
		at := len(dst)
		dst = appendPadded(dst, d, 4)
		dst = dst[:at+min(left, 4)]
	}
	return dst, true
}

// appendPadded appends n with leading zeros.
func appendPadded(dst []byte, n, width int) []byte {
	for limit := 10; width > 1; width, limit = width-1, limit*10 {
		if n >= limit {
			continue
		}
		for range width - 1 {
			dst = append(dst, '0')
		}
		break
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// Date reads a date.
func Date(dst, v []byte) ([]byte, bool) {
	if len(v) != 4 {
		return dst, false
	}
	if t, ok := Time(v); ok {
		return t.AppendFormat(dst, time.DateOnly), true
	}
	return append(dst, "infinity"...), true
}

// Timestamp reads timestamps, with a time zone and without, as UTC.
func Timestamp(dst, v []byte) ([]byte, bool) {
	if len(v) != 8 {
		return dst, false
	}
	if t, ok := Time(v); ok {
		return t.AppendFormat(dst, "2006-01-02 15:04:05.999999"), true
	}
	return append(dst, "infinity"...), true
}

// AppendFloat appends a number as the server writes it: with an exponent when
// it has more than 15 digits.
func AppendFloat(dst []byte, x float64) []byte {
	if abs := math.Abs(x); abs != 0 && (abs < 1e-4 || abs >= 1e15) {
		return strconv.AppendFloat(dst, x, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, x, 'f', -1, 64)
}
