package masking

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/jsontext"
)

// jsonCursor tells what of a JSON text is inside strings.
type jsonCursor struct {
	src    []byte
	pos    int
	string bool
}

// inside reports whether position at is inside a string. Positions ascend.
func (c *jsonCursor) inside(at int) bool {
	for ; c.pos < at; c.pos++ {
		switch b := c.src[c.pos]; {
		case b == '\\' && c.string:
			c.pos++
		case b == '"':
			c.string = !c.string
		}
	}
	return c.string
}

// jsonVisitor looks at the values of a JSON text. It goes over the text once,
// whatever its nesting, and does not mind what is no JSON. It tells an inspector
// of the values of keys that are masked, strings without their quotes; when such
// a value is an array or an object, of every value in it; and of every other
// string, keys too, that has escapes in it.
type jsonVisitor struct {
	// Where it stands: how deep, and the depth and type of the container that a
	// masked key has, 0 outside of one.
	depth, within int
	typ           detect.Type
}

// visitor returns the visitor of a column's values.
func (c *column) visitor() *jsonVisitor {
	if c.element != "" {
		return &jsonVisitor{depth: 1, within: 1, typ: c.element}
	}
	return &jsonVisitor{}
}

// visit goes over src, which goes on where the last one ended.
func (v *jsonVisitor) visit(src []byte, p *inspector) {
	depth, within, typ := v.depth, v.within, v.typ
	defer func() { v.depth, v.within, v.typ = depth, within, typ }()
	for i := 0; i < len(src); {
		switch src[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == within {
				within = 0
			}
			depth = max(depth-1, 0)
			i++
		case '"':
			end := jsontext.StringEnd(src, i)
			start, stop := i+1, max(end-1, i+1)
			k := jsontext.SkipSpace(src, end)
			i = max(end, i+1)
			if k >= len(src) || src[k] != ':' || end < start+1 { // a value
				switch {
				case within > 0 && stop > start:
					p.named(start, stop, typ)
				case hasEscape(src[start:stop]):
					p.escaped(src, start, stop)
				}
				continue
			}
			if hasEscape(src[start:stop]) {
				p.escaped(src, start, stop)
			}
			i = jsontext.SkipSpace(src, k+1)
			t, ok := p.typeOfKey(src[start:stop])
			if !ok || within > 0 || i >= len(src) {
				continue
			}
			switch src[i] {
			case '"':
				end := jsontext.StringEnd(src, i)
				if end > i+2 {
					p.named(i+1, end-1, t)
				}
				i = end
			case '{', '[':
				depth++
				within, typ = depth, t
				i++
			default:
				i = bare(src, i, t, p)
			}
		default:
			if within > 0 && (isAlnum(src[i]) || src[i] == '-') {
				i = bare(src, i, typ, p)
				continue
			}
			i++
		}
	}
}

// bare reports the number or word at i, unless it is true, false or null, and
// returns its end.
func bare(src []byte, i int, t detect.Type, p *inspector) int {
	_, end := jsontext.BareToken(src, i, i)
	switch string(src[i:end]) {
	case "null", "true", "false", "":
	default:
		p.named(i, end, t)
	}
	return max(end, i+1)
}

func hasEscape(s []byte) bool {
	for _, c := range s {
		if c == '\\' {
			return true
		}
	}
	return false
}

// appendUnescaped appends the text that the inside of a JSON string stands for.
func appendUnescaped(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b', 'f':
			dst = append(dst, ' ')
		case 'u':
			r := codeUnit(s[i+1:])
			if r < 0 {
				dst = append(dst, 'u')
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) && i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
				if both := utf16.DecodeRune(r, codeUnit(s[i+3:])); both != utf8.RuneError {
					r = both
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// codeUnit reads four hex digits, -1 when there are none.
func codeUnit(s []byte) rune {
	if len(s) < 4 {
		return -1
	}
	n, err := strconv.ParseUint(string(s[:4]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
