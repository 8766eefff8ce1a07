package masking

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/pgvalue"
)

// maxNesting is how deep values lie in others that are looked at; one that lies
// deeper is hidden with all that it is in.
const maxNesting = 6

// part is one value in an array or a row in binary format.
type part struct {
	from, to   int  // in the text
	start, end int  // in the binary format, after its length
	verbatim   bool // it is a text, and the text has it as it is
	text       bool // it is a text
}

// appendArray appends an array in binary format as the server's text, and its
// values to parts, when that is not nil.
func appendArray(dst, v []byte, depth int, parts *[]part) ([]byte, bool) {
	const most = 6 // dimensions that an array has
	if len(v) < 12 {
		return dst, false
	}
	dims, oid := int(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint32(v[8:])
	at := 12 + 8*dims
	if dims < 0 || dims > most || binary.BigEndian.Uint32(v[4:]) > 1 || len(v) < at {
		return dst, false
	}
	dst = append(dst, '{')
	if dims == 0 {
		return append(dst, '}'), len(v) == at
	}
	var size, left [most]int
	for d := range dims {
		size[d] = int(int32(binary.BigEndian.Uint32(v[12+8*d:])))
		if left[d] = size[d]; size[d] < 1 {
			empty := dims == 1 && size[d] == 0 // as some clients write it
			return append(dst, '}'), empty && len(v) == at
		}
		if d > 0 {
			dst = append(dst, '{')
		}
	}
	for {
		n, ok := valueAt(v, at)
		if !ok {
			return dst, false
		}
		at += 4
		if n < 0 {
			dst = append(dst, "NULL"...)
		} else if dst, ok = appendPart(dst, oid, v, at, n, depth, parts, inArray); !ok {
			return dst, false
		}
		at += max(n, 0)
		d := dims - 1
		for left[d]--; left[d] == 0; left[d]-- {
			dst = append(dst, '}')
			left[d] = size[d]
			if d--; d < 0 {
				return dst, at == len(v)
			}
		}
		dst = append(dst, ',')
		for d++; d < dims; d++ {
			dst = append(dst, '{')
		}
	}
}

// valueAt returns the length at v[at:], negative for NULL, when as many
// bytes follow.
func valueAt(v []byte, at int) (n int, ok bool) {
	if len(v)-at < 4 {
		return 0, false
	}
	n = int(int32(binary.BigEndian.Uint32(v[at:])))
	return n, n >= -1 && n <= len(v)-at-4
}

// appendRecord is appendArray for a row: a count, and of each value its type, its
// length and its bytes.
func appendRecord(dst, v []byte, depth int, parts *[]part) ([]byte, bool) {
	if len(v) < 4 {
		return dst, false
	}
	count, at := binary.BigEndian.Uint32(v), 4
	dst = append(dst, '(')
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(v)-at < 4 {
			return dst, false
		}
		oid := binary.BigEndian.Uint32(v[at:])
		n, ok := valueAt(v, at+4)
		if !ok {
			return dst, false
		}
		if at += 8; n < 0 {
			continue
		}
		if dst, ok = appendPart(dst, oid, v, at, n, depth, parts, inRecord); !ok {
			return dst, false
		}
		at += n
	}
	return append(dst, ')'), at == len(v)
}

// What a value is part of, which decides how the server quotes it.
const (
	inArray = iota
	inRecord
	inRange
)

// special are the bytes for which a value is quoted.
var special = [...]string{inArray: "{}\",\\ \t\n\r\v\f", inRecord: "\"\\(), \t\n\r\v\f", inRange: "\"\\()[], \t\n\r\v\f"}

// appendPart appends the value v[at:at+n] of type oid within another.
func appendPart(dst []byte, oid uint32, v []byte, at, n, depth int, parts *[]part, in int) ([]byte, bool) {
	from := len(dst)
	dst, ok := appendTextOf(dst, oid, v[at:at+n], depth+1)
	if !ok {
		return dst, false
	}
	if in == inArray && typesByOID[oid].holds(kindNumber) {
		dst = wholeNumber(dst, from)
	}
	p := part{from: from, start: at, end: at + n, text: isText(oid, v[at:at+n])}
	p.verbatim = p.text
	quoted := len(dst) == from || bytes.ContainsAny(dst[from:], special[in]) || in == inArray && bytes.EqualFold(dst[from:], []byte("null"))
	if quoted {
		twice := 0
		for _, c := range dst[from:] {
			if c == '"' || c == '\\' {
				twice++
			}
		}
		p.verbatim = p.verbatim && twice == 0
		p.from++
		dst = appendQuoted(dst, from, twice, in)
	}
	if p.to = len(dst); quoted {
		p.to--
	}
	if parts != nil {
		*parts = append(*parts, p)
	}
	return dst, true
}

// appendQuoted puts dst[from:] into quotes, with twice quotes and backslashes in it
// doubled, or escaped.
func appendQuoted(dst []byte, from, twice, in int) []byte {
	n := len(dst)
	for range twice + 2 {
		dst = append(dst, '"')
	}
	to := len(dst) - 1
	for i := n - 1; i >= from; i-- {
		c := dst[i]
		to--
		dst[to] = c
		if c == '"' || c == '\\' {
			to--
			if dst[to] = '\\'; in != inArray {
				dst[to] = c
			}
		}
	}
	dst[from] = '"'
	return dst
}

// isText reports whether v, a value of type oid in binary format, is a text whose
// letters may be replaced.
func isText(oid uint32, v []byte) bool {
	if t := typesByOID[oid]; t != nil {
		return t.kind == kindText && t.text == nil
	}
	return oid >= firstUser && onlyText(v)
}

// Flags of a range.
const (
	rangeEmpty    = 1 << iota
	rangeFrom     // the lower bound is part of it
	rangeTo       // the upper bound is
	rangeNoFrom   // it has no lower bound
	rangeNoTo     // it has no upper bound
	rangeKnown    = 1<<iota - 1
	leastOfBounds = 4 // bytes of a bound that is there: its length
)

// appendRange appends a range: flags and bounds.
func appendRange(dst, v []byte, of uint32, depth int) ([]byte, bool) {
	if len(v) == 0 || v[0]&^rangeKnown != 0 {
		return dst, false
	}
	flags, at := v[0], 1
	if flags&rangeEmpty != 0 {
		return append(dst, "empty"...), at == len(v)
	}
	dst = append(dst, "(["[flags&rangeFrom/rangeFrom])
	for i, without := range [...]byte{rangeNoFrom, rangeNoTo} {
		if i > 0 {
			dst = append(dst, ',')
		}
		if flags&without != 0 {
			continue
		}
		n, ok := valueAt(v, at)
		if !ok || n < 0 {
			return dst, false
		}
		at += leastOfBounds
		if dst, ok = appendPart(dst, of, v, at, n, depth, nil, inRange); !ok {
			return dst, false
		}
		at += n
	}
	return append(dst, ")]"[flags&rangeTo/rangeTo]), at == len(v)
}

// appendRanges appends a multirange: a count, and the length of each range and
// itself.
func appendRanges(dst, v []byte, of uint32, depth int) ([]byte, bool) {
	if len(v) < 4 {
		return dst, false
	}
	count, at := binary.BigEndian.Uint32(v), 4
	dst = append(dst, '{')
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		n, ok := valueAt(v, at)
		if !ok || n < 0 {
			return dst, false
		}
		at += 4
		bound := of
		if t := typesByOID[of]; t != nil {
			bound = t.of
		}
		if dst, ok = appendRange(dst, v[at:at+n], bound, depth+1); !ok {
			return dst, false
		}
		at += n
	}
	return append(dst, '}'), at == len(v)
}

// appendPairs appends an hstore: a count, and keys and values.
func appendPairs(dst, v []byte) ([]byte, bool) {
	if len(v) < 4 {
		return dst, false
	}
	count, at := binary.BigEndian.Uint32(v), 4
	for i := range count {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		for k := range 2 {
			n, ok := valueAt(v, at)
			if !ok || n < 0 && k == 0 {
				return dst, false
			}
			at += 4
			if n < 0 {
				dst = append(dst, "NULL"...)
			} else {
				dst = append(append(append(dst, '"'), v[at:at+n]...), '"')
				at += n
			}
			if k == 0 {
				dst = append(dst, "=>"...)
			}
		}
	}
	return dst, count > 0 && at == len(v)
}

// appendReadings appends v, a value in binary format of a type that is not known,
// as all texts that it can be, a line each.
func appendReadings(dst, v []byte, depth int) ([]byte, bool) {
	if depth > maxNesting {
		return dst, false
	}
	if onlyText(v) {
		return append(dst, v...), true
	}
	try := func(read func(dst, v []byte) ([]byte, bool)) bool {
		out, ok := read(dst, v)
		if ok {
			dst = append(out, '\n')
		}
		return ok
	}
	structured := try(func(dst, v []byte) ([]byte, bool) { return appendArray(dst, v, depth+1, nil) }) ||
		try(func(dst, v []byte) ([]byte, bool) { return appendRecord(dst, v, depth+1, nil) }) ||
		try(appendPairs) ||
		len(v) > 5 && try(func(dst, v []byte) ([]byte, bool) { return appendRange(dst, v, 0, depth+1) }) ||
		len(v) > 5 && try(func(dst, v []byte) ([]byte, bool) { return appendRanges(dst, v, 0, depth+1) }) ||
		len(v) > 3 && v[0] == 1 && onlyText(v[1:]) && try(versionedText)
	if structured {
		return dst, true
	}
	try(addressText)
	try(func(dst, v []byte) ([]byte, bool) {
		out, ok := pgvalue.Numeric(dst, v)
		return wholeNumber(out, len(dst)), ok
	})
	switch len(v) {
	case 4:
		try(pgvalue.Date)
		try(pgvalue.Integer)
	case 6:
		try(hardwareText)
	case 8:
		try(pgvalue.Integer)
		try(pgvalue.Timestamp)
		try(func(dst, v []byte) ([]byte, bool) {
			out, ok := pgvalue.Float(dst, v)
			return wholeNumber(out, len(dst)), ok
		})
		if v[3] == 0xff && v[4] == 0xfe { // as addresses of six bytes are made longer
			try(hardwareText)
		}
	}
	return append(dst, v...), true
}

// onlyText reports whether v is a text as a whole.
func onlyText(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(v)
}
