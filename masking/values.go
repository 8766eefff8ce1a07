package masking

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

// kind says how the values of a column are read and what may stand in their
// place.
type kind uint8

const (
	kindText    kind = iota // text: parts of it are replaced
	kindJSON                // as text, but numbers in it become null
	kindNumber              // scanned as decimal text: the cell becomes NULL
	kindTime                // dates and times: the cell becomes NULL
	kindBytes               // bytea: scanned decoded: the cell becomes NULL
	kindNested              // arrays and rows: texts in them are replaced, or the cell becomes NULL
	kindRange               // scanned by bound: the cell becomes NULL
	kindRanges              // several of them
	kindUnknown             // in binary format, of a type that is not known: as what it can be
	kindOther               // anything else: scanned in its text form: the cell becomes NULL
	kindBool                // tells one bit; never scanned
	kindPlain               // cannot hold anything that is looked for
)

// appendScanned appends the text that v, a value of column c, is scanned as. It is
// false when the value is malformed.
func (c *column) appendScanned(dst, v []byte) (_ []byte, ok bool) {
	from := len(dst)
	switch {
	case c.binary && c.oid == 0:
		return appendReadings(dst, v, 0)
	case c.binary:
		if dst, ok = appendTextOf(dst, c.oid, v, 0); !ok {
			return dst, false
		}
	case c.kind == kindBytes:
		return unhex(dst, v), true
	case c.kind == kindNested && elementsOf[c.oid].holds(kindBytes):
		return unhexAll(dst, v), true
	case c.kind == kindNested && elementsOf[c.oid].holds(kindNumber):
		return wholeNumbers(dst, v), true
	default:
		dst = append(dst, v...)
	}
	if c.kind == kindNumber {
		return wholeNumber(dst, from), true
	}
	return dst, true
}

// wholeNumber writes the number dst[from:] without its exponent, and without a
// fraction of zeros.
func wholeNumber(dst []byte, from int) []byte {
	if bytes.IndexByte(dst[from:], 'e') >= 0 {
		if x, err := strconv.ParseFloat(string(dst[from:]), 64); err == nil { // does not allocate
			dst = strconv.AppendFloat(dst[:from], x, 'f', -1, 64)
		}
	}
	if point := bytes.IndexByte(dst[from:], '.'); point >= 0 && len(bytes.Trim(dst[from+point+1:], "0")) == 0 {
		return dst[:from+point]
	}
	return dst
}

// wholeNumbers appends an array of numbers in text format, with wholeNumber of each.
func wholeNumbers(dst, v []byte) []byte {
	from := len(dst)
	for _, c := range v {
		if c == ',' || c == '{' || c == '}' {
			dst = append(wholeNumber(dst, from), c)
			from = len(dst)
			continue
		}
		dst = append(dst, c)
	}
	return wholeNumber(dst, from)
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

// unhexAll appends an array of bytea in text format with its values decoded.
func unhexAll(dst, v []byte) []byte {
	mark := []byte(`\\x`)
	for {
		before, value, ok := bytes.Cut(v, mark)
		dst = append(dst, before...)
		if !ok {
			return dst
		}
		n := 0
		for n < len(value) && isHex(value[n]) {
			n++
		}
		for i := 0; i+1 < n; i += 2 {
			c := hexValue(value[i])<<4 | hexValue(value[i+1])
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		v = value[n:]
	}
}
