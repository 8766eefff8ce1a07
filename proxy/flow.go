package proxy

import "time"

// Flow is the filters of one operation's data, in interceptor order. A nil
// *Flow filters nothing. It is used by one goroutine.
type Flow struct {
	rows  []func(*Row) error
	bytes []Filter
	bufs  [2][]byte
}

func (f *Flow) add(x Filter) {
	if x.Row != nil {
		f.rows = append(f.rows, x.Row)
	}
	if x.Bytes != nil || x.End != nil || x.Resize != nil {
		f.bytes = append(f.bytes, x)
	}
}

// HasRow and HasBytes report what the filters want to see.
func (f *Flow) HasRow() bool { return f != nil && len(f.rows) > 0 }

// HasBytes reports whether a filter wants the data as bytes.
func (f *Flow) HasBytes() bool { return f != nil && len(f.bytes) > 0 }

// Row passes r through the filters. On an error r must not be passed on.
func (f *Flow) Row(r *Row) error {
	for _, row := range f.rows {
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

// Bytes passes src through the filters and appends what may be passed on to
// dst.
func (f *Flow) Bytes(dst, src []byte) ([]byte, error) {
	return f.run(dst, src, 0, func(x *Filter, dst, src []byte) ([]byte, error) {
		if x.Bytes == nil {
			return append(dst, src...), nil
		}
		return x.Bytes(dst, src)
	})
}

// Idle appends what may be released because no data came for a while. Handlers
// call it after IdleAfter, and once more when as much time has passed again.
func (f *Flow) Idle(dst []byte) ([]byte, error) {
	for i := range f.bytes {
		if f.bytes[i].Idle == nil {
			continue
		}
		out, err := f.bytes[i].Idle(f.bufs[0][:0])
		f.bufs[0] = out[:0]
		if err != nil {
			return dst, err
		}
		if len(out) == 0 {
			continue
		}
		held := append([]byte(nil), out...)
		if dst, err = f.from(i+1, dst, held); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// IdleAfter is the shortest time after which a filter wants Idle to be called;
// 0 is never.
func (f *Flow) IdleAfter() time.Duration {
	var d time.Duration
	if f == nil {
		return 0
	}
	for i := range f.bytes {
		if x := &f.bytes[i]; x.Idle != nil && x.IdleAfter > 0 && (d == 0 || x.IdleAfter < d) {
			d = x.IdleAfter
		}
	}
	return d
}

// Resize tells the filters that the terminal has another size from the next
// bytes on. It is called by the goroutine that uses the flow, or in its place.
func (f *Flow) Resize(width, height int) error {
	if f == nil {
		return nil
	}
	for i := range f.bytes {
		if f.bytes[i].Resize == nil {
			continue
		}
		if err := f.bytes[i].Resize(width, height); err != nil {
			return err
		}
	}
	return nil
}

// End appends what the filters still held back; the data is complete.
func (f *Flow) End(dst []byte) ([]byte, error) {
	var err error
	for i := range f.bytes {
		if f.bytes[i].End == nil {
			continue
		}
		var held []byte
		if held, err = f.bytes[i].End(nil); err != nil {
			return dst, err
		}
		if dst, err = f.from(i+1, dst, held); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// from passes src through the filters from the i-th on.
func (f *Flow) from(i int, dst, src []byte) ([]byte, error) {
	return f.run(dst, src, i, func(x *Filter, dst, src []byte) ([]byte, error) {
		if x.Bytes == nil || len(src) == 0 {
			return append(dst, src...), nil
		}
		return x.Bytes(dst, src)
	})
}

func (f *Flow) run(dst, src []byte, first int, step func(x *Filter, dst, src []byte) ([]byte, error)) ([]byte, error) {
	n := len(f.bytes)
	if first >= n {
		return append(dst, src...), nil
	}
	for i := first; i < n-1; i++ {
		b := &f.bufs[i%2]
		out, err := step(&f.bytes[i], (*b)[:0], src)
		*b = out[:0]
		if err != nil {
			return dst, err
		}
		src = out
	}
	return step(&f.bytes[n-1], dst, src)
}
