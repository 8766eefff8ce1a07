package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of packets.
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// Codes of status answers that the relay itself gives or looks at.
const (
	statusOK          = 0
	statusEOF         = 1
	statusDenied      = 3
	statusFailure     = 4
	statusUnsupported = 8
)

var statusNames = [...]string{
	"ok", "eof", "no such file", "permission denied", "failure", "bad message", "no connection", "connection lost", "unsupported",
}

func statusName(code uint32) string {
	if code < uint32(len(statusNames)) {
		return statusNames[code]
	}
	return fmt.Sprintf("status %d", code)
}

const (
	version   = 3
	maxPacket = 256 << 10 // without its length; OpenSSH's own limit
	maxPath   = 8 << 10
	maxHandle = 256 // by the protocol
	maxName   = 256
)

// ErrMalformed is returned, perhaps wrapped, when a peer breaks the protocol.
var ErrMalformed = errors.New("malformed sftp packet")

// packets reads packets off a stream, one at a time.
type packets struct {
	r   io.Reader
	buf []byte
}

const restingBuffer = 4 << 10

// next returns the next packet with its length; its type is at [4]. It is valid
// until the next call. io.EOF is the stream's end between two packets.
func (p *packets) next() ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(p.r, head[:4]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: it breaks off", ErrMalformed)
		}
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > maxPacket {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, n)
	}
	total := int(n) + 4
	if cap(p.buf) < total || cap(p.buf) > 16*restingBuffer && total <= restingBuffer {
		p.buf = make([]byte, max(total, restingBuffer))
	}
	b := p.buf[:total]
	copy(b, head[:4])
	if _, err := io.ReadFull(p.r, b[4:]); err != nil {
		return nil, fmt.Errorf("%w: it breaks off", ErrMalformed)
	}
	return b, nil
}

// fields reads the fields of a packet. After the last one, done tells whether
// all were well formed.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) uint32() uint32 {
	if len(f.b) < 4 {
		f.bad = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) uint64() uint64 {
	if len(f.b) < 8 {
		f.bad = true
		return 0
	}
	v := binary.BigEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

// bytes returns a view of the packet.
func (f *fields) bytes(limit int) []byte {
	n := f.uint32()
	if f.bad || uint64(n) > uint64(len(f.b)) || uint64(n) > uint64(limit) {
		f.bad = true
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) text(limit int) string { return string(f.bytes(limit)) }

// path reads a path. A NUL in it would end it for the server, and not for who
// judged it.
func (f *fields) path() string {
	s := f.text(maxPath)
	for i := range len(s) {
		if s[i] == 0 {
			f.bad = true
		}
	}
	return s
}

// attrs skips file attributes (section 5 of the draft).
func (f *fields) attrs() {
	flags := f.uint32()
	if flags&^0x8000000f != 0 {
		f.bad = true
	}
	if flags&1 != 0 {
		f.uint64() // size
	}
	if flags&2 != 0 {
		f.uint64() // owner and group
	}
	if flags&4 != 0 {
		f.uint32() // permissions
	}
	if flags&8 != 0 {
		f.uint64() // times
	}
	if flags&0x80000000 != 0 {
		for n := f.uint32(); n > 0 && !f.bad; n-- {
			f.bytes(maxName)
			f.bytes(maxPacket)
		}
	}
}

func (f *fields) done() error {
	if f.bad || len(f.b) > 0 {
		return ErrMalformed
	}
	return nil
}

func appendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

func appendText(b []byte, s string) []byte { return append(appendUint32(b, uint32(len(s))), s...) }

// finish sets the length of a packet that was built after four bytes for it.
func finish(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// begin starts a packet, without an id.
func begin(kind byte) []byte { return []byte{0, 0, 0, 0, kind} }

// status builds a status answer.
func status(id, code uint32, text string) []byte {
	b := appendUint32(begin(typeStatus), id)
	b = appendText(appendUint32(b, code), text)
	return finish(appendText(b, "en"))
}
