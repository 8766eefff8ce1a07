package audit

import (
	"bufio"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// compactKey is the key of one compact file. It is not the session's own, so
// that writing the file anew never uses a nonce twice.
func compactKey(key, salt []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, key, salt, "sallyport compact record", 32)
}

// newPacker compresses batches. It holds about a megabyte.
func newPacker() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(batchSize))
}

var newUnpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBatch))
})

// unpack appends what a batch holds to dst. It takes no more memory than a batch
// can need, whatever the batch says of itself.
func unpack(dst, batch []byte) ([]byte, error) {
	d, err := newUnpacker()
	if err != nil {
		return nil, err
	}
	if dst, err = d.DecodeAll(batch, dst); err != nil {
		return nil, fmt.Errorf("a batch that does not decompress: %w", err)
	}
	return dst, nil
}

// compactWriter writes a record's compact form.
type compactWriter struct {
	w      io.Writer
	aead   cipher.AEAD
	packer *zstd.Encoder
	size   int // a batch is closed when it has so much

	chain  digest
	events uint64 // written
	count  uint32 // in batch
	batch  []byte
	packed []byte
	frame  []byte
}

func newCompactWriter(w io.Writer, id string, key []byte, packer *zstd.Encoder, size int) (*compactWriter, error) {
	header := append([]byte(magicCompact), id...)
	salt := make([]byte, saltLen)
	rand.Read(salt)
	header = append(header, salt...)
	key, err := compactKey(key, salt)
	if err != nil {
		return nil, err
	}
	c := &compactWriter{w: w, packer: packer, size: size, chain: sha256.Sum256(header)}
	if c.aead, err = newAEAD(key); err != nil {
		return nil, err
	}
	_, err = w.Write(header)
	return c, err
}

// add appends an event.
func (c *compactWriter) add(json []byte) error {
	c.batch = append(append(c.batch, json...), '\n')
	c.count++
	if len(c.batch) < c.size {
		return nil
	}
	return c.flush()
}

// flush writes the batch as a frame.
func (c *compactWriter) flush() error {
	if c.count == 0 {
		return nil
	}
	c.packed = c.packer.EncodeAll(c.batch, c.packed[:0])
	var n [12]byte
	c.frame = binary.BigEndian.AppendUint32(c.frame[:0], uint32(len(c.packed)+sealLen))
	c.frame = binary.BigEndian.AppendUint32(c.frame, c.count)
	c.frame = c.aead.Seal(c.frame, nonce(&n, 0, c.events+1), c.packed, nil)
	c.chain = next(c.chain, c.frame)
	c.frame = append(c.frame, c.chain[:]...)
	c.events += uint64(c.count)
	c.count, c.batch = 0, c.batch[:0]
	_, err := c.w.Write(c.frame)
	return err
}

const compactPrefix = ".compact-"

// compact puts a session's compact form in the place of its record, which is
// no longer written and is what its leaf says, and returns the leaf that commits
// to the new form. When it fails the record is as it was.
func (l *Log) compact(file string, written leaf, key []byte) (leaf, error) {
	in, err := os.Open(file)
	if err != nil {
		return leaf{}, err
	}
	defer in.Close()
	out, err := l.disk.create(filepath.Join(filepath.Dir(file), compactPrefix+newID()), 0o600)
	if err != nil {
		return leaf{}, err
	}
	sealed, err := l.copyCompact(out, in, written, key)
	if err == nil {
		err = l.syncSafely(out)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = l.disk.rename(out.Name(), file)
	}
	if err != nil {
		return leaf{}, errors.Join(err, l.disk.remove(out.Name()))
	}
	return sealed, nil
}

func (l *Log) copyCompact(out file, in io.Reader, written leaf, key []byte) (leaf, error) {
	if l.packer == nil {
		var err error
		if l.packer, err = newPacker(); err != nil {
			return leaf{}, err
		}
	}
	r, err := newReader(bufio.NewReaderSize(in, 256<<10))
	if err != nil {
		return leaf{}, err
	}
	if err := r.unlock(key); err != nil {
		return leaf{}, err
	}
	at := int64(0)
	w := bufio.NewWriterSize(writerFunc(func(b []byte) (int, error) {
		n, err := l.writeSafely(out, b, at)
		at += int64(n)
		return n, err
	}), 64<<10)
	c, err := newCompactWriter(w, written.ID, key, l.packer, l.batchSize)
	if err != nil {
		return leaf{}, err
	}
	var failed error
	for failed == nil {
		sealed, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return leaf{}, err
		}
		if _, err := r.open(sealed, func(b []byte) bool { failed = c.add(b); return failed == nil }); err != nil {
			return leaf{}, err
		}
	}
	if err := errors.Join(failed, c.flush(), w.Flush()); err != nil {
		return leaf{}, err
	}
	if (leaf{r.id, r.index, r.chain}) != written {
		return leaf{}, errors.New("the record is not what was written")
	}
	return leaf{ID: written.ID, Events: c.events, Chain: c.chain}, nil
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// removeHalfMade removes files that a stopped process did not finish.
func (l *Log) removeHalfMade() error {
	var errs []error
	for _, pattern := range []string{"sessions/*/" + compactPrefix, "sessions/*/" + newPrefix, "log/" + newPrefix, newPrefix} {
		list, err := filepath.Glob(filepath.Join(escape(l.dir), pattern+"*"))
		errs = append(errs, err)
		for _, f := range list {
			errs = append(errs, l.disk.destroy(f)) // it may be a key
		}
	}
	return errors.Join(errs...)
}
