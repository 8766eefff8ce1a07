package masking

import "github.com/sallyport/sallyport/detect"

// AppendMasked appends src to dst with every value that is found in it, and that the
// default set masks, masked in part, and returns it.
func (m *Masker) AppendMasked(dst, src []byte) []byte { return m.AppendMaskedNamed(dst, src, "") }

// AppendMaskedNamed is AppendMasked for the value of a column or field of that
// name: masked whole when the name says what it holds.
func (m *Masker) AppendMaskedNamed(dst, src []byte, name string) []byte {
	if t, ok := m.detector.TypeOfName(name); ok && name != "" {
		return m.AppendMaskedAs(dst, src, t)
	}
	return m.appendFound(dst, src, m.detector.FindNamed(nil, src, m.detector.Topics(name)))
}

// appendFound appends src with what was found in it masked in part.
func (m *Masker) appendFound(dst, src []byte, found []detect.Finding) []byte {
	from := 0
	for _, f := range found {
		if !personal(f.Type) {
			continue
		}
		dst = append(dst, src[from:f.Start]...)
		dst = m.appendMasked(dst, src[f.Start:f.End], f.Type, treatment{})
		from = f.End
	}
	return append(dst, src[from:]...)
}

// AppendMaskedAs appends v to dst, masked in part as one value of type t, and
// returns it.
func (m *Masker) AppendMaskedAs(dst, v []byte, t detect.Type) []byte {
	if len(v) == 0 {
		return dst
	}
	return m.appendMasked(dst, v, t, treatment{})
}

// ColumnMasker masks the values of one column outside of the database, as the gateway
// does in a result. It is used by one goroutine.
type ColumnMasker struct {
	masker  *Masker
	name    string
	whole   detect.Type
	weigher detect.Weigher
	found   []detect.Finding
}

// Column returns what masks a column of that name and database type, of which some
// values were read.
func (m *Masker) Column(name, dbType string, values [][]byte) *ColumnMasker {
	held := m.detector.Contents(detect.Column{Name: name, Type: dbType}, values)
	c := &ColumnMasker{masker: m, name: name, whole: held.Whole}
	c.weigher.Know(held)
	return c
}

// AppendMasked appends v to dst, masked in part where the default set masks it.
func (c *ColumnMasker) AppendMasked(dst, v []byte) []byte {
	if c.whole != "" {
		return c.masker.AppendMaskedAs(dst, v, c.whole)
	}
	detector := c.masker.detector
	if t, ok := detector.TypeOfName(c.name); ok {
		return c.masker.AppendMaskedAs(dst, v, t)
	}
	c.found = c.weigher.Weigh(detector.FindNamed(c.found[:0], v, detector.Topics(c.name)), v)
	return c.masker.appendFound(dst, v, c.found)
}
