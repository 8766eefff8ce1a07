package wire

import (
	"fmt"
	"io"
)

// Conversation exchanges packets one by one, as both sides do until a session is
// there. It reads no byte beyond a packet, so that another layer can take the
// connection over between two.
type Conversation struct {
	Conn io.ReadWriter
	// Seq is the number of the next packet, from either side.
	Seq byte
	out []byte
}

// Read reads one payload of at most limit bytes, which is less than MaxPacket.
func (c *Conversation) Read(limit int) ([]byte, error) {
	var head [HeaderLen]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return nil, err
	}
	n, seq := Header(head[:])
	if seq != c.Seq {
		return nil, fmt.Errorf("%w: got %d, want %d", ErrSequence, seq, c.Seq)
	}
	if n > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are taken here", ErrTooLarge, n, limit)
	}
	c.Seq++
	b := make([]byte, n)
	if _, err := io.ReadFull(c.Conn, b); err != nil {
		return nil, unexpectedEOF(err)
	}
	return b, nil
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write writes payload in as many packets as it takes.
func (c *Conversation) Write(payload []byte) error {
	c.out, c.Seq = AppendPacket(c.out[:0], c.Seq, payload)
	_, err := c.Conn.Write(c.out)
	clear(c.out) // it may hold a secret
	return err
}
