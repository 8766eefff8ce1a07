package wire

import (
	"fmt"
	"io"
	"sync"
)

const (
	smallBuffer = 2 << 10   // what an idle connection holds
	largeBuffer = 128 << 10 // what a busy one borrows
	calmReads   = 16        // small reads in a row after which the large buffer goes back
)

var largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// Reader buffers what comes from one peer. It starts with a small buffer,
// borrows a large one while reads fill it, and grows beyond that only as the
// bytes of one message really arrive. It is used by one goroutine.
type Reader struct {
	src   io.Reader
	buf   []byte
	r, w  int
	small []byte
	large *[]byte // borrowed, when buf is that buffer
	calm  int
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader) *Reader {
	small := make([]byte, smallBuffer)
	return &Reader{src: src, buf: small, small: small}
}

// Buffered returns the bytes that were read and not discarded. The view is
// valid until the next call of Fill or Close.
func (b *Reader) Buffered() []byte { return b.buf[b.r:b.w] }

// Discard drops the first n buffered bytes.
func (b *Reader) Discard(n int) { b.r += n }

// Fill reads once, blocking until at least one byte came. It makes room first;
// need is how many bytes the caller wants to have buffered in all, 0 when it
// does not care. The buffer grows towards need only as fast as it fills.
func (b *Reader) Fill(need int) error {
	b.makeRoom(need)
	n, err := b.src.Read(b.buf[b.w:])
	if n < 0 || n > len(b.buf)-b.w {
		return fmt.Errorf("read returned an impossible count")
	}
	room := len(b.buf) - b.w
	b.w += n
	switch {
	case n == room && b.large == nil && len(b.buf) == smallBuffer:
		b.borrow()
	case n < smallBuffer:
		b.calm++
	default:
		b.calm = 0
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (b *Reader) makeRoom(need int) {
	if b.r == b.w {
		b.r, b.w = 0, 0
		if len(b.buf) > largeBuffer || b.large != nil && b.calm >= calmReads {
			b.shrink()
		}
		return
	}
	if need <= len(b.buf)-b.r && b.w < len(b.buf) {
		return
	}
	if b.r > 0 {
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	}
	if b.w < len(b.buf) {
		return
	}
	if b.large == nil && len(b.buf) < largeBuffer {
		b.borrow()
		return
	}
	grown := make([]byte, 2*len(b.buf))
	copy(grown, b.buf[:b.w])
	b.giveBack()
	b.buf = grown
}

func (b *Reader) borrow() {
	large := largeBuffers.Get().(*[]byte)
	copy(*large, b.buf[b.r:b.w])
	b.w -= b.r
	b.r = 0
	b.large, b.buf, b.calm = large, *large, 0
}

func (b *Reader) giveBack() {
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}

func (b *Reader) shrink() {
	b.giveBack()
	b.buf, b.calm = b.small, 0
}

// Close gives borrowed memory back. The Reader must not be used afterwards.
func (b *Reader) Close() {
	b.giveBack()
	b.buf, b.small, b.r, b.w = nil, nil, 0, 0
}
