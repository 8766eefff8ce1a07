package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"sync"
	"unicode/utf8"

	"github.com/sallyport/sallyport/proxy"
)

// chunkSize is the most that one event holds of a stream, in bytes.
const chunkSize = 64 << 10

// streamTape records a stream of bytes.
type streamTape struct {
	r      *recorder
	op     uint64
	stream string
	detail Detail
	input  *inputTape // of the same terminal; may be nil

	mu     sync.Mutex
	bytes  uint64 // that came
	stored int64
	rest   hash.Hash // over what is not stored; nil when everything is
	ended  bool
}

// output begins the recording of what a terminal shows or a command writes.
func (r *recorder) output(op proxy.Op, shape *proxy.Shape, detail Detail) (proxy.Filter, error) {
	if detail == Off {
		return proxy.Filter{}, nil
	}
	t := &streamTape{r: r, op: op.Info().ID, stream: shape.Media, detail: detail}
	if shape.Media == "terminal" && r.recording.Input {
		t.input = r.inputOf(t.op)
	}
	err := r.put(RecordingStart, t.op, t.stream, func(b []byte) []byte {
		b = num(b, "width", uint64(shape.Width))
		b = num(b, "height", uint64(shape.Height))
		return str(b, "term", shape.Terminal)
	})
	if err != nil {
		return proxy.Filter{}, err
	}
	r.begin(t.op, t)
	f := proxy.Filter{Bytes: t.pass}
	if shape.Media == "terminal" {
		f.Resize = t.resize
	}
	return f, nil
}

// stdin begins the recording of what a client sends: of a terminal what it
// echoes, of a command and of a COPY the digest.
func (r *recorder) stdin(op proxy.Op) (proxy.Filter, error) {
	id := op.Info().ID
	if e, ok := op.(*proxy.Exec); ok && e.Terminal {
		if !r.recording.Input || r.recording.Terminal == Off {
			return proxy.Filter{}, nil
		}
		in := r.inputOf(id)
		return proxy.Filter{Bytes: func(dst, src []byte) ([]byte, error) {
			in.type_(src)
			return append(dst, src...), nil
		}}, nil
	}
	detail := r.recording.Exec
	if op.Info().Kind == proxy.KindStatement {
		detail = r.recording.Copy
	}
	if detail == Off {
		return proxy.Filter{}, nil
	}
	t := &streamTape{r: r, op: id, stream: "stdin", detail: Digest}
	r.begin(id, t)
	return proxy.Filter{Bytes: t.pass}, nil
}

// pass records src and passes it on.
func (t *streamTape) pass(dst, src []byte) ([]byte, error) {
	if err := t.add(src); err != nil {
		return dst, err
	}
	return append(dst, src...), nil
}

func (t *streamTape) add(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += uint64(len(b))
	keep := b
	if t.detail == Digest {
		keep = nil
	} else if room := t.r.recording.Limit - t.stored; int64(len(keep)) > room || t.rest != nil {
		keep = keep[:max(0, min(room, int64(len(keep))))]
		if t.rest != nil {
			keep = nil
		}
	}
	if rest := b[len(keep):]; len(rest) > 0 {
		if t.rest == nil {
			t.rest = sha256.New()
		}
		t.rest.Write(rest)
	}
	for len(keep) > 0 {
		n := min(len(keep), chunkSize)
		if err := t.r.put(RecordingOutput, t.op, t.stream, func(j []byte) []byte { return data(j, keep[:n]) }); err != nil {
			return err
		}
		t.stored += int64(n)
		keep = keep[n:]
	}
	if t.input != nil {
		return t.input.show(b)
	}
	return nil
}

// data appends bytes: as text where they are, so that it can be searched, and
// what is not as base64.
func data(j, b []byte) []byte {
	text := b
	// The end can be the beginning of a character.
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				text = b[:len(b)-i]
			}
			break
		}
	}
	if !utf8.Valid(text) {
		text = nil
	}
	if len(text) > 0 {
		j = quote(name(j, "data"), text)
	}
	if rest := b[len(text):]; len(rest) > 0 {
		j = append(name(j, "base64"), '"')
		j = base64.StdEncoding.AppendEncode(j, rest)
		j = append(j, '"')
	}
	return j
}

func (t *streamTape) resize(width, height int) error {
	return t.r.put(RecordingResize, t.op, t.stream, func(b []byte) []byte {
		return num(num(b, "width", uint64(width)), "height", uint64(height))
	})
}

func (t *streamTape) finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	return t.r.put(RecordingEnd, t.op, t.stream, func(b []byte) []byte {
		return digestOf(num(b, "bytes", t.bytes), t.rest, t.detail != Digest)
	})
}

// digestOf appends the SHA-256 of what was not stored, and whether it is the
// rest of something.
func digestOf(b []byte, rest hash.Hash, cut bool) []byte {
	if rest == nil {
		return b
	}
	if cut {
		b = append(b, `,"cut":true`...)
	}
	return str(b, "sha256", hex.EncodeToString(rest.Sum(nil)))
}
