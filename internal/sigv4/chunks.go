package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Chunks reads a body of "aws-chunked" coding. Of a signed one nothing is returned before the signature of its chunk is checked.
type Chunks struct {
	// Trailer is what came after the body, once Read has returned io.EOF.
	Trailer http.Header

	src      *bufio.Reader
	names    []string // of the trailer
	left     int64    // of the whole body
	signed   bool
	scope    Scope
	key      []byte
	previous string // the signature before

	chunk bytes.Buffer // one whole chunk that is checked
	open  int64        // bytes of an unsigned chunk that have not been read
	err   error
}

// Bounds of chunks.
const (
	maxChunk        = 4 << 20
	maxLine         = 512
	maxTrailerLine  = 1024
	maxTrailerLines = 8
)

// ErrChunk says that a body in chunks is not one, or is not what was signed.
var ErrChunk = errors.New("the body is not in chunks as its headers say, or is not what was signed")

func chunkError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrChunk, fmt.Sprintf(format, args...))
}

// NewChunks reads body, whose decoded length is size. names are those of the trailer that the request has announced, in lower
// case. Where key is not nil, chunks are signed by it, and previous is the signature of the request.
func NewChunks(body io.Reader, size int64, names []string, scope Scope, key []byte, previous string) *Chunks {
	return &Chunks{src: bufio.NewReaderSize(body, 16<<10), names: names, left: size, signed: key != nil, scope: scope, key: key, previous: previous}
}

// Read returns decoded bytes.
func (c *Chunks) Read(p []byte) (int, error) {
	for {
		if c.chunk.Len() > 0 {
			return c.chunk.Read(p)
		}
		if c.err != nil {
			return 0, c.err
		}
		if c.open > 0 {
			n, err := c.src.Read(p[:min(int64(len(p)), c.open)])
			if c.open -= int64(n); err == nil && c.open == 0 {
				err = c.lineEnd()
			}
			c.err = whole(err)
			if n > 0 || c.err != nil {
				return n, nil // an error is that of the next call
			}
			continue
		}
		c.err = c.next()
	}
}

func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next begins a chunk; io.EOF is the end of the body.
func (c *Chunks) next() error {
	line, err := c.line(maxLine)
	if err != nil {
		return err
	}
	digits, extension, has := strings.Cut(line, ";")
	size, err := strconv.ParseUint(digits, 16, 62)
	if err != nil || strings.HasPrefix(digits, "+") || len(digits) > 16 {
		return chunkError("the size of a chunk is not a number")
	}
	signature, signs := strings.CutPrefix(extension, "chunk-signature=")
	if has != c.signed || has && (!signs || len(signature) != 64) {
		return chunkError("a chunk has another extension than its signature, or none")
	}
	if int64(size) > c.left {
		return chunkError("it is longer than X-Amz-Decoded-Content-Length says")
	}
	if c.left -= int64(size); c.signed {
		if size > maxChunk {
			return chunkError("a signed chunk has more than %d bytes", maxChunk)
		}
		if _, err := io.CopyN(&c.chunk, c.src, int64(size)); err != nil { // grows with what has come
			c.chunk.Reset()
			return whole(err)
		}
		if err := c.check("PAYLOAD", Digest(nil)+"\n"+Digest(c.chunk.Bytes()), signature); err != nil {
			c.chunk.Reset()
			return err
		}
	}
	if size > 0 {
		if c.open = int64(size); c.signed {
			c.open = 0
			if err := c.lineEnd(); err != nil {
				c.chunk.Reset()
				return err
			}
		}
		return nil
	}
	if c.left != 0 {
		return chunkError("it is shorter than X-Amz-Decoded-Content-Length says")
	}
	return c.end()
}

// check compares a signature with that of a chunk, or of the trailer.
func (c *Chunks) check(what, digests, signature string) error {
	got, err := hex.DecodeString(signature)
	text := strings.Join([]string{Algorithm + "-" + what, c.scope.At.UTC().Format(TimeForm), c.scope.String(), c.previous, digests}, "\n")
	if err != nil || !hmac.Equal(mac(c.key, text), got) {
		return chunkError("the signature of a chunk does not match it")
	}
	c.previous = signature
	return nil
}

// end reads what follows the last chunk.
func (c *Chunks) end() error {
	c.Trailer = http.Header{}
	var lines strings.Builder
	signature := ""
	for range maxTrailerLines {
		line, err := c.trailerLine()
		if err != nil {
			return err
		}
		if line == "" {
			switch {
			case len(c.Trailer) != len(c.names):
				return chunkError("the trailer is not the one that X-Amz-Trailer announces")
			case c.signed && len(c.names) > 0:
				if err := c.check("TRAILER", Digest([]byte(lines.String())), signature); err != nil {
					return err
				}
			case signature != "":
				return chunkError("the trailer has a signature, and nothing else is signed")
			}
			if _, err := c.src.ReadByte(); err != io.EOF {
				return chunkError("something follows its end")
			}
			return io.EOF
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		value = strings.TrimSpace(value)
		switch {
		case name == "x-amz-trailer-signature" && signature == "" && ok:
			signature = value
		case ok && signature == "" && slices.Contains(c.names, name) && c.Trailer.Get(name) == "" && value != "":
			c.Trailer.Set(name, value)
			lines.WriteString(name + ":" + value + "\n")
		default:
			return chunkError("the trailer is not the one that X-Amz-Trailer announces")
		}
	}
	return chunkError("the trailer has too many lines")
}

// trailerLine reads a line of the trailer, which some clients end with LF and CRLF.
func (c *Chunks) trailerLine() (string, error) {
	b, err := c.src.Peek(maxTrailerLine)
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && err != nil:
		return "", whole(err)
	case end <= 0 || b[end-1] == '\r':
		return c.line(maxTrailerLine)
	}
	line := string(b[:end])
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }) {
		return "", chunkError("a line is too long, or is not one")
	}
	n := end + 1
	if bytes.HasPrefix(b[n:], []byte("\r\n")) {
		n += 2
	}
	_, err = c.src.Discard(n)
	return line, err
}

// line reads a line that ends with CRLF.
func (c *Chunks) line(limit int) (string, error) {
	var b []byte
	for {
		x, err := c.src.ReadByte()
		switch {
		case err != nil:
			return "", whole(err)
		case x == '\n' && len(b) > 0 && b[len(b)-1] == '\r':
			return string(b[:len(b)-1]), nil
		case len(b) == limit || x == '\n' || len(b) > 0 && b[len(b)-1] == '\r' || x < ' ' && x != '\r' && x != '\t' || x >= 0x7f:
			return "", chunkError("a line is too long, or is not one")
		}
		b = append(b, x)
	}
}

func (c *Chunks) lineEnd() error {
	line, err := c.line(2)
	if err == nil && line != "" {
		err = chunkError("a chunk is longer than it says")
	}
	return err
}
