package masking

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/pgvalue"
)

// appendCell appends what stands for v, a whole value of column c, in the type
// and format of the column. ok is false when that is NULL.
func (m *Masker) appendCell(dst []byte, c *column, v []byte) (_ []byte, ok bool) {
	how := c.with
	if how.Transform == Null {
		return dst, false
	}
	switch {
	case c.kind == kindText && !c.null:
		return m.appendMasked(dst, v, c.typ, how), true
	case c.kind == kindJSON:
		return m.appendJSON(dst, c, v)
	case c.kind == kindUnknown && c.oid != 0 && onlyText(v): // such as citext
		return m.appendMasked(dst, v, c.typ, how), true
	case numberBytes[c.oid] != 0 || c.oid == oidNumeric:
		return m.appendNumber(dst, c, v)
	case c.oid == oidDate || c.oid == oidTimestamp || c.oid == oidTimestampTZ:
		return m.appendTime(dst, c, v)
	case c.oid == oidUUID:
		return m.appendUUID(dst, c, v)
	case c.oid == oidInet || c.oid == oidCIDR:
		return m.appendAddress(dst, c, v)
	}
	return dst, false
}

// appendJSON appends what stands for a whole JSON value, as a JSON string.
func (m *Masker) appendJSON(dst []byte, c *column, v []byte) ([]byte, bool) {
	switch c.with.Transform {
	case Hash, Pseudonym, Tokenise, Redact, Fixed:
	default:
		return dst, false // a form that is kept would be a form of JSON
	}
	if c.binary && c.oid == oidJSONB {
		dst, v = append(dst, 1), v[min(1, len(v)):]
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, m.appendMasked(nil, v, c.typ, c.with))
	return append(dst, '"'), true
}

// appendEscaped appends text as the inside of a JSON string.
func appendEscaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		case c >= 0x80:
			r, size := utf8.DecodeRune(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// numberBytes are the lengths of integers in binary format, by type.
var numberBytes = map[uint32]int{oidInt2: 2, oidInt4: 4, oidInt8: 8}

// appendNumber appends what stands for an integer. Numbers with a fraction
// become NULL, except in buckets.
func (m *Masker) appendNumber(dst []byte, c *column, v []byte) ([]byte, bool) {
	var room [40]byte
	text := v
	if c.binary {
		var ok bool
		if text, ok = appendTextOf(room[:0], c.oid, v, 0); !ok {
			return dst, false
		}
	}
	if whole, _, fraction := bytes.Cut(text, []byte(".")); fraction && c.with.Transform == Bucket {
		text = whole
	}
	n, ok := parseInteger(text)
	if c.with.Transform == Fixed {
		n, ok = parseInteger([]byte(c.with.Text))
	}
	if !ok || n == math.MinInt64 {
		return dst, false
	}
	most := int64(math.MaxInt64)
	if size := numberBytes[c.oid]; size != 0 {
		most = 1<<(8*size-1) - 1
	}
	switch c.with.Transform {
	case Fixed:
	case Bucket:
		if n = floorTo(n, c.with.Size); n > most || n < -most-1 {
			return dst, false
		}
	case Encrypt, SameShape:
		if n, ok = m.otherNumber(n, most, c); !ok {
			return dst, false
		}
	default:
		return dst, false
	}
	if n > most || n < -most-1 {
		return dst, false
	}
	switch size := numberBytes[c.oid]; {
	case !c.binary:
		return strconv.AppendInt(dst, n, 10), true
	case size == 2:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), true
	case size == 4:
		return binary.BigEndian.AppendUint32(dst, uint32(n)), true
	case size == 8:
		return binary.BigEndian.AppendUint64(dst, uint64(n)), true
	}
	return appendBinaryNumeric(dst, n), true
}

// otherNumber returns another number of as many digits, which is not above most.
// Encryption walks on until it meets such a one: SP 800-38G, "cycle walking",
// which keeps it a permutation.
func (m *Masker) otherNumber(n, most int64, c *column) (int64, bool) {
	negative := n < 0
	if negative {
		n = -n
	}
	var room [20]byte
	digits := strconv.AppendInt(room[:0], n, 10)
	f := ff1{m.keys.format, []byte(c.typ)}
	for range 512 {
		ok := false
		if c.with.Transform == Encrypt {
			ok = f.format(digits, false)
		} else {
			ok = m.keys.sameShape(digits, c.typ)
		}
		if !ok {
			return 0, false
		}
		if x, err := strconv.ParseInt(string(digits), 10, 64); err == nil && digits[0] != '0' && x <= most {
			if negative {
				x = -x
			}
			return x, true
		}
	}
	return 0, false
}

// appendBinaryNumeric appends a whole number as numeric's binary format.
func appendBinaryNumeric(dst []byte, n int64) []byte {
	sign := uint16(0)
	if n < 0 {
		sign, n = 0x4000, -n
	}
	var digits [5]uint16
	k := len(digits)
	for ; n > 0; n /= 10000 {
		k--
		digits[k] = uint16(n % 10000)
	}
	count := len(digits) - k
	dst = binary.BigEndian.AppendUint16(dst, uint16(count))
	dst = binary.BigEndian.AppendUint16(dst, uint16(max(count-1, 0)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	for _, d := range digits[k:] {
		dst = binary.BigEndian.AppendUint16(dst, d)
	}
	return dst
}

// appendTime appends a date or a time, moved, or the fixed one. In text format
// only ISO's style is read.
func (m *Masker) appendTime(dst []byte, c *column, v []byte) ([]byte, bool) {
	switch c.with.Transform {
	case Fixed:
		t, err := time.Parse(time.DateOnly, c.with.Text)
		if err != nil {
			return dst, false
		}
		if !c.binary {
			return t.AppendFormat(dst, time.DateOnly), true
		}
		return appendBinaryTime(dst, t, c.oid)
	case Shift, Truncate:
	default:
		return dst, false
	}
	if !c.binary {
		return m.keys.appendDate(dst, v, c.with)
	}
	t, ok := binaryTime(v, c.oid)
	if !ok {
		return dst, false
	}
	return appendBinaryTime(dst, m.keys.moved(t, c.with), c.oid)
}

// binaryTime reads a value of a type of dates and times.
func binaryTime(v []byte, oid uint32) (time.Time, bool) {
	t, ok := pgvalue.Time(v)
	return t, ok && (len(v) == 4) == (oid == oidDate)
}

func appendBinaryTime(dst []byte, t time.Time, oid uint32) ([]byte, bool) {
	us := t.UnixMicro() - pgvalue.Epoch().UnixMicro()
	if oid == oidDate {
		return binary.BigEndian.AppendUint32(dst, uint32(int32(floorTo(us, 86400e6)/86400e6))), true
	}
	return binary.BigEndian.AppendUint64(dst, uint64(us)), true
}

// appendUUID appends a UUID (version 8, RFC 9562) that the key and the value
// choose.
func (m *Masker) appendUUID(dst []byte, c *column, v []byte) ([]byte, bool) {
	switch c.with.Transform {
	case Hash, Pseudonym, SameShape:
	default:
		return dst, false
	}
	var room [36]byte
	if c.binary {
		v = hex.AppendEncode(room[:0], v)
	}
	var u [16]byte
	m.keys.hashed(v, c.typ, func(h *keyedHash) { copy(u[:], h.sum) })
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	if c.binary {
		return append(dst, u[:]...), true
	}
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, "0123456789abcdef"[b>>4], "0123456789abcdef"[b&15])
	}
	return dst, true
}

// appendAddress appends an inet or cidr value without its host.
func (m *Masker) appendAddress(dst []byte, c *column, v []byte) ([]byte, bool) {
	if c.with.Transform != KeepNetwork {
		return dst, false
	}
	if !c.binary {
		return appendNetwork(dst, v, c.with.Bits)
	}
	if len(v) != 8 && len(v) != 20 || int(v[3]) != len(v)-4 {
		return dst, false
	}
	a, ok := netip.AddrFromSlice(v[4:])
	bits := c.with.Bits
	if a.Is6() {
		bits *= 2
	}
	p, err := a.Prefix(bits)
	if !ok || err != nil {
		return dst, false
	}
	length := v[1]
	if int(length) < len(v[4:])*8 {
		length = min(length, byte(bits))
	}
	dst = append(dst, v[0], length, v[2], v[3])
	return append(dst, p.Addr().AsSlice()...), true
}
