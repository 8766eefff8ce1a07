package audit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A record file is a header and frames. All numbers are big-endian.
//
//	header   magic (8), the session's identifier (26)
//	frame    length of the sealed event (4), generation (4), sealed event, chain (32)
//
// The sealed event is AES-256-GCM of the event's JSON under the session's key,
// with the nonce generation‖index. The generation grows whenever the file is
// taken up again after a crash, so that no nonce is used twice. chain is
//
//	chain[0] = SHA-256(header)
//	chain[i] = SHA-256(chain[i-1] ‖ length ‖ generation ‖ sealed event)
//
// so that altering, leaving out or moving a frame shows at that frame without
// the key.
const (
	magic     = "SALLYREC"
	idLen     = 26
	headerLen = len(magic) + idLen
	frameLen  = 8 // before the sealed event
	sealLen   = 16
	maxEvent  = 16 << 20
)

type digest = [sha256.Size]byte

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func nonce(dst *[12]byte, generation uint32, index uint64) []byte {
	binary.BigEndian.PutUint32(dst[:], generation)
	binary.BigEndian.PutUint64(dst[4:], index)
	return dst[:]
}

// errTorn says that a file ends inside a frame: a write that did not finish.
var errTorn = errors.New("the file ends in the middle of an event")

// reader reads a record file's frames and checks their chain.
type reader struct {
	r     io.Reader
	id    string
	index uint64 // events read
	bytes int64  // of the file, up to the last whole frame
	chain digest
	gen   uint32
	buf   []byte
}

func newReader(r io.Reader) (*reader, error) {
	h := make([]byte, headerLen)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, fmt.Errorf("no record: %w", err)
	}
	if string(h[:len(magic)]) != magic {
		return nil, errors.New("no record: it begins in another way")
	}
	return &reader{r: r, id: string(h[len(magic):]), bytes: int64(headerLen), chain: sha256.Sum256(h)}, nil
}

// next returns the next sealed event: io.EOF at the end, errTorn when the file
// ends inside a frame. The bytes are valid until the next call.
func (r *reader) next() ([]byte, error) {
	var h [frameLen]byte
	if n, err := io.ReadFull(r.r, h[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, torn(err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < sealLen || n > maxEvent {
		return nil, fmt.Errorf("event %d: a length of %d bytes", r.index+1, n)
	}
	need := frameLen + int(n) + len(r.chain)
	if cap(r.buf) < need {
		r.buf = make([]byte, max(need, 64<<10))
	}
	frame := r.buf[:need]
	copy(frame, h[:])
	if _, err := io.ReadFull(r.r, frame[frameLen:]); err != nil {
		return nil, torn(err)
	}
	body := frame[:frameLen+int(n)]
	chain := next(r.chain, body)
	if chain != digest(frame[len(body):]) {
		return nil, fmt.Errorf("event %d was altered, or what came before it removed or moved", r.index+1)
	}
	r.index++
	r.bytes += int64(need)
	r.chain, r.gen = chain, binary.BigEndian.Uint32(h[4:])
	return body[frameLen:], nil
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

func next(chain digest, body []byte) digest {
	h := sha256.New()
	h.Write(chain[:])
	h.Write(body)
	var out digest
	h.Sum(out[:0])
	return out
}

// open returns the JSON of the sealed event that next returned last.
func (r *reader) open(aead cipher.AEAD, sealed []byte) ([]byte, error) {
	var n [12]byte
	b, err := aead.Open(nil, nonce(&n, r.gen, r.index), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("event %d does not open with the session's key", r.index)
	}
	return b, nil
}
