package masking

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// likeness says how sure it is that a value is a mask rather than a real value.
type likeness uint8

const (
	noMask   likeness = iota
	perhaps           // real values look the same
	maskOnly          // no real value looks like this
)

// shows says whether v, a value that is to be written to column c, may be what is shown in
// the place of values of c. part says that v is put together with others before.
// v is text; nil is NULL.
func (m *Masker) shows(c *column, v []byte, part bool) likeness {
	switch {
	case v == nil:
		return when(!part && c.showsNull() && !c.showsNeutral(), perhaps)
	case !part && c.showsNeutral() && c.isNeutral(v):
		return perhaps
	case len(v) == 0 || c.kind == kindBool:
		return noMask
	case c.tainted:
		return when(string(bytes.TrimSpace(v)) == hidden, maskOnly)
	case c.kind == kindJSON && v[0] == '"':
		v = appendUnescaped(nil, v[1:max(len(v)-1, 1)])
	}
	if v = bytes.TrimSpace(v); len(v) == 0 {
		return noMask
	}
	text := c.kind == kindText || c.kind == kindJSON
	if text && m.starred(v, c.typ, c.with, part) {
		return maskOnly
	}
	if part && c.with.Transform != Redact && c.with.Transform != Tokenise && c.with.Transform != Pseudonym {
		return noMask
	}
	switch c.with.Transform {
	case Hash:
		return when(text && isHash(v) || c.oid == oidUUID && isHashUUID(v), maskOnly)
	case Pseudonym:
		return when(text && m.isPseudonym(v) || c.oid == oidUUID && isHashUUID(v), maskOnly)
	case Tokenise:
		return when(text && isToken(v), maskOnly)
	case Fixed:
		return when(string(v) == strings.TrimSpace(c.with.Text), maskOnly)
	case Redact, Null:
		return when(text && m.isRedacted(v), maskOnly)
	case KeepDomain:
		return when(text && bytes.HasPrefix(v, []byte("****@")), maskOnly)
	case Bucket:
		return bucketed(v, c.with.Size, text)
	case KeepNetwork:
		return when(isNetwork(v, c.with.Bits), perhaps)
	case Truncate:
		return when(isTruncated(v, c.with), perhaps)
	case Shift:
		_, ok := parseDate(v)
		return when(ok, perhaps)
	case Encrypt, SameShape:
		if c.showsNull() || isSecret(c.typ) { // NULL and stars are what is shown
			return noMask
		}
		x := bytes.Clone(v)
		if c.with.Transform == SameShape {
			return when(m.keys.sameShape(x, c.typ), perhaps)
		}
		return when((&ff1{m.keys.format, []byte(c.typ)}).format(x, true), perhaps)
	}
	return noMask
}

func when(yes bool, l likeness) likeness {
	if yes {
		return l
	}
	return noMask
}

// showsNeutral reports whether its neutral value may be shown in the place of a value of
// the column.
func (c *column) showsNeutral() bool {
	return c.neutral != nil && c.with.Transform != Null && c.showsNull()
}

// showsNull reports whether NULL, or a neutral value, may be shown in the place of a
// value of the column.
func (c *column) showsNull() bool {
	how := c.with.Transform
	number := numberBytes[c.oid] != 0 || c.oid == oidNumeric
	switch {
	case c.tainted:
		return c.null
	case how == Null:
		return true
	case how == Visible, c.kind == kindText && !c.null:
		return false
	case c.kind == kindJSON:
		return how != Hash && how != Pseudonym && how != Tokenise && how != Redact && how != Fixed
	case number:
		return how != Fixed && how != Bucket && how != Encrypt && how != SameShape
	case c.oid == oidDate || c.oid == oidTimestamp || c.oid == oidTimestampTZ:
		return how != Fixed && how != Shift && how != Truncate
	case c.oid == oidUUID:
		return how != Hash && how != Pseudonym && how != SameShape
	case c.oid == oidInet || c.oid == oidCIDR:
		return how != KeepNetwork
	}
	return true
}

// starred reports whether v has the form in which Partial, and what other transforms
// fall back to, shows values: stars in the place of letters and digits, but for a few at
// the ends. The few stars in part of a value say nothing.
func (m *Masker) starred(v []byte, t detect.Type, how treatment, part bool) bool {
	stars := bytes.Count(v, []byte("*"))
	if stars == 0 || stars < 3 && (part || isSecret(t)) { // one star for a password locks an account
		return false
	}
	first, last, ok := starEnds(v)
	if !ok {
		return starredEmail(v)
	}
	switch [2]int{first, last} {
	case [2]int{0, 0}, [2]int{0, 4}, [2]int{0, 2}, [2]int{2, 2}, [2]int{1, 0}:
		return true // of any type, a card, a telephone number, an IBAN, a person
	}
	return how.Transform == Partial && first == how.KeepFirst && last == how.KeepLast || starredEmail(v)
}

// starEnds returns how many letters and digits v has before and after its stars; ok is
// false when there are some among them, or no stars.
func starEnds(v []byte) (first, last int, ok bool) {
	stars := 0
	for i := 0; i < len(v); {
		c, size := v[i], 1
		if c >= utf8.RuneSelf {
			_, size = utf8.DecodeRune(v[i:])
		}
		switch {
		case c == '*' && last > 0:
			return 0, 0, false
		case c == '*':
			stars++
		case c < utf8.RuneSelf && !isAlnum(c):
		case stars == 0:
			first++
		default:
			last++
		}
		i += size
	}
	return first, last, stars > 0
}

// starredEmail reports whether v is an e-mail address as appendEmail shows it.
func starredEmail(v []byte) bool {
	local, domain, ok := bytes.Cut(v, []byte("@"))
	if !ok || len(local) == 0 || len(domain) == 0 {
		return false
	}
	if len(local) > 1 && isAlnum(local[0]) {
		local = local[1:]
	}
	if dot := bytes.LastIndexByte(domain, '.'); dot >= 0 {
		for _, c := range domain[dot+1:] {
			if !isAlnum(c) && c < utf8.RuneSelf && c != '-' {
				return false
			}
		}
		domain = domain[:dot]
	}
	return onlyStars(local) && onlyStars(domain)
}

// onlyStars reports whether v has stars and signs only.
func onlyStars(v []byte) bool {
	for _, c := range v {
		if isAlnum(c) || c >= utf8.RuneSelf || c <= ' ' || c == '@' {
			return false
		}
	}
	return bytes.IndexByte(v, '*') >= 0
}

const hashDigits = 16

func isHash(v []byte) bool {
	return len(v) == hashDigits && !bytes.ContainsFunc(v, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

// isHashUUID reports whether v is a UUID of the version of appendUUID, which databases do
// not make.
func isHashUUID(v []byte) bool {
	return len(v) == 36 && v[14] == '8' && hasUUIDForm(v)
}

// hasUUIDForm reports whether v has the form of a UUID.
func hasUUIDForm(v []byte) bool {
	for i, c := range v {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !isHex(c) {
			return false
		}
	}
	return len(v) == 36
}

// isPseudonym reports whether v is a type, the id of a key and a hash.
func (m *Masker) isPseudonym(v []byte) bool {
	const tail = 1 + 4 + 1 + hashDigits
	n := len(v) - tail
	if n <= 0 || v[n] != '-' || v[n+5] != '-' || !isHash(v[n+6:]) || !m.isType(v[:n]) {
		return false
	}
	_, err := hex.Decode(make([]byte, 2), v[n+1:n+5])
	return err == nil
}

// isType reports whether values may be masked as ones of a type of that name.
func (m *Masker) isType(name []byte) bool {
	t := detect.Type(name)
	return t == Column || t == taintedValue || t == Remembered || m.detector.Knows(t)
}

// isToken reports whether v is a token, of any key: one of another is a mask too.
func isToken(v []byte) bool {
	rest, ok := bytes.CutPrefix(v, []byte(tokenPrefix))
	if !ok {
		return false
	}
	id, body, ok := bytes.Cut(rest, []byte("_"))
	const least = (tokenMAC*8 + 5) / 6
	return ok && len(id) == 4 && len(body) >= least && !bytes.ContainsFunc(body, func(r rune) bool {
		return r >= utf8.RuneSelf || !isAlnum(byte(r)) && r != '-' && r != '_'
	})
}

// isRedacted reports whether v is a type's name in brackets.
func (m *Masker) isRedacted(v []byte) bool {
	return len(v) > 2 && v[0] == '[' && v[len(v)-1] == ']' && m.isType(v[1:len(v)-1])
}

// bucketed says whether v is a range of appendBucket, or the number that begins it where
// the column holds numbers.
func bucketed(v []byte, size int64, text bool) likeness {
	low, high, isRange := bytes.Cut(v[1:], []byte("-")) // the first may be a sign
	if !isRange {
		if whole, _, fraction := bytes.Cut(v, []byte(".")); fraction {
			v = whole
		}
		n, ok := parseInteger(v)
		return when(!text && ok && floorTo(n, size) == n, perhaps)
	}
	a, okA := parseInteger(append([]byte{v[0]}, low...))
	b, okB := parseInteger(high)
	return when(okA && okB && floorTo(a, size) == a && b == a+size-1, maskOnly)
}

// isNetwork reports whether v is an address whose host appendNetwork has taken away.
func isNetwork(v []byte, bits int) bool {
	text, _, _ := bytes.Cut(v, []byte("/"))
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return false
	}
	if a.Is6() {
		bits *= 2
	}
	p, err := a.Prefix(bits)
	return err == nil && p.Addr() == a
}

func parseDate(v []byte) (time.Time, bool) {
	if len(v) < len(time.DateOnly) {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, string(v)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// isTruncated reports whether v is a date that Truncate leaves as it is.
func isTruncated(v []byte, how treatment) bool {
	t, ok := parseDate(v)
	return ok && (*keys)(nil).moved(t, how).Equal(t)
}
