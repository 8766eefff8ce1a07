package kit

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// payloads reads payloads piece by piece, over the borders of packets.
type payloads struct {
	conn *bufio.Reader
	seq  byte // of the next packet
	left int  // of the current packet
	more bool // the payload goes on in the next one
}

func (p *payloads) header() error {
	var head [wire.HeaderLen]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return err
	}
	n, seq := wire.Header(head[:])
	if seq != p.seq {
		return fmt.Errorf("%w: got %d, want %d", wire.ErrSequence, seq, p.seq)
	}
	p.seq++
	p.left, p.more = n, n == wire.MaxPacket
	return nil
}

// next begins the next payload, and returns the length of its first packet and its first byte.
func (p *payloads) next() (size int, first byte, err error) {
	if err := p.header(); err != nil {
		return 0, 0, err
	}
	if p.left == 0 {
		return 0, 0, fmt.Errorf("%w: an empty packet", wire.ErrProtocol)
	}
	b, err := p.conn.Peek(1)
	if err != nil {
		return 0, 0, err
	}
	return p.left, b[0], nil
}

// whole reads the next payload, which is not one of rows.
func (p *payloads) whole() ([]byte, error) {
	if _, _, err := p.next(); err != nil {
		return nil, err
	}
	return p.rest()
}

// rest reads what is left of the current payload.
func (p *payloads) rest() ([]byte, error) {
	if p.left > maxAnswer || p.more {
		return nil, fmt.Errorf("%w: the server sends %d bytes, which is more than is read here (%d)", wire.ErrTooLarge, p.left, maxAnswer)
	}
	b := make([]byte, p.left)
	return b, p.read(b)
}

// piece has something left of the current packet, or goes on in the next one.
func (p *payloads) piece() error {
	for p.left == 0 {
		if !p.more {
			return fmt.Errorf("%w: a row that is shorter than its values", wire.ErrProtocol)
		}
		if err := p.header(); err != nil {
			return err
		}
	}
	return nil
}

// read fills b from the current payload.
func (p *payloads) read(b []byte) error {
	for len(b) > 0 {
		if err := p.piece(); err != nil {
			return err
		}
		n, err := io.ReadFull(p.conn, b[:min(len(b), p.left)])
		if err != nil {
			return err
		}
		p.left -= n
		b = b[n:]
	}
	return nil
}

// skip passes over n bytes of the current payload.
func (p *payloads) skip(n uint64) error {
	for n > 0 {
		if err := p.piece(); err != nil {
			return err
		}
		k := int(min(n, uint64(p.left)))
		if _, err := p.conn.Discard(k); err != nil {
			return err
		}
		p.left -= k
		n -= uint64(k)
	}
	return nil
}

// length reads the length of a value, or that it is NULL.
func (p *payloads) length() (n uint64, null bool, err error) {
	var b [8]byte
	if err := p.read(b[:1]); err != nil {
		return 0, false, err
	}
	size := 0
	switch b[0] {
	case 0xfb:
		return 0, true, nil
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	case 0xff:
		return 0, false, fmt.Errorf("%w: a length that begins with 0xff", wire.ErrProtocol)
	default:
		return uint64(b[0]), false, nil
	}
	b[0] = 0
	if err := p.read(b[:size]); err != nil {
		return 0, false, err
	}
	return binary.LittleEndian.Uint64(b[:]), false, nil
}

// over is an error where the current payload has more.
func (p *payloads) over() error {
	for p.left == 0 && p.more {
		if err := p.header(); err != nil {
			return err
		}
	}
	if p.left > 0 {
		return fmt.Errorf("%w: a row that is longer than its values", wire.ErrProtocol)
	}
	return nil
}
