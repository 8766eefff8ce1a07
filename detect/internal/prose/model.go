package prose

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"sync"
)

// Model is what was learned. It is immutable and safe for concurrent use.
type Model struct {
	weights []int8   // by feature and tag
	rows    []uint64 // by feature: its weights, a byte each, 128 added

	given, family, common, place, company Bloom
}

const (
	featureBits = 16
	features    = 1 << featureBits
)

//go:embed names.model
var embedded []byte

// Default returns the embedded model, which is read once.
func Default() *Model { return defaultModel() }

var defaultModel = sync.OnceValue(func() *Model {
	m, err := Load(embedded)
	if err != nil {
		panic("prose: the embedded model: " + err.Error())
	}
	return m
})

var magic = [4]byte{'n', 'm', 'e', '2'}

// Load reads a model that [Model.Append] wrote. It keeps b.
func Load(b []byte) (*Model, error) {
	bad := errors.New("no model")
	if len(b) < len(magic)+features*tags || [4]byte(b) != magic {
		return nil, bad
	}
	b = b[len(magic):]
	m := &Model{weights: make([]int8, features*tags)}
	for i := range m.weights {
		m.weights[i] = int8(b[i])
	}
	b = b[len(m.weights):]
	m.pack()
	for _, f := range []*Bloom{&m.given, &m.family, &m.common, &m.place, &m.company} {
		if len(b) < 4 {
			return nil, bad
		}
		n := int(binary.BigEndian.Uint32(b))
		if b = b[4:]; n == 0 || n > len(b) || n&(n-1) != 0 {
			return nil, bad
		}
		*f, b = Bloom(b[:n]), b[n:]
	}
	return m, nil
}

// pack makes the rows of the weights, so that those of a feature are read and
// added at once.
func (m *Model) pack() {
	m.rows = make([]uint64, features)
	for i := range m.rows {
		for t := range tags {
			m.rows[i] |= uint64(uint8(m.weights[i*tags+t])^0x80) << (8 * t)
		}
	}
}

// Append appends the model's file to b.
func (m *Model) Append(b []byte) []byte {
	b = append(b, magic[:]...)
	for _, w := range m.weights {
		b = append(b, byte(w))
	}
	for _, f := range []Bloom{m.given, m.family, m.common, m.place, m.company} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// Bloom is a set of words that may take others for its own, one in a hundred. Its
// length is a power of two.
type Bloom []byte

// NewBloom returns a filter of the words.
func NewBloom(words []string) Bloom {
	size := 64
	for size*8 < len(words)*10 {
		size *= 2
	}
	f := make(Bloom, size)
	var t Tagger
	for _, w := range words {
		t.tokens = t.tokens[:0]
		if t.word([]byte(w), 0); len(t.tokens) == 1 {
			f.add(t.tokens[0].hash)
		}
	}
	return f
}

func (f Bloom) add(h uint32) {
	for k := range uint32(4) {
		i := f.at(h, k)
		f[i/8] |= 1 << (i % 8)
	}
}

func (f Bloom) at(h, k uint32) uint32 {
	x := uint64(h) * 0x9E3779B97F4A7C15 >> 16
	return (uint32(x) + k*uint32(x>>24|1)) & uint32(len(f)*8-1)
}

func (f Bloom) has(h uint32) bool {
	for k := range uint32(4) {
		if i := f.at(h, k); f[i/8]&(1<<(i%8)) == 0 {
			return false
		}
	}
	return true
}
