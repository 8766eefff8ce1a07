package relay

import (
	"net/http/httputil"
	"sync"
)

// buffers are those of copies.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 64<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

var copies = &buffers{}

// Copies returns the buffers of copies, which all handlers share.
func Copies() httputil.BufferPool { return copies }
