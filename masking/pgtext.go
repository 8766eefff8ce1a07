package masking

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"

	"github.com/sallyport/sallyport/internal/pgvalue"
)

// addressText reads inet and cidr: a family, a length, whether it is a network,
// the bytes of the address and these.
func addressText(dst, v []byte) ([]byte, bool) {
	if len(v) != 8 && len(v) != 20 || int(v[3]) != len(v)-4 {
		return dst, false
	}
	a, ok := netip.AddrFromSlice(v[4:])
	if !ok {
		return dst, false
	}
	dst = a.AppendTo(dst)
	if v[2] != 0 || int(v[1]) != a.BitLen() {
		dst = strconv.AppendInt(append(dst, '/'), int64(v[1]), 10)
	}
	return dst, true
}

// hardwareText reads macaddr and macaddr8.
func hardwareText(dst, v []byte) ([]byte, bool) {
	if len(v) != 6 && len(v) != 8 {
		return dst, false
	}
	for i := range v {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = hex.AppendEncode(dst, v[i:i+1])
	}
	return dst, true
}

// pointsText reads the types that are nothing but numbers, as the server writes a
// pair of them.
func pointsText(dst, v []byte) ([]byte, bool) {
	if len(v) == 0 || len(v)%8 != 0 {
		return dst, false
	}
	for i := 0; i < len(v); i += 8 {
		switch {
		case i%16 == 0 && i > 0:
			dst = append(dst, ',', '(')
		case i%16 == 0:
			dst = append(dst, '(')
		default:
			dst = append(dst, ',')
		}
		dst = pgvalue.AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(v[i:])))
		if i%16 == 8 || i+8 == len(v) {
			dst = append(dst, ')')
		}
	}
	return dst, true
}

// pathText reads a path: whether it is closed, a count, and points.
func pathText(dst, v []byte) ([]byte, bool) {
	if len(v) < 1 {
		return dst, false
	}
	return polygonText(dst, v[1:])
}

func polygonText(dst, v []byte) ([]byte, bool) {
	if len(v) < 4 || uint64(binary.BigEndian.Uint32(v))*16 != uint64(len(v)-4) {
		return dst, false
	}
	if len(v) == 4 {
		return append(dst, '(', ')'), true
	}
	dst, ok := pointsText(append(dst, '('), v[4:])
	return append(dst, ')'), ok
}

// versionedText reads the types whose binary format is a 1 and their text.
func versionedText(dst, v []byte) ([]byte, bool) {
	if len(v) == 0 || v[0] != 1 {
		return dst, false
	}
	return append(dst, v[1:]...), true
}

// vectorText reads a tsvector: a count, and words that a NUL ends, each with its
// positions.
func vectorText(dst, v []byte) ([]byte, bool) {
	if len(v) < 4 {
		return dst, false
	}
	n := binary.BigEndian.Uint32(v)
	v = v[4:]
	for i := range n {
		word, rest, ok := cutNUL(v)
		if !ok || len(rest) < 2 {
			return dst, false
		}
		positions := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < 2*positions {
			return dst, false
		}
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(append(dst, '\''), word...), '\'')
		for k := range positions {
			dst = append(dst, ":,"[min(k, 1)])
			dst = strconv.AppendInt(dst, int64(binary.BigEndian.Uint16(rest[2*k:])&0x3fff), 10)
		}
		v = rest[2*positions:]
	}
	return dst, len(v) == 0
}

// queryText reads the words of a tsquery: a count, and words and operators, the
// operators before what they join.
func queryText(dst, v []byte) ([]byte, bool) {
	if len(v) < 4 {
		return dst, false
	}
	const (
		word     = 1
		operator = 2
		phrase   = 4
	)
	n := binary.BigEndian.Uint32(v)
	v = v[4:]
	some := false
	for range n {
		switch {
		case len(v) >= 3 && v[0] == word:
			w, rest, ok := cutNUL(v[3:])
			if !ok {
				return dst, false
			}
			if some {
				dst = append(dst, " & "...)
			}
			dst = append(append(append(dst, '\''), w...), '\'')
			v, some = rest, true
		case len(v) >= 4 && v[0] == operator && v[1] == phrase:
			v = v[4:]
		case len(v) >= 2 && v[0] == operator:
			v = v[2:]
		default:
			return dst, false
		}
	}
	return dst, len(v) == 0
}

func cutNUL(v []byte) (before, after []byte, ok bool) {
	for i, c := range v {
		if c == 0 {
			return v[:i], v[i+1:], true
		}
	}
	return v, nil, false
}
