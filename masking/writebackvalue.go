package masking

import (
	"bytes"
	"time"

	"github.com/sallyport/sallyport/internal/jsontext"
	"github.com/sallyport/sallyport/proxy"
)

// plainParam is a parameter as text.
func (x *session) plainParam(t *target, a *proxy.Arg) []byte {
	oid := a.Type
	if oid == 0 {
		oid = t.oid
	}
	return textOf(a.Value, oid, a.Binary)
}

// textOf is a value of type oid as text; of a type whose binary form is not read,
// the value as it is. nil stays nil.
func textOf(v []byte, oid uint32, binary bool) []byte {
	if v == nil || !binary {
		return v
	}
	switch oid {
	case oidDate, oidTimestamp, oidTimestampTZ:
		if t, ok := binaryTime(v, oid); ok {
			return t.AppendFormat(nil, time.DateOnly)
		}
	}
	if text, ok := appendTextOf([]byte{}, oid, v, 0); ok {
		return text
	}
	return v
}

// literalsIn returns the literals of a text that was not analysed.
func literalsIn(text []byte) (list [][]byte) {
	l := mentionLexer{text: text}
	for {
		k, ok := l.next()
		if !ok {
			return list
		}
		if k == tokenText {
			list = append(list, bytes.Clone(l.value))
		}
	}
}

// eachElement calls each with the elements of a value that is an array in text or binary
// form, or JSON.
func eachElement(v []byte, each func(e []byte)) {
	switch {
	case len(v) < 2:
	case v[0] == '{' || v[0] == '[':
		for i := 1; i < len(v); {
			switch c := v[i]; {
			case c == '"':
				end := jsontext.StringEnd(v, i)
				each(appendUnescaped(nil, v[i+1:max(end-1, i+1)]))
				i = end
			case c <= ' ' || bytes.IndexByte([]byte("{}[],:"), c) >= 0:
				i++
			default:
				from := i
				for i < len(v) && bytes.IndexByte([]byte("{}[],\""), v[i]) < 0 {
					i++
				}
				each(v[from:i])
			}
		}
	case v[0] == 0: // the number of dimensions begins with it
		if text, ok := appendArray(nil, v, 0, nil); ok {
			eachElement(text, each)
		}
	}
}
