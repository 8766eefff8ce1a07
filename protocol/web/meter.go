package web

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync/atomic"
)

// meter counts and digests what passes.
type meter struct {
	n    atomic.Uint64
	hash hash.Hash // of one goroutine
	all  atomic.Bool
}

func newMeter() *meter { return &meter{hash: sha256.New()} }

func (m *meter) count() uint64 {
	if m == nil {
		return 0
	}
	return m.n.Load()
}

// sum is the digest of a body that has passed whole; empty where none has.
func (m *meter) sum() string {
	if m == nil || !m.all.Load() || m.n.Load() == 0 {
		return ""
	}
	return "sha256:" + hex.EncodeToString(m.hash.Sum(nil))
}

// measured is a body that is counted.
type measured struct {
	io.ReadCloser
	meter  *meter
	end    func()
	failed func(error)
}

func (b *measured) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.meter.hash.Write(p[:n])
		b.meter.n.Add(uint64(n))
	}
	switch {
	case err == io.EOF:
		b.meter.all.Store(true)
		if b.end != nil {
			b.end()
			b.end = nil
		}
	case err != nil && b.failed != nil:
		b.failed(err)
	}
	return n, err
}

// summary is what records say of the bodies.
func (x *exchange) summary() string {
	in, out := x.in.sum(), x.out.sum()
	switch {
	case in == "":
		return out
	case out == "":
		return "in " + in
	}
	return "in " + in + " out " + out
}
