package audit

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Sealer encrypts to somebody's key. What is written to the result is sealed,
// and written to w; closing it ends it. The sealers of audit/age are such.
type Sealer interface {
	Seal(w io.Writer) (io.WriteCloser, error)
}

// Originals keeps what flowed before it was masked, sealed to the key that
// Recording.Original names, in the session's record: neither the gateway nor who
// holds its keys can read it. Its place in the chain is before what masks. Without
// such a rule it does nothing. Each call returns another interceptor: one that a
// revision brings asks again what is recorded.
func (l *Log) Originals() proxy.Interceptor { return &originals{l} }

type originals struct{ log *Log }

// Name is "originals".
func (*originals) Name() string { return "originals" }

// Intercept keeps the session's originals where a rule says so.
func (o *originals) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	r := o.log.recordings(s).of()
	if r.Original == nil {
		return proxy.Hooks{}, nil
	}
	return proxy.Hooks{Show: proxy.HidesNothing, Flow: func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
		v, ok := o.log.recorders.Load(s.ID)
		if !ok {
			return proxy.Filter{}, nil // best effort: this session has no record
		}
		return v.(*recorder).original(r, op, shape)
	}}, nil
}

// originalTape seals one stream or result.
type originalTape struct {
	r      *recorder
	op     uint64
	stream string
	limit  int64 // of what is kept, in bytes

	mu     sync.Mutex
	sealed io.WriteCloser
	out    *bufio.Writer // what was sealed: a header comes in many small pieces
	bytes  int64
	line   []byte
	ended  bool
}

// original begins to keep what is about to flow, as a recording says, which may be of
// a later revision than r: what a client is shown, not what it sends.
func (r *recorder) original(as Recording, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	t := &originalTape{r: r, op: op.Info().ID, limit: as.Limit}
	f := proxy.Filter{}
	switch {
	case shape.Inbound || shape.Media == "file":
		return f, nil
	case shape.Kind == proxy.ShapeRows, shape.Kind == proxy.ShapeCopy && len(shape.Columns) > 0:
		t.stream, f.Row = "rows", t.row
	case shape.Kind == proxy.ShapeStream:
		t.stream, f.Bytes = shape.Media, t.pass
	default:
		return f, nil
	}
	var err error
	t.out = bufio.NewWriterSize(t, chunkSize)
	if t.sealed, err = as.Original.Seal(t.out); err != nil {
		return proxy.Filter{}, err
	}
	r.begin(t.op, t)
	return f, nil
}

// Write records a piece of what was sealed.
func (t *originalTape) Write(b []byte) (int, error) {
	err := t.r.put(RecordingOriginal, t.op, t.stream, func(j []byte) []byte {
		j = append(name(j, "base64"), '"')
		return append(base64.StdEncoding.AppendEncode(j, b), '"')
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (t *originalTape) pass(dst, src []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.add(src); err != nil {
		return dst, err
	}
	return append(dst, src...), nil
}

// row seals a row as a line, a JSON array.
func (t *originalTape) row(row *proxy.Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line = append(t.line[:0], '[')
	for i := range row.Len() {
		t.line = value(t.line, i, row.Value(i), false)
	}
	t.line = append(t.line, "]\n"...)
	return t.add(t.line)
}

// add seals b, up to the limit of what is kept.
func (t *originalTape) add(b []byte) error {
	if t.ended || t.bytes+int64(len(b)) > t.limit {
		t.bytes = t.limit // nothing in pieces
		return nil
	}
	t.bytes += int64(len(b))
	_, err := t.sealed.Write(b)
	return err
}

func (t *originalTape) finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	return errors.Join(t.sealed.Close(), t.out.Flush())
}
