// Package segment finds documents by the terms that are in them. A segment is a
// few hundred documents with all their terms, small enough to be read whole; it
// knows nothing of what documents and terms mean.
package segment

import (
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"slices"
)

// A segment's bytes are, all numbers being unsigned varints:
//
//	number of documents; of each its length and bytes
//	number of terms; of each, in order, its length and bytes, the length of what
//	follows, and the places of the documents that have it, each as the distance
//	from the one before (the first from -1)

// MaxDocs bounds the documents of a segment.
const MaxDocs = 1 << 16

// ErrCorrupt says that bytes are not a segment.
var ErrCorrupt = errors.New("not a segment of an index")

// Builder makes a segment. The zero Builder is an empty one.
type Builder struct {
	docs  [][]byte
	terms map[string][]uint32
	size  int
}

// Add adds a document, whose bytes it keeps, and its terms, each once.
func (b *Builder) Add(doc []byte, terms iter.Seq[string]) {
	if b.terms == nil {
		b.terms = make(map[string][]uint32)
	}
	place := uint32(len(b.docs))
	b.docs = append(b.docs, doc)
	b.size += len(doc) + 2
	for t := range terms {
		list, ok := b.terms[t]
		if !ok {
			b.size += len(t) + 3
		}
		b.size++
		b.terms[t] = append(list, place)
	}
}

// Len is the number of documents.
func (b *Builder) Len() int { return len(b.docs) }

// Size is about how many bytes the segment takes.
func (b *Builder) Size() int { return b.size }

// Append appends the segment's bytes.
func (b *Builder) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.docs)))
	for _, d := range b.docs {
		dst = binary.AppendUvarint(dst, uint64(len(d)))
		dst = append(dst, d...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.terms)))
	var places []byte
	for _, t := range slices.Sorted(maps.Keys(b.terms)) {
		dst = binary.AppendUvarint(dst, uint64(len(t)))
		dst = append(dst, t...)
		places = places[:0]
		before := int64(-1)
		for _, p := range b.terms[t] {
			places = binary.AppendUvarint(places, uint64(int64(p)-before))
			before = int64(p)
		}
		dst = binary.AppendUvarint(dst, uint64(len(places)))
		dst = append(dst, places...)
	}
	return dst
}

// Segment is a segment that was read. It is immutable.
type Segment struct {
	docs  [][]byte
	terms []byte // from their number on
}

// Parse reads a segment's documents. Both they and the segment are views of b.
// Terms are read when they are looked for.
func Parse(b []byte) (*Segment, error) {
	r := reader{b: b}
	n := r.number()
	if n > MaxDocs || n > uint64(len(r.b)) {
		return nil, ErrCorrupt
	}
	s := &Segment{docs: make([][]byte, n)}
	for i := range s.docs {
		s.docs[i] = r.bytes()
	}
	s.terms = r.b
	if r.bad {
		return nil, ErrCorrupt
	}
	return s, nil
}

// Len is the number of documents.
func (s *Segment) Len() int { return len(s.docs) }

// Doc is the document at a place.
func (s *Segment) Doc(i int) []byte { return s.docs[i] }

// Find returns the places of the documents that have, for each of the wanted, a term
// for which it says true. Without any it returns all places.
func (s *Segment) Find(wanted ...func(term []byte) bool) ([]int, error) {
	sets := make([]set, len(wanted))
	err := s.each(func(term, places []byte) error {
		for i, want := range wanted {
			if !want(term) {
				continue
			}
			if sets[i] == nil {
				sets[i] = make(set, (len(s.docs)+63)/64)
			}
			if err := s.places(places, sets[i].add); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []int
	for i := range s.docs {
		if !slices.ContainsFunc(sets, func(one set) bool { return !one.has(i) }) {
			found = append(found, i)
		}
	}
	return found, nil
}

// Builder makes a builder of the segment's documents, in which those for which
// drop says true are empty and have no terms.
func (s *Segment) Builder(drop func(place int) bool) (*Builder, error) {
	b := &Builder{terms: make(map[string][]uint32)}
	for i, d := range s.docs {
		if drop(i) {
			d = nil
		}
		b.docs = append(b.docs, d)
		b.size += len(d) + 2
	}
	err := s.each(func(term, places []byte) error {
		var list []uint32
		err := s.places(places, func(i int) {
			if !drop(i) {
				list = append(list, uint32(i))
			}
		})
		if len(list) > 0 {
			b.terms[string(term)] = list
			b.size += len(term) + 3 + len(list)
		}
		return err
	})
	return b, err
}

// each calls visit with every term, and where it is.
func (s *Segment) each(visit func(term, places []byte) error) error {
	r := reader{b: s.terms}
	for range r.number() {
		term, places := r.bytes(), r.bytes()
		if r.bad {
			return ErrCorrupt
		}
		if err := visit(term, places); err != nil {
			return err
		}
	}
	if r.bad || len(r.b) > 0 {
		return ErrCorrupt
	}
	return nil
}

func (s *Segment) places(b []byte, visit func(i int)) error {
	r, at := reader{b: b}, int64(-1)
	for len(r.b) > 0 {
		step := r.number()
		if r.bad || step == 0 || step > uint64(int64(len(s.docs))-1-at) {
			return ErrCorrupt
		}
		at += int64(step)
		visit(int(at))
	}
	return nil
}

// set is a set of places. A nil set is empty.
type set []uint64

func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s set) has(i int) bool { return s != nil && s[i/64]>>(i%64)&1 == 1 }

// reader reads what Append wrote; bad says that it could not.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}
