package masking

import (
	"bytes"
	"encoding/binary"
)

// Numbers of types whose values may be tokens, and of arrays of them.
const (
	oidUnknown      = 705
	oidVarchar      = 1043
	oidTextArray    = 1009
	oidVarcharArray = 1015
)

func isTextType(oid uint32) bool  { return oid == oidText || oid == oidVarchar }
func isTextArray(oid uint32) bool { return oid == oidTextArray || oid == oidVarcharArray }

// elements is an array of one dimension with each element replaced.
func (t *tokeniser) elements(v []byte, isBinary bool) (_ []byte, why string) {
	if isBinary {
		return t.binaryElements(v)
	}
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(v), []byte("{"))
	if !ok {
		return nil, whyFormat
	}
	out := []byte{'{'}
	for {
		rest = bytes.TrimLeft(rest, " \t\n\r")
		if string(rest) == "}" {
			return append(out, '}'), ""
		}
		var e []byte
		quoted := len(rest) > 0 && rest[0] == '"'
		if quoted {
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				e = append(e, rest[i])
			}
			rest = rest[min(i+1, len(rest)):]
		} else {
			i := bytes.IndexAny(rest, "{},\"\\")
			if i < 0 || rest[i] != ',' && rest[i] != '}' {
				return nil, whyFormat // several dimensions, or escapes without quotes
			}
			e, rest = bytes.TrimSpace(rest[:i]), rest[i:]
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		if !quoted && bytes.EqualFold(e, []byte("NULL")) {
			out = append(out, e...)
		} else {
			if e, why = t.replace(e); why != "" {
				return nil, why
			}
			out = append(out, '"')
			for _, c := range e {
				if c == '"' || c == '\\' {
					out = append(out, '\\')
				}
				out = append(out, c)
			}
			out = append(out, '"')
		}
		switch rest = bytes.TrimLeft(rest, " \t\n\r"); {
		case len(rest) > 0 && rest[0] == ',':
			rest = rest[1:]
		case string(rest) != "}":
			return nil, whyFormat
		}
	}
}

// binaryElements is elements of an array in binary format.
func (t *tokeniser) binaryElements(v []byte) (_ []byte, why string) {
	const header = 12
	if len(v) < header || !isTextType(binary.BigEndian.Uint32(v[8:])) {
		return nil, whyFormat
	}
	dims, at := binary.BigEndian.Uint32(v), header
	switch {
	case dims == 0 && len(v) == header:
		return v, ""
	case dims != 1 || len(v) < header+8:
		return nil, whyFormat
	}
	at += 8
	out := append([]byte{}, v[:at]...)
	for range binary.BigEndian.Uint32(v[header:]) {
		n, ok := valueAt(v, at)
		if !ok {
			return nil, whyFormat
		}
		if at += 4; n < 0 {
			out = append(out, v[at-4:at]...)
			continue
		}
		e, why := t.replace(v[at : at+n])
		if why != "" {
			return nil, why
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(e))), e...)
		at += n
	}
	if at != len(v) {
		return nil, whyFormat
	}
	return out, ""
}
