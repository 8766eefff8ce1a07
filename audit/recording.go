package audit

import (
	"fmt"

	"github.com/sallyport/sallyport/proxy"
)

// Detail says how much of what flows is recorded.
type Detail uint8

// Details.
const (
	Off    Detail = iota // nothing
	Digest               // how much it was, and its SHA-256
	Sample               // the digest, and the first Recording.SampleRows rows
	Full                 // everything, up to Recording.Limit
)

var detailNames = [...]string{"off", "digest", "sample", "full"}

// ParseDetail reads "off", "digest", "sample" or "full".
func ParseDetail(s string) (Detail, error) {
	for i, name := range detailNames {
		if s == name {
			return Detail(i), nil
		}
	}
	return 0, fmt.Errorf("unknown detail %q: want off, digest, sample or full", s)
}

// String returns the detail's name.
func (d Detail) String() string {
	if int(d) < len(detailNames) {
		return detailNames[d]
	}
	return detailNames[Full]
}

// Recording says what is recorded of a session's data, which is in its
// record between the events of its operations. It is recorded after masking: as
// the client sees it. The zero value records none.
type Recording struct {
	Terminal Detail // what terminals show, with their sizes; Sample is Full
	// Input also records what is typed at terminals: only lines that the terminal
	// echoed whole, so that no password is among them.
	Input bool
	Exec  Detail // what commands write to stdout and stderr; stdin has a digest. Sample is Full
	Rows  Detail // result rows
	Copy  Detail // rows of COPY to the client; of what a client sends into one, a digest

	// Original seals what flows to the client as it was before masking, to a key of
	// somebody's, where Log.Originals is in the chain. Nil keeps none.
	Original Sealer

	SampleRows int   // of a result; 0 is 20
	Limit      int64 // of what is kept of one stream or result, in bytes; 0 is 256 MiB. What is above it has a digest
}

// DefaultRecording returns what is recorded where nothing else is said: what
// terminals show and what commands write. Sessions that have neither, such as those
// of databases, are faster with the zero Recording: no result is looked at then.
func DefaultRecording() Recording { return Recording{Terminal: Full, Exec: Full} }

const (
	defaultSample = 20
	defaultLimit  = 256 << 20
)

// of is what r asks for, with its defaults.
func (r Recording) of() Recording {
	if r.SampleRows == 0 {
		r.SampleRows = defaultSample
	}
	if r.Limit == 0 {
		r.Limit = defaultLimit
	}
	return r
}

// append says in a session's first event what of its data is recorded.
func (r Recording) append(b []byte) []byte {
	b = append(name(b, "recording"), '{')
	for i, d := range []struct {
		key string
		Detail
	}{{"terminal", r.Terminal}, {"exec", r.Exec}, {"rows", r.Rows}, {"copy", r.Copy}} {
		b = quote(append(quote(comma(b, i), d.key), ':'), d.String())
	}
	return append(b, '}')
}

func (r Recording) wantsFlow() bool { return r.Terminal|r.Exec|r.Rows|r.Copy != Off }

// tape is the recording of one stream or result. finish writes its end; it is
// called once, when nothing more is added.
type tape interface{ finish() error }

// flow begins the recording of what op is about to send or get.
func (r *recorder) flow(op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
	switch shape.Kind {
	case proxy.ShapeRows:
		return r.rows(op, shape, "rows", r.recording.Rows)
	case proxy.ShapeCopy:
		if len(shape.Columns) > 0 {
			return r.rows(op, shape, "copy", r.recording.Copy)
		}
	case proxy.ShapeStream:
		switch shape.Media {
		case "terminal":
			return r.output(op, shape, r.recording.Terminal)
		case "stdout", "stderr":
			return r.output(op, shape, r.recording.Exec)
		case "stdin":
			return r.stdin(op)
		}
	}
	// Files have a digest in their outcome.
	return proxy.Filter{}, nil
}

// begin notes a tape of op, which ends with op at the latest.
func (r *recorder) begin(op uint64, t tape) {
	r.noted.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tapes == nil {
		r.tapes = make(map[uint64][]tape)
	}
	r.tapes[op] = append(r.tapes[op], t)
}

// finishTapes ends op's recordings.
func (r *recorder) finishTapes(op uint64) {
	r.mu.Lock()
	tapes := r.tapes[op]
	if tapes != nil {
		delete(r.tapes, op)
	}
	r.mu.Unlock()
	for _, t := range tapes {
		if err := t.finish(); err != nil {
			r.session.Kill(err)
		}
	}
}

// put writes an event of a recording. What is passed on after it returned is on
// record when the gateway is killed. With best effort an event that cannot be
// written is counted as lost, and is not an error.
func (r *recorder) put(typ string, op uint64, stream string, fill func(b []byte) []byte) error {
	err := r.stream.put(typ, func(b []byte) []byte {
		return fill(str(num(b, "op", op), "stream", stream))
	})
	if err != nil && !r.strict {
		return nil
	}
	return err
}
