package relay

import (
	"encoding/binary"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// maxMessage bounds a message that is looked at as a whole.
const maxMessage = 16 << 20

// edited returns a message as filters let it pass.
func (f *Filter) edited(media string, b []byte) ([]byte, error) {
	flow, err := f.Session.Flow(f.Op, &proxy.Shape{Kind: proxy.ShapeBody, Media: media})
	if err != nil {
		return nil, Withheld("%v", err)
	}
	if !flow.HasBytes() {
		return b, nil
	}
	out, err := flow.Bytes(nil, b)
	if err == nil {
		out, err = flow.End(out)
	}
	if err != nil {
		return nil, Withheld("%v", err)
	}
	return out, nil
}

// filterGRPC has filters edit the messages of gRPC, which keep their length.
func (f *Filter) filterGRPC(res *http.Response) error {
	if coding := res.Header.Get("Grpc-Encoding"); coding != "" && coding != "identity" {
		return Withheld("the application has compressed its messages, although it was asked not to")
	}
	res.Body = &messages{ReadCloser: res.Body, next: func(src io.Reader, dst []byte) ([]byte, error) {
		var head [5]byte
		if _, err := io.ReadFull(src, head[:]); err != nil {
			return dst, err
		}
		n := binary.BigEndian.Uint32(head[1:])
		if head[0] != 0 || n > maxMessage {
			return dst, Withheld("a message is compressed, or too long")
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(src, b); err != nil {
			return dst, noEOF(err)
		}
		out, err := f.edited("application/octet-stream", b)
		if err != nil {
			return dst, err
		}
		if len(out) != len(b) {
			return dst, Withheld("a message would have another length")
		}
		return append(append(dst, head[:]...), out...), nil
	}}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// messages is a body that is read message by message.
type messages struct {
	io.ReadCloser
	next func(src io.Reader, dst []byte) ([]byte, error)
	out  []byte
	off  int
	err  error
}

func (m *messages) Read(p []byte) (int, error) {
	for m.off == len(m.out) {
		if m.err != nil {
			return 0, m.err
		}
		m.off = 0
		m.out, m.err = m.next(m.ReadCloser, m.out[:0])
	}
	n := copy(p, m.out[m.off:])
	m.off += n
	return n, nil
}

// Opcodes of WebSocket frames (RFC 6455, 5.2).
const (
	opContinue = 0
	opText     = 1
	opBinary   = 2
	opClose    = 8
	opPong     = 10
)

// socket is a WebSocket whose messages to the client are looked at.
type socket struct {
	io.ReadWriteCloser
	m    messages
	part []byte // of a message that has not ended
	op   byte   // of that message; 0: there is none
}

func (s *socket) Read(p []byte) (int, error) { return s.m.Read(p) }

// filterSocket has filters edit what the application sends over a WebSocket.
func (f *Filter) filterSocket(res *http.Response) error {
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return Withheld("the connection cannot be taken over")
	}
	if res.Header.Get("Sec-Websocket-Extensions") != "" {
		return Withheld("the application compresses messages, although it was asked not to")
	}
	flow, err := f.Session.Flow(f.Op, &proxy.Shape{Kind: proxy.ShapeBody, Media: "text/plain"})
	if err != nil {
		return Withheld("%v", err)
	}
	if !flow.HasBytes() {
		return nil
	}
	s := &socket{ReadWriteCloser: conn}
	s.m.ReadCloser = conn
	s.m.next = func(src io.Reader, dst []byte) ([]byte, error) { return f.frame(s, src, dst) }
	res.Body = s
	return nil
}

// frame reads one frame, and appends what is passed on after it: a message goes on as one frame when it is
// whole.
func (f *Filter) frame(s *socket, src io.Reader, dst []byte) ([]byte, error) {
	var head [14]byte
	if _, err := io.ReadFull(src, head[:2]); err != nil {
		return dst, err
	}
	last, op := head[0]&0x80 != 0, head[0]&15
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		if _, err := io.ReadFull(src, head[2:4]); err != nil {
			return dst, noEOF(err)
		}
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		if _, err := io.ReadFull(src, head[2:10]); err != nil {
			return dst, noEOF(err)
		}
		n = binary.BigEndian.Uint64(head[2:])
	}
	control := op >= opClose
	switch {
	case head[0]&0x70 != 0, head[1]&0x80 != 0, control && (n > 125 || !last || op > opPong), op > opBinary && !control,
		op == opContinue && s.op == 0, !control && op != opContinue && s.op != 0:
		return dst, Withheld("%v", errFrame)
	case n > maxMessage || uint64(len(s.part))+n > maxMessage:
		return dst, Withheld("a message is too long to be looked at")
	}
	from := len(s.part)
	s.part = append(s.part, make([]byte, n)...)
	if _, err := io.ReadFull(src, s.part[from:]); err != nil {
		return dst, noEOF(err)
	}
	if control {
		b := s.part[from:]
		if op == opClose && len(b) > 2 { // the reason is text
			reason, err := f.edited("text/plain", b[2:])
			if err != nil {
				return dst, err
			}
			b = append(b[:2:2], reason[:min(len(reason), 123)]...)
		}
		dst = appendFrame(dst, op, b)
		s.part = s.part[:from]
		return dst, nil
	}
	if op != opContinue {
		s.op = op
	}
	if !last {
		return dst, nil
	}
	media := "text/plain"
	switch c := firstByte(s.part[:min(len(s.part), 64)]); {
	case c == '{' || c == '[':
		media = "application/json"
	case s.op == opBinary:
		media = "application/octet-stream"
	}
	out, err := f.edited(media, s.part)
	if err != nil {
		return dst, err
	}
	if s.op == opText && !utf8.Valid(out) {
		return dst, Withheld("%v", errFrame)
	}
	dst = appendFrame(dst, s.op, out)
	s.part, s.op = s.part[:0], 0
	if cap(s.part) > 64<<10 {
		s.part = nil
	}
	return dst, nil
}

func appendFrame(dst []byte, op byte, b []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(b); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, b...)
}
