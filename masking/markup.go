package masking

import (
	"bytes"

	"github.com/sallyport/sallyport/internal/jsontext"
)

// markup is XML or HTML. Elements and attributes whose names say what they hold
// are masked whole, other texts by their content; character references are read
// as what they stand for.
type markup struct {
	p    inspector
	text mapped
	name []byte // of the element that opened last
}

// units ends before a tag, so that a text is never cut.
func (m *markup) units(b []byte) int { return max(bytes.LastIndexByte(b, '<'), 0) }

func (m *markup) append(dst, units []byte, n *counts, _ bool) []byte {
	for len(units) > 0 {
		if units[0] != '<' {
			end := bytes.IndexByte(units, '<')
			if end < 0 {
				end = len(units)
			}
			dst = m.mask(dst, units[:end], m.name, n)
			units = units[end:]
			continue
		}
		end := bytes.IndexByte(units, '>') + 1
		if end == 0 {
			end = len(units)
		}
		dst = m.tag(dst, units[:end], n)
		units = units[end:]
	}
	return dst
}

// tag appends a tag with its attributes masked, or a comment or other declaration
// masked as text.
func (m *markup) tag(dst, t []byte, n *counts) []byte {
	if len(t) < 2 || t[1] == '!' || t[1] == '?' {
		return m.mask(dst, t, nil, n)
	}
	i := 1
	for i < len(t) && markupName(t[i]) {
		i++
	}
	m.name = m.name[:0]
	if t[1] != '/' {
		m.name = append(m.name, t[1:i]...)
	}
	from := 0
	var key, field []byte
	for i < len(t) {
		if !markupName(t[i]) {
			i++
			continue
		}
		start := i
		for i < len(t) && markupName(t[i]) {
			i++
		}
		key = t[start:i]
		i = jsontext.SkipSpace(t, i)
		if i >= len(t) || t[i] != '=' {
			continue
		}
		i = jsontext.SkipSpace(t, i+1)
		if i >= len(t) {
			break
		}
		value, stop := i, i
		if q := t[i]; q == '"' || q == '\'' {
			value = i + 1
			stop = value + max(bytes.IndexByte(t[value:], q), 0)
			i = stop + 1
		} else {
			for i < len(t) && t[i] > ' ' && t[i] != '>' {
				i++
			}
			stop = i
		}
		stop = min(stop, len(t))
		if bytes.EqualFold(key, []byte("name")) || bytes.EqualFold(key, []byte("id")) || bytes.EqualFold(key, []byte("autocomplete")) {
			field = t[value:stop]
		}
		name := key
		if bytes.EqualFold(key, []byte("value")) || bytes.EqualFold(key, []byte("content")) {
			name = field // <input name="ssn" value="…">
		}
		dst = append(dst, t[from:value]...)
		dst = m.mask(dst, t[value:stop], name, n)
		from = stop
	}
	return append(dst, t[min(from, len(t)):]...)
}

func markupName(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == ':' || c >= 0x80 }

// mask appends a text of the element or attribute that is called name.
func (m *markup) mask(dst, text, name []byte, n *counts) []byte {
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 {
		return append(dst, text...)
	}
	if i := bytes.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	if t, ok := m.p.view.typeOfKey(name); ok && len(name) > 0 && trimmed[0] != '<' {
		n.add(t)
		m.text.entities(trimmed)
		masked := m.p.view.masker.appendMasked(nil, m.text.plain, t, m.p.view.treatmentOfKey(string(name), t))
		start := bytes.Index(text, trimmed)
		dst = escapeMarkup(append(dst, text[:start]...), masked)
		return append(dst, text[start+len(trimmed):]...)
	}
	m.text.entities(text)
	return m.text.appendMasked(dst, text, &m.p, m.p.view.masker.detector.Topics(string(name)), n, escapeMarkup)
}

func escapeMarkup(dst, text []byte) []byte {
	for _, c := range text {
		switch c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
