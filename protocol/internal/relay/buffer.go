package relay

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Body is what was read of a request's body.
type Body struct {
	text []byte
	read bool
}

// Bytes are what was read; nil before that, and where there is none.
func (b *Body) Bytes() []byte { return b.text }

var errLong = errors.New("it is longer than what can be looked at")

// Buffer reads the body of r, which has at most limit bytes; it is sent on from there.
func (b *Body) Buffer(r *http.Request, limit int64) error {
	if b.read || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > limit {
		return errLong
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return errors.New("it did not come whole")
	}
	if int64(len(text)) > limit {
		r.Body = rest{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
		return errLong
	}
	b.text, b.read = text, true
	r.Body = rest{bytes.NewReader(text), r.Body}
	return nil
}

// Print is the digest of parts, which tells apart what does not mean the same.
func Print(parts ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	h.Sum(sum[:0])
	return sum
}

type rest struct {
	io.Reader
	io.Closer
}
