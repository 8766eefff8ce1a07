package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// Events are written as JSON by hand: it is done twice for every operation, and
// must not allocate.

const (
	maxText = 1 << 20  // of a statement or command, in bytes
	maxArg  = 16 << 10 // of one argument
	maxArgs = 256 << 10
)

// clock writes times. It remembers the last second, since most events are of the
// same.
type clock struct {
	second int64
	text   [len("2006-01-02T15:04:05")]byte
}

// append appends at as RFC 3339, in UTC, with microseconds.
func (c *clock) append(b []byte, at time.Time) []byte {
	if s := at.Unix(); s != c.second || c.text[0] == 0 {
		c.second = s
		at.UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05")
	}
	b = append(append(b, c.text[:]...), '.')
	for micros, unit := at.Nanosecond()/1000, 100_000; unit > 0; unit /= 10 {
		b = append(b, '0'+byte(micros/unit%10))
	}
	return append(b, 'Z')
}

// object appends the beginning of an event.
func (c *clock) object(b []byte, index uint64, at time.Time, typ string) []byte {
	b = append(b, `{"i":`...)
	b = strconv.AppendUint(b, index, 10)
	b = append(b, `,"t":"`...)
	b = c.append(b, at)
	b = append(b, `","type":"`...)
	b = append(b, typ...)
	return append(b, '"')
}

func str(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return quote(name(b, key), value)
}

func num(b []byte, key string, value uint64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendUint(name(b, key), value, 10)
}

func name(b []byte, key string) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	return append(b, `":`...)
}

const hexDigits = "0123456789abcdef"

// quote appends a JSON string. Control characters, and what terminals could take
// for one, are escaped; bytes that are not UTF-8 become U+FFFD.
func quote[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := decode(s[i:])
			if r > 0x9f && r != utf8.RuneError && r != 0x2028 && r != 0x2029 {
				i += size
				continue
			}
			b = append(b, s[from:i]...)
			if r == utf8.RuneError && size == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			}
			i += size
			from = i
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

func decode[T string | []byte](s T) (rune, int) {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s)
	return utf8.DecodeRune(buf[:n])
}

// operation appends what op asks, with redacted in the place of what it says.
func operation(b []byte, op proxy.Op, redacted *proxy.Redacted) []byte {
	m := op.Info()
	b = num(b, "op", m.ID)
	b = num(b, "parent", m.Parent)
	b = str(b, "kind", m.Kind.String())
	if m.Rewritten {
		b = append(b, `,"rewritten":true`...)
	}
	switch o := op.(type) {
	case *proxy.Connect:
		b = params(b, o.Params)
	case *proxy.Statement:
		said, args := o.Text, o.Args
		if redacted != nil {
			said, args = redacted.Text, redacted.Args
		}
		b = statement(b, o, said, args)
	case *proxy.Exec:
		said := []byte(o.Command)
		if redacted != nil {
			said = redacted.Text
		}
		b = text(b, said, "", detect.MaySetSecret(said))
		b = str(b, "target", o.Target)
		if o.Terminal {
			b = append(b, `,"terminal":true`...)
		}
	case *proxy.Call:
		b = str(b, "name", o.Name)
		b = append(name(b, "args"), '[')
		secret := detect.NamesSecret(o.Name)
		for i, a := range o.Args {
			if redacted != nil {
				a = redacted.Args[i].Value
			}
			b = argument(b, i, a, false, secret || detect.MaySetSecret(a))
		}
		b = append(b, ']')
	case *proxy.File:
		b = str(b, "name", o.Action.String())
		b = str(b, "text", o.Path)
		b = str(b, "target", o.Target)
	case *proxy.Forward:
		b = str(b, "name", o.Network)
		b = str(b, "target", o.Host)
		b = num(b, "port", uint64(o.Port))
		if o.Listen {
			b = append(b, `,"listen":true`...)
		}
		if o.Opaque {
			b = append(b, `,"opaque":true`...)
		}
	case *proxy.Request:
		b = str(b, "name", o.Method)
		b = str(b, "target", o.Host)
		b = str(b, "text", o.Path)
		query := o.Query
		if detect.MaySetSecret([]byte(query)) {
			query = "…"
		}
		b = str(b, "query", query)
		b = str(b, "action", o.Action)
	}
	return b
}

func params(b []byte, p map[string]string) []byte {
	if len(p) == 0 {
		return b
	}
	b = append(name(b, "params"), '{')
	first := true
	for k, v := range p {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(quote(b, k), ':')
		if detect.NamesSecret(k) || detect.MaySetSecret([]byte(v)) {
			v = "…"
		}
		b = quote(b, v)
	}
	return append(b, '}')
}

// counts appends how many values of each type were masked.
func counts(b []byte, masked map[string]uint64) []byte {
	if len(masked) == 0 {
		return b
	}
	b = append(name(b, "masked"), '{')
	for i, typ := range slices.Sorted(maps.Keys(masked)) {
		b = append(quote(comma(b, i), typ), ':')
		b = strconv.AppendUint(b, masked[typ], 10)
	}
	return append(b, '}')
}

func statement(b []byte, o *proxy.Statement, said []byte, args []proxy.Arg) []byte {
	b = str(b, "name", o.Name)
	f := o.Facts
	secret := detect.MaySetSecret(said)
	b = text(b, said, f.Normalised, secret)
	if len(args) > 0 {
		b = append(name(b, "args"), '[')
		total := 0
		for i, a := range args {
			total += len(a.Value)
			value, binary := a.Value, a.Binary
			if a.Text != nil {
				value, binary = a.Text, false
			}
			b = argument(b, i, value, binary, secret || total > maxArgs || detect.MaySetSecret(a.Value))
		}
		b = append(b, ']')
	}
	b = append(name(b, "effects"), '"')
	b = effects(b, f.Effects)
	b = append(b, '"')
	b = str(b, "unknown", f.Unknown)
	if len(f.Relations) > 0 {
		b = append(name(b, "relations"), '"')
		for i, r := range f.Relations {
			if i > 0 {
				b = append(b, ' ')
			}
			if r.Schema != "" {
				b = append(inner(b, r.Schema), '.')
			}
			b = append(inner(b, r.Name), ':')
			b = effects(b, r.Effects)
		}
		b = append(b, '"')
	}
	if len(f.Functions) > 0 {
		b = append(name(b, "functions"), '"')
		for i, fn := range f.Functions {
			if i > 0 {
				b = append(b, ' ')
			}
			if fn.Schema != "" {
				b = append(inner(b, fn.Schema), '.')
			}
			b = inner(b, fn.Name)
		}
		b = append(b, '"')
	}
	if f.Fingerprint != 0 {
		b = append(name(b, "fingerprint"), '"')
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, hexDigits[f.Fingerprint>>shift&15])
		}
		b = append(b, '"')
	}
	return b
}

var effectNames = proxy.EffectNames()

// inner appends s as it is written inside a JSON string.
func inner(b []byte, s string) []byte {
	mark := len(b)
	b = quote(b, s)
	copy(b[mark:], b[mark+1:len(b)-1])
	return b[:len(b)-2]
}

func effects(b []byte, e proxy.Effects) []byte {
	first := true
	for e != 0 {
		one := e & -e
		e &^= one
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, effectNames[bits.TrailingZeros32(uint32(one))]...)
	}
	return b
}

// text appends a statement or command. What may set a secret is recorded without its
// literals, or not at all where they cannot be told.
func text(b, s []byte, normalised string, secret bool) []byte {
	if len(s) == 0 {
		return b
	}
	if secret {
		b = str(b, "withheld", "it may hold a secret")
		return str(b, "text", normalised)
	}
	if len(s) <= maxText {
		return quote(name(b, "text"), s)
	}
	b = quote(name(b, "text"), s[:maxText])
	b = num(b, "text_bytes", uint64(len(s)))
	sum := sha256.Sum256(s)
	return str(b, "text_digest", hex.EncodeToString(sum[:]))
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

// argument appends the i-th argument, or a mark in the place of one that is withheld.
func argument(b []byte, i int, v []byte, binary, withheld bool) []byte {
	b = comma(b, i)
	if withheld {
		return append(b, `"…"`...)
	}
	if v == nil {
		return append(b, "null"...)
	}
	cut := v[:min(len(v), maxArg)]
	if binary {
		b = append(b, `"\\x`...)
		b = hex.AppendEncode(b, cut)
		return append(b, '"')
	}
	return quote(b, cut)
}

// outcome appends the answer to an operation and how it ended.
func outcome(b []byte, out *proxy.Outcome) []byte {
	if v := out.Verdict; v != nil {
		b = str(b, "verdict", v.Action.String())
		b = str(b, "by", out.By)
		if v.Refuses() {
			b = str(b, "cause", v.Cause.String())
			b = str(b, "reason", v.Reason)
		}
		b = str(b, "rule", v.Rule)
		b = str(b, "grant", v.Grant)
		b = str(b, "warn", v.Warn)
	}
	b = str(b, "code", out.Code)
	if out.Err != nil {
		b = str(b, "error", out.Err.Error())
	}
	b = str(b, "tag", out.Tag)
	b = num(b, "rows", out.Rows)
	b = num(b, "in", out.BytesIn)
	b = num(b, "out", out.BytesOut)
	return num(b, "us", uint64(max(0, out.Duration.Microseconds())))
}
