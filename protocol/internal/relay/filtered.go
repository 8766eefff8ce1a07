package relay

import (
	"io"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// filtered is a body that filters edit.
type filtered struct {
	src   io.ReadCloser
	flow  *proxy.Flow
	out   []byte
	off   int
	err   error
	buf   []byte
	idle  time.Duration
	parts chan part
	back  chan []byte
	stop  chan struct{}
	begun bool // something has come
	ended bool
}

type part struct {
	b   []byte
	err error
}

func newFiltered(src io.ReadCloser, flow *proxy.Flow) *filtered {
	f := &filtered{src: src, flow: flow, idle: flow.IdleAfter()}
	if f.idle == 0 {
		f.buf = make([]byte, 32<<10)
		return f
	}
	f.parts, f.back, f.stop = make(chan part), make(chan []byte, 2), make(chan struct{})
	f.back <- make([]byte, 32<<10)
	f.back <- make([]byte, 32<<10)
	go f.pump() // ends with Close
	return f
}

// pump reads ahead, so that filters can be told that nothing comes.
func (f *filtered) pump() {
	defer close(f.parts)
	for {
		var b []byte
		select {
		case b = <-f.back:
		case <-f.stop:
			return
		}
		n, err := f.src.Read(b[:cap(b)])
		select {
		case f.parts <- part{b[:n], err}:
		case <-f.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

func (f *filtered) Read(p []byte) (int, error) {
	for f.off == len(f.out) {
		if f.err != nil {
			return 0, f.err
		}
		f.out, f.off = f.out[:0], 0
		f.step()
	}
	n := copy(p, f.out[f.off:])
	f.off += n
	return n, nil
}

// step takes what comes next. What a filter has not let go is not passed on when something fails.
func (f *filtered) step() {
	b, err, idle := f.next()
	var bad error
	switch {
	case idle:
		f.out, bad = f.flow.Idle(f.out)
	case len(b) > 0 && !f.begun && (b[0] == 0xff || b[0] == 0xfe): // a mark of UTF-16, and no character of UTF-8
		f.err = errWide
		return
	case len(b) > 0:
		f.begun = true
		f.out, bad = f.flow.Bytes(f.out, b)
	}
	if f.parts != nil && b != nil {
		f.back <- b[:cap(b)]
	}
	if bad == nil && err == io.EOF {
		f.out, bad = f.flow.End(f.out)
	}
	if bad != nil {
		f.out = f.out[:0]
		err = Withheld("%v", bad)
	}
	f.err = err
}

func (f *filtered) next() (b []byte, err error, idle bool) {
	if f.parts == nil {
		n, err := f.src.Read(f.buf)
		return f.buf[:n], err, false
	}
	t := time.NewTimer(f.idle)
	defer t.Stop()
	select {
	case got, ok := <-f.parts:
		if !ok {
			return nil, io.ErrUnexpectedEOF, false
		}
		return got.b, got.err, false
	case <-t.C:
		return nil, nil, true
	}
}

func (f *filtered) Close() error {
	if f.stop != nil && !f.ended {
		f.ended = true
		close(f.stop)
	}
	return f.src.Close()
}
