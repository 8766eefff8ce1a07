package relay

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync/atomic"
)

// Meter counts and digests what passes.
type Meter struct {
	n    atomic.Uint64
	hash hash.Hash // of one goroutine
	all  atomic.Bool
}

// NewMeter returns one that has seen nothing.
func NewMeter() *Meter { return &Meter{hash: sha256.New()} }

// Count returns how many bytes have passed; nil has seen none.
func (m *Meter) Count() uint64 {
	if m == nil {
		return 0
	}
	return m.n.Load()
}

// sum is the digest of a body that has passed whole; empty where none has.
func (m *Meter) sum() string {
	if m == nil || !m.all.Load() || m.n.Load() == 0 {
		return ""
	}
	return "sha256:" + hex.EncodeToString(m.hash.Sum(nil))
}

// Measured is a body that is counted.
type Measured struct {
	io.ReadCloser
	Meter  *Meter
	End    func()      // called when it has passed whole; may be nil
	Failed func(error) // called when it has not; may be nil
}

// Read reads what passes, and counts it.
func (b *Measured) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.Meter.hash.Write(p[:n])
		b.Meter.n.Add(uint64(n))
	}
	switch {
	case err == io.EOF:
		b.Meter.all.Store(true)
		if b.End != nil {
			b.End()
			b.End = nil
		}
	case err != nil && b.Failed != nil:
		b.Failed(err)
	}
	return n, err
}

// summary is what records say of the bodies of a request and its answer.
func summary(request, answer *Meter) string {
	in, out := request.sum(), answer.sum()
	switch {
	case in == "":
		return out
	case out == "":
		return "in " + in
	}
	return "in " + in + " out " + out
}
