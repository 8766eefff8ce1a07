package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// rowTape records the rows of one result.
type rowTape struct {
	r        *recorder
	op       uint64
	stream   string // "rows" or "copy"
	detail   Detail
	binary   []bool
	withheld []bool // columns whose values are secrets by their name

	mu     sync.Mutex
	rows   uint64
	stored int64  // bytes written
	values []byte // of an event that is not written yet: JSON arrays
	cut    bool   // something was left out for its size
	hash   hash.Hash
	frame  []byte
}

const (
	maxCell = 1 << 20 // of one value, in bytes
	maxRow  = 4 << 20 // of one row
)

func (r *recorder) rows(op proxy.Op, shape *proxy.Shape, stream string, detail Detail) (proxy.Filter, error) {
	if detail == Off {
		return proxy.Filter{}, nil
	}
	n := len(shape.Columns)
	t := &rowTape{r: r, op: op.Info().ID, stream: stream, detail: detail, binary: make([]bool, n), withheld: make([]bool, n)}
	if s, ok := op.(*proxy.Statement); ok && t.detail > Digest && detect.MaySetSecret(s.Text) {
		t.detail = Digest // its rows may hold what its text does
	}
	if t.detail != Full {
		t.hash = sha256.New()
	}
	for i, c := range shape.Columns {
		t.binary[i] = c.Binary
		t.withheld[i] = detect.NamesSecret(c.Name) || detect.NamesSecret(c.Column)
	}
	err := r.put(RecordingStart, t.op, stream, func(b []byte) []byte {
		b = append(name(b, "columns"), '[')
		for i, c := range shape.Columns {
			b = quote(comma(b, i), c.Name)
		}
		return append(b, ']')
	})
	if err != nil {
		return proxy.Filter{}, err
	}
	r.begin(t.op, t)
	return proxy.Filter{Row: t.row}, nil
}

// row records one row.
func (t *rowTape) row(row *proxy.Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows++
	if t.hash != nil {
		t.digest(row)
	}
	if !t.keeps() {
		return nil
	}
	from := len(t.values)
	if from > 0 {
		t.values = append(t.values, ',')
	}
	t.values = append(t.values, '[')
	size := 0
	for i := range row.Len() {
		v := row.Value(i)
		size += len(v)
		switch {
		case v != nil && t.hides(i):
			t.values = append(comma(t.values, i), `"…"`...)
		case len(v) > maxCell || size > maxRow:
			t.cut = true
			t.values = append(comma(t.values, i), `"…"`...)
		default:
			t.values = value(t.values, i, v, i < len(t.binary) && t.binary[i])
		}
	}
	t.values = append(t.values, ']')
	if len(t.values) >= chunkSize {
		return t.write()
	}
	return nil
}

// keeps reports whether the row that came last is kept.
func (t *rowTape) keeps() bool {
	switch {
	case t.detail == Digest, t.detail == Sample && t.rows > uint64(t.r.recording.SampleRows):
		return false
	case t.stored+int64(len(t.values)) >= t.r.recording.Limit:
		t.cut = true
		return false
	}
	return true
}

func (t *rowTape) hides(i int) bool { return i < len(t.withheld) && t.withheld[i] }

// digest adds a row to the digest: the number of its values, and for each its
// length (all ones for NULL, and for one that is withheld) and its bytes.
func (t *rowTape) digest(row *proxy.Row) {
	t.frame = binary.BigEndian.AppendUint32(t.frame[:0], uint32(row.Len()))
	for i := range row.Len() {
		v := row.Value(i)
		if v == nil || t.hides(i) {
			t.frame = binary.BigEndian.AppendUint32(t.frame, 1<<32-1)
			continue
		}
		t.frame = binary.BigEndian.AppendUint32(t.frame, uint32(len(v)))
		if len(v) > chunkSize {
			t.hash.Write(t.frame)
			t.hash.Write(v)
			t.frame = t.frame[:0]
			continue
		}
		t.frame = append(t.frame, v...)
	}
	t.hash.Write(t.frame)
}

// write writes the rows that were collected.
func (t *rowTape) write() error {
	if len(t.values) == 0 {
		return nil
	}
	err := t.r.put(RecordingRows, t.op, t.stream, func(b []byte) []byte {
		b = append(name(b, "values"), '[')
		return append(append(b, t.values...), ']')
	})
	t.stored += int64(len(t.values))
	t.values = t.values[:0]
	if cap(t.values) > 4*chunkSize {
		t.values = nil
	}
	return err
}

func (t *rowTape) finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.write(); err != nil {
		return err
	}
	return t.r.put(RecordingEnd, t.op, t.stream, func(b []byte) []byte {
		b = num(b, "rows", t.rows)
		if t.cut {
			b = append(b, `,"cut":true`...)
		}
		if t.hash != nil {
			b = str(b, "sha256", hex.EncodeToString(t.hash.Sum(nil)))
		}
		return b
	})
}

// value appends a value of a row.
func value(b []byte, i int, v []byte, binary bool) []byte {
	b = comma(b, i)
	switch {
	case v == nil:
		return append(b, "null"...)
	case binary:
		b = append(b, `"\\x`...)
		return append(hex.AppendEncode(b, v), '"')
	}
	return quote(b, v)
}
