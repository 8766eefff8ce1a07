package relay

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// bodyTime is how long the body of a request may take to come, where it is read before the request is decided about.
const bodyTime = 30 * time.Second

// Body is what was read of a request's body.
type Body struct {
	text []byte
	read bool
	err  error         // why it did not come whole
	time time.Duration // in the place of bodyTime
}

// Bytes are what was read; nil before that, and where there is none.
func (b *Body) Bytes() []byte { return b.text }

var errLong = errors.New("it is longer than what can be looked at")

// partError says that a body did not come whole. Its text tells nothing of the connection.
type partError struct{ cause error }

func (*partError) Error() string { return "it did not come whole, or too slowly" }

func (e *partError) Unwrap() error { return e.cause }

// Buffer reads the body of r, which w answers and which has at most limit bytes; it is sent on from there. It gives up when ctx ends, and after
// a time in which every client has sent that much.
func (b *Body) Buffer(ctx context.Context, w http.ResponseWriter, r *http.Request, limit int64) error {
	if b.err != nil || b.read || r.Body == nil || r.Body == http.NoBody {
		return b.err
	}
	if r.ContentLength > limit {
		return errLong
	}
	text, err := b.within(ctx, w, io.LimitReader(r.Body, limit+1))
	if err != nil {
		b.err = &partError{err}
		r.Body = rest{broken{b.err}, r.Body}
		return b.err
	}
	if int64(len(text)) > limit {
		r.Body = rest{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
		return errLong
	}
	b.text, b.read = text, true
	r.Body = rest{bytes.NewReader(text), r.Body}
	return nil
}

// within reads all of src, which the client sends. What is late leaves the deadline in the past, so that the server closes the connection.
func (b *Body) within(ctx context.Context, w http.ResponseWriter, src io.Reader) ([]byte, error) {
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Now().Add(cmp.Or(b.time, bodyTime))); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = rc.SetReadDeadline(time.Now()) })
	text, err := io.ReadAll(src)
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	return text, rc.SetReadDeadline(time.Time{})
}

// broken is the rest of a body that did not come.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

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
