package kubernetes

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// MaskedValue is shown in the place of a Secret's values: eight asterisks in base64, as values are
// written. It is refused when it comes back.
const MaskedValue = "KioqKioqKio="

// maskedText is MaskedValue as people write it, in stringData.
const maskedText = "********"

// emptyCopy is shown in the place of a copy of a whole Secret: "kubectl apply" reads it as that of an object without fields.
const emptyCopy = `"{}"`

// repeated are annotations in which tools keep a copy of the object.
var repeated = map[string]bool{"kubectl.kubernetes.io/last-applied-configuration": true, "objectset.rio.cattle.io/applied": true}

// Bounds of what is read as a whole. API servers take 256 KiB of annotations.
const (
	maxKey  = 4 << 10
	maxNote = 2 << 20
)

var errSecret = errors.New("the API server's answer about Secrets cannot be read, so that it may show their values")

// level is one object or array around the place where a scanner is.
type level struct {
	object bool
	key    bool // a key comes next, or has come, and no colon after it
	named  bool // the key has come
	meta   bool // it belongs to the metadata
	notes  bool // its values are annotations
	masked bool // its values are hidden
}

// secrets hides the values of Secrets in JSON, which may be one object, a list, a table or the events of
// a watch. Every other byte stays.
type secrets struct {
	levels []level
	text   []byte // of the key or annotation that is read
	key    string // that the next value belongs to
	state  byte   // 0, or what is read: k(ey), a(nnotation), v(alue), h(idden value), n(umber or word)
	escape bool
	hide   bool // a number or word is hidden
}

// Bytes appends what is shown of src.
func (s *secrets) Bytes(dst, src []byte) ([]byte, error) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch s.state {
		case 'k', 'a', 'v', 'h':
			end := !s.escape && c == '"'
			if s.state == 'k' || s.state == 'v' {
				dst = append(dst, c)
			}
			switch {
			case s.state == 'k' && len(s.text) >= maxKey, s.state == 'a' && len(s.text) >= maxNote:
				return dst, errSecret
			case s.state == 'k', s.state == 'a':
				s.text = append(s.text, c)
			}
			s.escape = !s.escape && c == '\\'
			if end {
				var err error
				if dst, err = s.ended(dst); err != nil {
					return dst, err
				}
			}
			continue
		case 'n':
			if !delimiter(c) {
				if !s.hide {
					dst = append(dst, c)
				}
				continue
			}
			s.state, s.hide = 0, false
		}
		var err error
		if dst, err = s.structure(dst, c); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func delimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\r', '\t', ':', '{', '[', '"':
		return true
	}
	return false
}

// ended is the end of a text.
func (s *secrets) ended(dst []byte) ([]byte, error) {
	switch s.state {
	case 'k':
		if err := json.Unmarshal(s.text, &s.key); err != nil {
			return dst, errSecret
		}
		s.levels[len(s.levels)-1].named = true
	case 'a':
		var note string
		if err := json.Unmarshal(s.text, &note); err != nil {
			return dst, errSecret
		}
		if isCopy(note) {
			dst = append(append(append(dst, '"'), maskedText...), '"')
		} else {
			dst = append(dst, s.text...)
		}
	}
	s.text, s.state = s.text[:0], 0
	return dst, nil
}

// isCopy reports whether an annotation may hold a copy of the object it belongs to: as JSON, as YAML, or compressed.
func isCopy(note string) bool {
	note = strings.TrimSpace(note)
	return strings.HasPrefix(note, "{") || strings.HasPrefix(note, "[") || strings.HasPrefix(note, gzipped) || strings.Contains(note, "data:") || strings.Contains(note, "stringData:")
}

// gzipped is what gzip begins with in base64.
const gzipped = "H4sI"

// structure takes a byte outside of texts.
func (s *secrets) structure(dst []byte, c byte) ([]byte, error) {
	top := &level{}
	if n := len(s.levels); n > 0 {
		top = &s.levels[n-1]
	}
	switch c {
	case ' ', '\n', '\r', '\t':
	case ':':
		if !top.object || !top.named {
			return dst, errSecret
		}
		top.key, top.named = false, false
	case ',':
		if top.key {
			return dst, errSecret
		}
		top.key = top.object
	case '{', '[':
		if top.object && top.key || len(s.levels) >= maxDepth {
			return dst, errSecret
		}
		next := level{object: c == '{', key: c == '{', meta: top.meta, masked: top.masked}
		if top.object {
			switch s.key {
			case "metadata":
				next.meta = true
			case "annotations":
				next.notes = top.meta
			case "data", "stringData":
				next.masked = next.masked || !top.meta
			}
		}
		s.levels = append(s.levels, next)
	case '}', ']':
		if len(s.levels) == 0 || top.object != (c == '}') {
			return dst, errSecret
		}
		s.levels = s.levels[:len(s.levels)-1]
	case '"':
		if top.named {
			return dst, errSecret
		}
		return s.begin(dst, top), nil
	default:
		if top.object && top.key {
			return dst, errSecret
		}
		s.state = 'n'
		if s.hide = s.hidden(top) && c != 'n'; s.hide { // null hides nothing
			return append(append(append(dst, '"'), MaskedValue...), '"'), nil
		}
	}
	return append(dst, c), nil
}

// begin is the beginning of a text.
func (s *secrets) begin(dst []byte, top *level) []byte {
	s.escape = false
	switch {
	case top.object && top.key:
		s.state, s.text = 'k', append(s.text[:0], '"')
	case top.object && repeated[s.key]:
		s.state = 'h'
		return append(dst, emptyCopy...)
	case top.object && top.notes:
		s.state, s.text = 'a', append(s.text[:0], '"')
		return dst
	case s.hidden(top):
		s.state = 'h'
		return append(append(append(dst, '"'), MaskedValue...), '"')
	default:
		s.state = 'v'
	}
	return append(dst, '"')
}

// hidden reports whether a value that begins now is hidden.
func (s *secrets) hidden(top *level) bool {
	return top.masked || top.object && !top.meta && (s.key == "data" || s.key == "stringData")
}

// secretBody is an answer in which the values of Secrets are hidden.
type secretBody struct {
	io.ReadCloser
	scan secrets
	buf  []byte
	out  []byte
	off  int
	err  error
}

func (b *secretBody) Read(p []byte) (int, error) {
	for b.off == len(b.out) {
		if b.err != nil {
			return 0, b.err
		}
		if b.buf == nil {
			b.buf = make([]byte, 32<<10)
		}
		n, err := b.ReadCloser.Read(b.buf)
		b.off = 0
		out, bad := b.scan.Bytes(b.out[:0], b.buf[:n])
		if b.out = out; bad != nil {
			b.out, err = b.out[:0], bad
		}
		b.err = err
	}
	n := copy(p, b.out[b.off:])
	b.off += n
	return n, nil
}
