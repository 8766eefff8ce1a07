package sftp

import "strings"

// answer is a parsed answer of the server's.
type answer struct {
	kind   byte
	id     uint32
	code   uint32 // of status
	handle string
	data   []byte // of data: a view of the packet
	names  uint32
}

func parseAnswer(b []byte) (answer, error) {
	a := answer{kind: b[4]}
	f := fields{b: b[5:]}
	a.id = f.uint32()
	switch a.kind {
	case typeStatus:
		a.code = f.uint32()
		if len(f.b) > 0 { // servers of older drafts end here
			f.bytes(maxPacket)
			f.bytes(maxName)
		}
	case typeHandle:
		a.handle = f.text(maxHandle)
	case typeData:
		a.data = f.bytes(maxPacket)
	case typeName:
		a.names = f.uint32()
		for n := a.names; n > 0 && !f.bad; n-- {
			f.bytes(maxPath)
			f.bytes(maxPacket)
			f.attrs()
		}
	case typeAttrs:
		f.attrs()
	case typeExtendedReply:
		f.b = nil // its form is the extension's
	default:
		f.bad = true
	}
	return a, f.done()
}

// versionAnswer reads the server's version and returns the one for the client:
// without extensions that the relay does not know.
func versionAnswer(b []byte) ([]byte, error) {
	f := fields{b: b[5:]}
	v := f.uint32()
	if b[4] != typeVersion || v != version {
		return nil, ErrMalformed
	}
	out := appendUint32(begin(typeVersion), version)
	for len(f.b) > 0 && !f.bad {
		name, value := f.text(maxName), f.text(maxName)
		if _, known := extensions[name]; known {
			out = appendText(appendText(out, name), value)
		}
	}
	return finish(out), f.done()
}

// baseAnswer reads the answer to the relay's question for the base; it is empty
// when the server does not tell it.
func baseAnswer(b []byte) (string, error) {
	a, err := parseAnswer(b)
	if err != nil || a.id != baseID || a.kind != typeName && a.kind != typeStatus {
		return "", ErrMalformed
	}
	if a.kind == typeStatus || a.names != 1 {
		return "", nil
	}
	f := fields{b: b[9+4:]}
	base := f.path()
	if f.bad || !strings.HasPrefix(base, "/") {
		return "", nil
	}
	return base, nil
}
