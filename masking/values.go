package masking

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/sallyport/sallyport/proxy"
)

// kind says how the values of a column are read and what may stand in their
// place.
type kind uint8

const (
	kindText   kind = iota // text: parts of it are replaced
	kindJSON               // as text, but numbers in it become null
	kindNumber             // scanned as decimal text: the cell becomes NULL
	kindTime               // dates and times: the cell becomes NULL
	kindBytes              // bytea: scanned decoded: the cell becomes NULL
	kindArray              // scanned by element: the cell becomes NULL
	kindOpaque             // anything else: scanned as it stands: the cell becomes NULL
	kindBool               // tells one bit; never scanned
	kindPlain              // cannot hold anything that is looked for
)

// Numbers of PostgreSQL's types, from pg_type.dat.
const (
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidCIDR        = 650
	oidFloat8      = 701
	oidInet        = 869
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
	oidRecord      = 2249
	oidRecords     = 2287
	firstUser      = 16384 // of types that the server was not built with
)

var postgresKinds = map[uint32]kind{
	16: kindBool, oidBytea: kindBytes, 18: kindPlain, 19: kindText, oidInt8: kindNumber, 21: kindPlain, oidInt4: kindNumber, 25: kindText, 26: kindPlain,
	27: kindPlain, 28: kindPlain, 29: kindPlain, 114: kindJSON, 142: kindText, 194: kindText, 700: kindPlain, oidFloat8: kindNumber, 705: kindText,
	790: kindPlain, 1042: kindText, 1043: kindText, 1082: kindTime, 1083: kindPlain, 1114: kindTime, 1184: kindTime, 1186: kindPlain, 1266: kindPlain,
	oidNumeric: kindNumber, 2205: kindPlain, 2950: kindPlain, 3220: kindPlain, 3614: kindText, oidJSONB: kindJSON,
}

// postgresTypes are the names of the types that rules may name.
var postgresTypes = map[string]uint32{
	"bool": 16, "bytea": oidBytea, "name": 19, "int8": oidInt8, "bigint": oidInt8, "int2": oidInt2, "smallint": oidInt2, "int4": oidInt4, "integer": oidInt4,
	"text": 25, "json": 114, "xml": 142, "cidr": oidCIDR, "float4": 700, "float8": oidFloat8, "money": 790, "macaddr": 829, "inet": oidInet, "bpchar": 1042,
	"char": 1042, "varchar": 1043, "date": oidDate, "time": 1083, "timestamp": oidTimestamp, "timestamptz": oidTimestampTZ, "interval": 1186,
	"numeric": oidNumeric, "uuid": oidUUID, "jsonb": oidJSONB, "point": 600, "macaddr8": 774,
}

// postgresArrays are the element types of arrays.
var postgresArrays = map[uint32]bool{
	199: true, 1001: true, 1005: true, 1007: true, 1009: true, 1014: true, 1015: true, 1016: true, 1022: true, 1115: true, 1182: true, 1185: true, 1231: true,
	1041: true, 1040: true, 651: true, 143: true, 1003: true, 3807: true, 2951: true, 1000: true,
}

// kindOf returns how column c is read. Types of other protocols than
// PostgreSQL's are not known by number; what they send as text is text.
func kindOf(protocol string, c *proxy.ShapeColumn) kind {
	if protocol != "postgres" || c.Type == 0 {
		if c.Binary && protocol != "postgres" {
			return kindOpaque
		}
		return kindText
	}
	if k, ok := postgresKinds[c.Type]; ok {
		return k
	}
	if postgresArrays[c.Type] {
		if c.Binary {
			return kindArray
		}
		switch c.Type {
		case 1009, 1015, 1014, 143, 1003: // of texts
			return kindText
		}
	}
	if !c.Binary && (c.Type >= firstUser || c.Type == oidRecord || c.Type == oidRecords) {
		return kindText // a row, or an extension's type such as citext
	}
	return kindOpaque
}

// decimal appends the decimal text of a number in binary format, as far as its
// type is known.
func decimal(dst, v []byte, oid uint32) []byte {
	switch {
	case oid == oidInt8 && len(v) == 8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(v)), 10)
	case oid == oidInt4 && len(v) == 4:
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(v))), 10)
	case oid == oidInt2 && len(v) == 2:
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(v))), 10)
	case oid == oidFloat8 && len(v) == 8:
		return strconv.AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(v)), 'f', -1, 64)
	case oid == oidNumeric && len(v) >= 8:
		return appendNumeric(dst, v)
	}
	return append(dst, v...)
}

// appendNumeric appends the whole part of a numeric in binary format: digits of
// base 10,000 and the weight of the first.
func appendNumeric(dst, v []byte) []byte {
	n, weight := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:])))
	digits := v[8:]
	if weight < 0 || weight > 16 || len(digits) < 2*n {
		return append(dst, '0')
	}
	for i := 0; i <= weight; i++ {
		d := 0
		if i < n {
			d = int(binary.BigEndian.Uint16(digits[2*i:]))
		}
		if i > 0 {
			for z := 1000; z > d && z > 1; z /= 10 {
				dst = append(dst, '0')
			}
		}
		dst = strconv.AppendInt(dst, int64(d), 10)
	}
	return dst
}

// unhex appends the bytes of a bytea in text format, or v itself in the older
// escape format.
func unhex(dst, v []byte) []byte {
	if len(v) < 2 || v[0] != '\\' || v[1] != 'x' {
		return append(dst, v...)
	}
	at := len(dst)
	dst = append(dst, v[2:]...)
	n, err := hex.Decode(dst[at:], dst[at:])
	if err != nil {
		return append(dst[:at], v...)
	}
	return dst[:at+n]
}

// elements calls each with the elements of an array in binary format and their
// type, and reports whether it could be read.
func elements(v []byte, each func(oid uint32, value []byte) bool) bool {
	if len(v) < 12 {
		return false
	}
	dims, oid := int(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint32(v[8:])
	if dims < 0 || dims > 6 || len(v) < 12+8*dims {
		return false
	}
	v = v[12+8*dims:]
	for len(v) > 0 {
		if len(v) < 4 {
			return false
		}
		n := int(int32(binary.BigEndian.Uint32(v)))
		v = v[4:]
		if n < 0 {
			continue
		}
		if n > len(v) {
			return false
		}
		if !each(oid, v[:n]) {
			return true
		}
		v = v[n:]
	}
	return true
}
