package aws

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// checked is a body whose digest is signed. Its last byte is not returned before all of it is checked, so that nobody gets
// another body whole.
type checked struct {
	io.Closer
	src  io.Reader
	sum  hash.Hash
	want string
	last byte
	kept bool
	err  error
}

func newChecked(body io.ReadCloser, want string) io.ReadCloser {
	c := &checked{Closer: body, src: body, sum: sha256.New(), want: want}
	return struct {
		io.Reader
		io.Closer
	}{bufio.NewReaderSize(c, 32<<10), body} // which reads more than a byte at a time
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	from := 0
	if c.kept {
		p[0], from = c.last, 1
	}
	n, err := c.src.Read(p[from:])
	c.sum.Write(p[from : from+n])
	n += from
	if err != nil {
		c.err = err
		if err == io.EOF && hex.EncodeToString(c.sum.Sum(nil)) != c.want {
			c.err = sigv4.ErrValue
		}
		if c.err != io.EOF {
			return 0, c.err
		}
		return n, io.EOF
	}
	if n > 0 {
		n--
		c.last, c.kept = p[n], true
	}
	return n, nil
}

// chunk is how much of a body goes into one chunk.
const chunk = 64 << 10

// sums are the lengths of checksums in a trailer.
var sums = map[string]int64{
	"x-amz-checksum-crc32": 8, "x-amz-checksum-crc32c": 8, "x-amz-checksum-crc64nvme": 12, "x-amz-checksum-md5": 24, "x-amz-checksum-sha1": 28, "x-amz-checksum-sha256": 44,
	"x-amz-checksum-sha512": 88, "x-amz-checksum-xxhash3": 12, "x-amz-checksum-xxhash64": 12, "x-amz-checksum-xxhash128": 24,
}

// encoder is a body in chunks that are not signed, with the trailer that the client has sent.
type encoder struct {
	src     io.Reader
	trailer func() http.Header
	names   []string
	buf     []byte
	out     []byte
	err     error
}

func (e *encoder) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		if e.buf == nil {
			e.buf = make([]byte, chunk)
		}
		if e.err = e.next(); e.err != nil && e.err != io.EOF {
			e.out = nil
		}
	}
	n := copy(p, e.out)
	if e.out = e.out[n:]; len(e.out) == 0 {
		e.out = e.out[:0:0]
	}
	return n, nil
}

// next makes the next chunk; the last one, with the trailer, is followed by io.EOF.
func (e *encoder) next() error {
	n, err := io.ReadFull(e.src, e.buf)
	if n > 0 {
		e.out = append(strconv.AppendInt(e.out, int64(n), 16), "\r\n"...)
		e.out = append(append(e.out, e.buf[:n]...), "\r\n"...)
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	// ReadFull says the same of a body that was cut: its reader knows.
	if _, again := e.src.Read(e.buf[:1]); again != io.EOF {
		return io.ErrUnexpectedEOF
	}
	e.out = append(e.out, "0\r\n"...)
	for _, name := range e.names {
		value := e.trailer().Get(name)
		if int64(len(value)) != sums[name] {
			return fmt.Errorf("%w: %s has %d characters, want %d", sigv4.ErrChunk, name, len(value), sums[name])
		}
		e.out = append(e.out, name+":"+value+"\r\n"...)
	}
	e.out = append(e.out, "\r\n"...)
	return io.EOF
}

// encodedLength is that of a body of size bytes.
func encodedLength(size int64, names []string) int64 {
	digits := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16))) }
	total := size / chunk * (digits(chunk) + chunk + 4)
	if rest := size % chunk; rest > 0 {
		total += digits(rest) + rest + 4
	}
	total += 3 + 2
	for _, name := range names {
		total += int64(len(name)) + 1 + sums[name] + 2
	}
	return total
}
