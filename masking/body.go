package masking

import (
	"bytes"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// maxUnit bounds the part of a body that is looked at as one: a value of JSON with
// its key, a line, a record of CSV, a text between two tags.
const maxUnit = 4 << 20

// smallUnit is how long a unit may be that every arriving byte is looked at for
// the end of.
const smallUnit = 16 << 10

var errUnit = errors.New("a value in this body is too long to be masked")

// body returns the filter of a body by its media type. What comes out may be
// longer or shorter than what came in. Types that are not known are masked as
// streams of bytes, which keep their length.
func (v *view) body(c *counts, shape *proxy.Shape, seen *remembered) proxy.Filter {
	media, params, _ := strings.Cut(strings.ToLower(shape.Media), ";")
	media = strings.TrimSpace(media)
	var f format
	p := newInspector(v, seen)
	switch {
	case strings.Contains(params, "encoding=quoted-printable"):
		f = &lines{p: p, quoted: true}
	case media == "application/json" || strings.HasSuffix(media, "+json"), media == "application/x-ndjson", media == "application/jsonl",
		media == "application/x-jsonlines", media == "application/json-seq":
		f = newJSONBody(p)
	case media == "text/event-stream":
		f = &lines{p: p}
	case media == "text/csv", media == "text/tab-separated-values":
		f = &records{p: p, separator: map[bool]byte{true: ',', false: '\t'}[media == "text/csv"]}
	case media == "text/html", media == "text/xml", media == "application/xml", strings.HasSuffix(media, "+xml"):
		f = &markup{p: p}
	default:
		return v.stream(c, shape, seen, nil)
	}
	b := &bodyFilter{format: f, counts: c}
	return proxy.Filter{Bytes: b.bytes, End: func(dst []byte) ([]byte, error) { return b.pass(dst, true) }}
}

// format cuts a body into units and masks them.
type format interface {
	// units returns how much of b is whole units. b begins where a unit does.
	units(b []byte) int
	// append appends whole units masked; last says that the body ends with them.
	append(dst, units []byte, n *counts, last bool) []byte
}

type bodyFilter struct {
	format format
	counts *counts
	held   []byte
	looked int // bytes of held that have no end of a unit
}

func (f *bodyFilter) bytes(dst, src []byte) ([]byte, error) {
	f.held = append(f.held, src...)
	return f.pass(dst, false)
}

func (f *bodyFilter) pass(dst []byte, last bool) ([]byte, error) {
	n := len(f.held)
	if !last {
		if f.looked > smallUnit && n < 2*f.looked { // look again when there is much more, so that time stays linear
			return dst, nil
		}
		if n = f.format.units(f.held); n == 0 {
			f.looked = len(f.held)
			if len(f.held) > maxUnit {
				return dst, errUnit
			}
			return dst, nil
		}
	}
	f.looked = 0
	dst = f.format.append(dst, f.held[:n], f.counts, last)
	f.held = f.held[:copy(f.held, f.held[n:])]
	if cap(f.held) > 1<<16 && len(f.held) == 0 {
		f.held = nil
	}
	return dst, nil
}

// jsonBody is one JSON text, or several.
type jsonBody struct {
	p       inspector
	visitor jsonVisitor
}

func newJSONBody(p inspector) *jsonBody { return &jsonBody{p: p} }

// units ends behind a comma or a bracket outside of strings, so that a key is
// never parted from its value.
func (j *jsonBody) units(b []byte) int {
	end, inside := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == ',', c == '{', c == '}', c == '[', c == ']':
			end = i + 1
		}
	}
	return end
}

func (j *jsonBody) append(dst, units []byte, n *counts, _ bool) []byte {
	j.p.findJSON(units, &j.visitor)
	dst, _, _ = j.p.appendMasked(dst, units, true, true, n)
	return dst
}

// lines are lines of text, of which each may hold JSON, as those of server-sent
// events; or of quoted-printable (RFC 2045, 6.7).
type lines struct {
	p      inspector
	quoted bool
	text   mapped
}

func (l *lines) units(b []byte) int {
	if !l.quoted {
		return bytes.LastIndexByte(b, '\n') + 1
	}
	for end := len(b); end > 0; end-- { // not behind a soft line break
		end = bytes.LastIndexByte(b[:end], '\n') + 1
		if end == 0 {
			break
		}
		if line := bytes.TrimRight(b[:end], "\r\n"); len(line) == 0 || line[len(line)-1] != '=' {
			return end
		}
	}
	return 0
}

func (l *lines) append(dst, units []byte, n *counts, _ bool) []byte {
	if l.quoted {
		l.text.quotedPrintable(units)
		return l.text.appendMasked(dst, units, &l.p, 0, n, func(dst, masked []byte) []byte {
			for _, c := range masked {
				if c < ' ' || c >= 0x7f || c == '=' {
					dst = append(dst, '=', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
				} else {
					dst = append(dst, c)
				}
			}
			return dst
		})
	}
	for len(units) > 0 {
		end := bytes.IndexByte(units, '\n') + 1
		if end == 0 {
			end = len(units)
		}
		line := units[:end]
		at := 0
		if i := bytes.IndexByte(line, ':'); i >= 0 && i < 16 {
			for at = i + 1; at < len(line) && line[at] == ' '; at++ {
			}
		}
		isJSON := likeJSON(line[at:])
		if !isJSON {
			at = 0
		}
		dst = append(dst, line[:at]...)
		l.p.find(line[at:], 0, isJSON)
		dst, _, _ = l.p.appendMasked(dst, line[at:], isJSON, isJSON, n)
		units = units[end:]
	}
	return dst
}
