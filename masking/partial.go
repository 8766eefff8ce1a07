package masking

import (
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// isSecret reports whether of values of type t nothing may be told, their length
// neither.
func isSecret(t detect.Type) bool { return t.Secret() || t == taintedValue || t == Remembered }

// appendPartial appends v with its letters and digits as stars and its signs
// kept, but for first and last of them, or the few that the type keeps when both
// are 0. At most half is kept.
func appendPartial(dst, v []byte, t detect.Type, first, last int) []byte {
	if isSecret(t) {
		return append(dst, hidden...)
	}
	if first == 0 && last == 0 {
		switch t {
		case detect.Card:
			last = 4
		case detect.Phone:
			last = 2
		case detect.IBAN:
			first, last = 2, 2
		case detect.Person:
			first = 1
		case detect.Email:
			return appendEmail(dst, v)
		}
	}
	return appendKept(dst, v, first, last)
}

// appendKept appends v with all letters and digits but the first and the last as
// stars; all of them, when more than half would be kept.
func appendKept(dst, v []byte, first, last int) []byte {
	count := 0
	for _, c := range v {
		if isAlnum(c) || c >= 0xC0 {
			count++
		}
	}
	if (first+last)*2 > count {
		first, last = 0, 0
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
		if n < first || n >= count-last {
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
func maskInPlace(v []byte, t detect.Type) {
	switch t {
	case detect.Card:
		starDigits(v, 4)
	case detect.Phone:
		starDigits(v, 2)
	default:
		for i, c := range v {
			if isAlnum(c) || c >= 0x80 || t == detect.Password || t == detect.Secret {
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
