package masking

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// mapped is what a text in some encoding stands for, and where each byte of it
// stands in the encoded text.
type mapped struct {
	plain  []byte
	places []int // one more than plain has bytes: the end
}

func (m *mapped) reset() { m.plain, m.places = m.plain[:0], m.places[:0] }

func (m *mapped) add(c byte, at int) {
	m.plain, m.places = append(m.plain, c), append(m.places, at)
}

// quotedPrintable decodes src.
func (m *mapped) quotedPrintable(src []byte) {
	m.reset()
	for i := 0; i < len(src); {
		switch {
		case src[i] != '=':
			m.add(src[i], i)
			i++
		case i+1 < len(src) && src[i+1] == '\n':
			i += 2
		case i+2 < len(src) && src[i+1] == '\r' && src[i+2] == '\n':
			i += 3
		case i+2 < len(src) && isHex(src[i+1]) && isHex(src[i+2]):
			m.add(hexValue(src[i+1])<<4|hexValue(src[i+2]), i)
			i += 3
		default:
			m.add(src[i], i)
			i++
		}
	}
	m.places = append(m.places, len(src))
}

var namedEntities = map[string]rune{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\'', "nbsp": 0xA0, "commat": '@', "period": '.', "hyphen": 0x2010, "lowbar": '_', "sol": '/', "colon": ':'}

// maxEntity bounds an entity, in bytes.
const maxEntity = 12

// entities decodes the character references of HTML and XML in src.
func (m *mapped) entities(src []byte) {
	m.reset()
	for i := 0; i < len(src); {
		if src[i] == '&' {
			if r, n := entity(src[i:]); n > 0 {
				var b [utf8.UTFMax]byte
				for _, c := range b[:utf8.EncodeRune(b[:], r)] {
					m.add(c, i)
				}
				i += n
				continue
			}
		}
		m.add(src[i], i)
		i++
	}
	m.places = append(m.places, len(src))
}

func entity(b []byte) (r rune, size int) {
	end := bytes.IndexByte(b[:min(len(b), maxEntity)], ';')
	if end < 2 {
		return 0, 0
	}
	name := string(b[1:end])
	if name[0] != '#' {
		r, ok := namedEntities[name]
		if !ok {
			return 0, 0
		}
		return r, end + 1
	}
	base, digits := 10, name[1:]
	if len(digits) > 1 && digits[0]|0x20 == 'x' {
		base, digits = 16, digits[1:]
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil || n == 0 || !utf8.ValidRune(rune(n)) {
		return 0, 0
	}
	return rune(n), end + 1
}

// appendMasked appends src, which m was made of, with what is found in the plain
// text hidden; escape appends what hides it in src's encoding.
func (m *mapped) appendMasked(dst, src []byte, p *inspector, topics detect.Topics, n *counts, escape func(dst, masked []byte) []byte) []byte {
	p.find(m.plain, topics, likeJSON(m.plain))
	at := 0
	var masked []byte
	for _, x := range p.found {
		how := p.view.treatment(x.Type)
		start := m.places[x.Start]
		if how.Transform == Visible || start < at {
			continue
		}
		n.add(x.Type)
		dst = append(dst, src[at:start]...)
		masked = p.view.masker.appendMasked(masked[:0], m.plain[x.Start:x.End], x.Type, how)
		dst = escape(dst, masked)
		at = m.places[x.End]
	}
	return append(dst, src[at:]...)
}
