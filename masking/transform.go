package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// Transform says what stands in the place of a value.
type Transform uint8

// Transforms, from the least to the most restrictive. Where two rules meet, the
// more restrictive is used.
const (
	Partial Transform = iota // the same form, with at most half of it readable
	Hash                     // a keyed hash: equal values stay equal
	Redact                   // the type's name
	Null                     // no value: the whole cell becomes NULL
	Visible                  // as it is; only for types that a rule names
)

var transformNames = [...]string{"partial", "hash", "redact", "null", "visible"}

// String returns the transform's name in configuration.
func (t Transform) String() string {
	if int(t) < len(transformNames) {
		return transformNames[t]
	}
	return "null"
}

// ParseTransform returns the transform of that name; "" is Partial.
func ParseTransform(name string) (Transform, error) {
	if name == "" {
		return Partial, nil
	}
	for i, n := range transformNames {
		if n == name {
			return Transform(i), nil
		}
	}
	return Null, fmt.Errorf("unknown transform %q: want partial, hash, redact, null or visible", name)
}

// hidden stands for a value of which nothing may be told, its length neither.
const hidden = "********"

// appendMasked appends what stands for v, a value of type t. With Null it
// appends what stands for it where there is no NULL.
func (m *Masker) appendMasked(dst, v []byte, t Type, how Transform) []byte {
	switch how {
	case Visible:
		return append(dst, v...)
	case Partial:
		return appendPartial(dst, v, t)
	case Hash:
		return m.appendHash(dst, v, t)
	}
	return append(append(append(dst, '['), t...), ']')
}

// appendHash appends 16 digits of a keyed hash of the letters and digits of v.
// Signs between them do not count, so that one card number has one hash.
func (m *Masker) appendHash(dst, v []byte, t Type) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(t))
	h.Write([]byte{0})
	plain := make([]byte, 0, len(v))
	for _, c := range v {
		if isAlnum(c) || c >= 0x80 || t == Email && (c == '@' || c == '.') {
			plain = append(plain, c|lowerBit(c))
		}
	}
	h.Write(plain)
	sum := h.Sum(nil)
	return hex.AppendEncode(dst, sum[:8])
}

func lowerBit(c byte) byte {
	if isUpper(c) {
		return 0x20
	}
	return 0
}

// appendPartial appends v with its letters and digits as stars and its signs
// kept, but for the few that the type keeps.
func appendPartial(dst, v []byte, t Type) []byte {
	count := 0
	for _, c := range v {
		if isAlnum(c) || c >= 0xC0 {
			count++
		}
	}
	head, tail := 0, 0
	switch t {
	case Card:
		tail = 4
	case Phone:
		tail = 2
	case IBAN:
		head, tail = 2, 2
	case Person:
		head = 1
	case Email:
		return appendEmail(dst, v)
	case Password, Secret, CloudKey, APIToken, JWT, PrivateKey, taintedValue:
		return append(dst, hidden...)
	}
	if (head+tail)*2 > count {
		head, tail = 0, 0
	}
	n := 0
	for i := 0; i < len(v); {
		c := v[i]
		if c < 0x80 && !isAlnum(c) {
			dst = append(dst, c)
			i++
			continue
		}
		size := 1
		if c >= 0x80 {
			_, size = utf8.DecodeRune(v[i:])
		}
		if n < head || n >= count-tail {
			dst = append(dst, v[i:i+size]...)
		} else {
			dst = append(dst, '*')
		}
		n++
		i += size
	}
	return dst
}

// appendEmail keeps the first character when more than one stands before the @,
// and the domain's last label.
func appendEmail(dst, v []byte) []byte {
	at, dot := -1, len(v)
	for i, c := range v {
		if c == '@' || c == '%' || c >= 0x80 && at < 0 && i+2 < len(v) && string(v[i:i+3]) == "＠" {
			at = i
			break
		}
	}
	for i := len(v) - 1; i > at && at >= 0; i-- {
		if v[i] == '.' {
			dot = i
			break
		}
	}
	for i, c := range v {
		switch {
		case i == 0 && at > 1 && isAlnum(c), i >= dot && at >= 0, c < 0x80 && !isAlnum(c):
			dst = append(dst, c)
		case c < 0x80 || c >= 0xC0:
			dst = append(dst, '*')
		}
	}
	return dst
}

// maskInPlace hides v with bytes of the same number, for streams whose framing
// counts bytes. It keeps what appendPartial keeps.
func maskInPlace(v []byte, t Type) {
	switch t {
	case Card:
		starDigits(v, 4)
	case Phone:
		starDigits(v, 2)
	default:
		for i, c := range v {
			if isAlnum(c) || c >= 0x80 || t == Password || t == Secret {
				v[i] = '*'
			}
		}
	}
}

// starDigits hides all letters and digits but the last tail.
func starDigits(v []byte, tail int) {
	for i := len(v) - 1; i >= 0; i-- {
		if c := v[i]; isAlnum(c) || c >= 0x80 {
			if tail > 0 && c < 0x80 {
				tail--
				continue
			}
			v[i] = '*'
		}
	}
}
