package audit

import (
	"bytes"
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
//
// A session that has ended is written anew in the compact form, before its chain
// becomes a leaf:
//
//	header   compact magic (8), the session's identifier (26), salt (16)
//	frame    length of the sealed batch (4), events in it (4), sealed batch, chain (32)
//
// A batch is the zstd frame of its events' JSON, each ended by a line break,
// sealed under HKDF-SHA256 of the session's key and the file's salt, with the
// index of its first event as nonce. The chain is made in the same way.
const (
	magic        = "SALLYREC"
	magicCompact = "SALLYZST"
	idLen        = 26
	saltLen      = 16
	headerLen    = len(magic) + idLen
	frameLen     = 8 // before what is sealed
	sealLen      = 16
	maxEvent     = 16 << 20
	maxFrame     = maxBatch + maxBatch>>7 // what does not compress grows a little
	maxBatch     = maxEvent + batchSize   // of a batch's JSON, in bytes
	batchSize    = 256 << 10              // a batch that has so much is closed
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

// reader reads a record file's frames, of either form, and checks their chain.
type reader struct {
	r     io.Reader
	id    string
	salt  []byte // of the compact form; nil otherwise
	index uint64 // events read
	bytes int64  // of the file, up to the last whole frame
	chain digest
	gen   uint32
	first uint64 // event of the last frame
	buf   []byte
	aead  cipher.AEAD
	batch []byte // the last batch's JSON
	plain []byte // what the last frame held
}

func newReader(r io.Reader) (*reader, error) {
	h := make([]byte, headerLen, headerLen+saltLen)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, fmt.Errorf("no record: %w", err)
	}
	out := &reader{r: r, id: string(h[len(magic):])}
	switch string(h[:len(magic)]) {
	case magic:
	case magicCompact:
		h = h[:headerLen+saltLen]
		out.salt = h[headerLen:]
		if _, err := io.ReadFull(r, out.salt); err != nil {
			return nil, fmt.Errorf("no record: %w", err)
		}
	default:
		return nil, errors.New("no record: it begins in another way")
	}
	out.bytes, out.chain = int64(len(h)), sha256.Sum256(h)
	return out, nil
}

// unlock has open use the session's key.
func (r *reader) unlock(key []byte) (err error) {
	if r.salt != nil {
		if key, err = compactKey(key, r.salt); err != nil {
			return err
		}
	}
	r.aead, err = newAEAD(key)
	return err
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
	events := uint64(1)
	if r.salt != nil {
		events = uint64(binary.BigEndian.Uint32(h[4:]))
	}
	if n < sealLen || n > maxFrame {
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
		return nil, fmt.Errorf("%s altered, or what came before it removed or moved", r.events(events))
	}
	if events == 0 {
		return nil, fmt.Errorf("event %d: an empty batch", r.index+1)
	}
	r.first = r.index + 1
	r.index += events
	r.bytes += int64(need)
	r.chain, r.gen = chain, binary.BigEndian.Uint32(h[4:])
	return body[frameLen:], nil
}

// events names those of the next frame, with their verb.
func (r *reader) events(n uint64) string {
	if n == 1 {
		return fmt.Sprintf("event %d was", r.index+1)
	}
	return fmt.Sprintf("events %d to %d were", r.index+1, r.index+n)
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

// open calls each with the events of the frame that next returned last, until it
// returns false. They are valid until the next call.
func (r *reader) open(sealed []byte, each func(json []byte) bool) (more bool, err error) {
	gen := r.gen
	if r.salt != nil {
		gen = 0
	}
	var n [12]byte
	r.plain, err = r.aead.Open(r.plain[:0], nonce(&n, gen, r.first), sealed, nil)
	if err != nil {
		return false, fmt.Errorf("event %d does not open with the session's key", r.first)
	}
	if r.salt == nil {
		return each(r.plain), nil
	}
	if r.batch, err = unpack(r.batch[:0], r.plain); err != nil {
		return false, fmt.Errorf("event %d: %w", r.first, err)
	}
	rest := r.batch
	for i := r.first; i <= r.index; i++ {
		line, after, ok := bytes.Cut(rest, []byte{'\n'})
		if !ok {
			return false, fmt.Errorf("event %d is missing in its batch", i)
		}
		if !each(line) {
			return false, nil
		}
		rest = after
	}
	if len(rest) > 0 {
		return false, fmt.Errorf("more events than there are up to %d", r.index)
	}
	return true, nil
}
